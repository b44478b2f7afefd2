"""One scheduler draws: a region is drawn when it is dirty, visible, and its interval has passed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

HEADER_S = 1.0
TABLE_S = 0.5
CHARTS_S = 2.0
NOTE_S = 0.5
TICK_S = 0.1


def _always() -> bool:
    return True


@dataclass
class _Region:
    interval: float
    draw: Callable[[], None]
    visible: Callable[[], bool]
    dirty: bool = False
    drawn_at: float = float("-inf")


class Scheduler:
    """Coalesces: the latest value wins, nothing queues, a hidden region costs nothing."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._regions: dict[str, _Region] = {}

    def register(
        self, name: str, interval: float, draw: Callable[[], None], visible: Callable[[], bool] = _always
    ) -> None:
        """A region is drawn at most every `interval` seconds."""
        self._regions[name] = _Region(interval, draw, visible)

    def mark(self, name: str) -> None:
        """The region has something new to show."""
        self._regions[name].dirty = True

    def soon(self, name: str) -> None:
        """It has something to show where nothing was: at the next tick, whenever it was drawn last."""
        region = self._regions[name]
        region.dirty, region.drawn_at = True, float("-inf")

    def now(self, name: str) -> None:
        """Draws at once: the reader pressed a key."""
        region = self._regions[name]
        region.dirty, region.drawn_at = False, self._clock()
        region.draw()

    def tick(self) -> None:
        """Draws what is due."""
        now = self._clock()
        for region in self._regions.values():
            if region.dirty and now - region.drawn_at >= region.interval and region.visible():
                region.dirty, region.drawn_at = False, now
                region.draw()
