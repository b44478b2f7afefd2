"""The control API: what a screen or a script reads and changes. Loopback, bearer token."""
