"""`kt`: the gateway and its data without a screen."""
