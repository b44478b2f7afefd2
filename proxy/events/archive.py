"""A store that nothing is added to: what an earlier gateway, or an exported file, left behind."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

from proxy.events.errors import StoreError
from proxy.events.event import Event
from proxy.events.feedback import Feedback, Kept
from proxy.events.purge import Purge, Purged
from proxy.events.read_side import ReadSide
from proxy.events.repricing import Prices, Repriced, Repricing
from proxy.events.sqlite_reader import EventReader
from proxy.events.store import Counters, EventQuery, Listener

logger = logging.getLogger(__name__)
_CLOSED = "this store is an archive: nothing is added to it"


class ArchivedStore(ReadSide):
    """The database at `path`, read only. It counts as stored what it holds, and never tells of new events."""

    def __init__(self, path: Path) -> None:
        super().__init__(EventReader(path))
        self._total = 0
        self._newest: Event | None = None

    async def start(self) -> None:
        """Open. Raises StoreError."""
        self._total = await self._reader.total()
        newest = [event async for event in self._reader.query(EventQuery(limit=1))]
        self._newest = newest[0] if newest else None

    async def close(self) -> None:
        """Close."""
        await self._reader.close()

    def append(self, event: Event) -> None:
        """An archive takes nothing; no request is served beside it."""
        logger.error("%s", _CLOSED)

    async def purge(self, purge: Purge, within_s: float) -> Purged:
        """Raises StoreError: nothing is removed."""
        raise StoreError("this store is an archive: nothing is removed from it")

    async def reprice(
        self, repricing: Repricing, prices: Prices, within_s: float, *, dry_run: bool = False
    ) -> Repriced:
        """Raises StoreError: nothing is changed."""
        raise StoreError("this store is an archive: its costs stay what they are")

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Nothing will be told."""
        return lambda: None

    def counters(self) -> Counters:
        """All it holds is stored."""
        return Counters(self._total, self._total, 0, {}, self._newest.seq if self._newest is not None else 0)

    def total(self) -> int:
        """Events kept."""
        return self._total

    async def give_feedback(self, feedback: Feedback) -> Kept | None:
        """Raises StoreError: nothing is added."""
        raise StoreError(_CLOSED)

    @property
    def last_timestamp_ms(self) -> int | None:
        """Arrival of the newest."""
        return self._newest.timestamp_ms if self._newest is not None else None

    @property
    def forgotten(self) -> Mapping[str, int]:
        """Nothing: retention does not reach an archive."""
        return {}

    @property
    def trouble(self) -> str | None:
        """None: what cannot be read is told by the question that needs it."""
        return None
