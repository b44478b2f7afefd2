"""The control API: what runs, what the file says, what happened; and the one way to change it."""
