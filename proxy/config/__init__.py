"""The only reader, watcher and writer of the policy file."""
