"""The garbage collector of a process that serves: its pauses are pauses of every request."""

from __future__ import annotations

import gc

COLLECT_EVERY = (5_000, 20, 20)
"""Objects made before the garbage of the young is collected, and after how many times that of the older."""


def settle() -> None:
    """Spare the collector what lives as long as this process; requests themselves leave hardly any cycles."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)


def unsettle(threshold: tuple[int, int, int]) -> None:
    """Undo `settle`, with the `threshold` from before."""
    gc.unfreeze()
    gc.set_threshold(*threshold)
