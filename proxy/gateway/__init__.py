"""The data plane: listener, guard, admission, relay, recorder."""
