"""Counts, sums and sketches per minute, hour and day: what charts and costs of long windows are read from."""
