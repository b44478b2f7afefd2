"""A store that nothing is added to: what an earlier gateway, or an exported file, left behind."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

from proxy.events.bodies import FoundBodies
from proxy.events.errors import StoreError
from proxy.events.event import Event
from proxy.events.feedback import Feedback, Kept
from proxy.events.purge import Amount, Purge, Purged, amount
from proxy.events.rollups.cells import Cell
from proxy.events.rollups.read import Found, Wanted
from proxy.events.sqlite_plan import Plan
from proxy.events.sqlite_reader import EventReader
from proxy.events.store import Counters, EventQuery, Listener

logger = logging.getLogger(__name__)
_CLOSED = "this store is an archive: nothing is added to it"


class ArchivedStore:
    """The database at `path`, read only. It counts as stored what it holds, and never tells of new events."""

    def __init__(self, path: Path) -> None:
        self._reader = EventReader(path)
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

    def query(self, query: EventQuery) -> AsyncIterator[Event]:
        """See EventStore."""
        return self._reader.query(query)

    async def count_purge(self, purge: Purge) -> Amount:
        """See SqliteEventStore."""
        return await amount(purge, await self._reader.way_of(purge.query), self._reader.rows)

    async def purge(self, purge: Purge, within_s: float) -> Purged:
        """Raises StoreError: nothing is removed."""
        raise StoreError("this store is an archive: nothing is removed from it")

    async def bodies_of(self, event_id: str) -> FoundBodies | None:
        """See EventReader."""
        return await self._reader.bodies_of(event_id)

    async def get(self, event_id: str) -> Event | None:
        """One event by id."""
        return await self._reader.get(event_id)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Nothing will be told."""
        return lambda: None

    def counters(self) -> Counters:
        """All it holds is stored."""
        return Counters(self._total, self._total, 0, {}, self._newest.seq if self._newest is not None else 0)

    def total(self) -> int:
        """Events kept."""
        return self._total

    async def count_between(self, spans: Sequence[tuple[int, int | None]]) -> list[int]:
        """See CountedStore."""
        return await self._reader.count_between(spans)

    async def unpriced(self, since_ms: int) -> list[tuple[str, str, int]]:
        """See CountedStore."""
        return await self._reader.unpriced(since_ms)

    async def way_of(self, query: EventQuery) -> tuple[int, int, Plan]:
        """See CountedStore."""
        return await self._reader.way_of(query)

    async def not_rolled_up(self) -> int:
        """See CountedStore."""
        return await self._reader.not_rolled_up()

    async def rollups(self, wanted: Wanted) -> Found:
        """See CountedStore."""
        return await self._reader.rollups(wanted)

    async def figures(self, query: EventQuery, dimension: str) -> dict[str, Cell]:
        """See EventReader."""
        return await self._reader.figures(query, dimension)

    async def give_feedback(self, feedback: Feedback) -> Kept | None:
        """Raises StoreError: nothing is added."""
        raise StoreError(_CLOSED)

    async def feedback_of(self, event_id: str) -> list[Feedback]:
        """See CountedStore."""
        return await self._reader.feedback_of(event_id)

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
