"""Events: what was answered, kept and asked for."""
