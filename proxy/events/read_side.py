"""What every store on SQLite answers by reading."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from proxy.events.bodies import FoundBodies
from proxy.events.event import Event
from proxy.events.feedback import Feedback
from proxy.events.purge import Amount, Purge, amount
from proxy.events.rollups.cells import Cell
from proxy.events.rollups.read import Found, Wanted
from proxy.events.sqlite_plan import Plan
from proxy.events.sqlite_reader import EventReader
from proxy.events.store import EventQuery


class ReadSide:
    """The questions of a store, answered by `reader`; each may raise StoreError."""

    def __init__(self, reader: EventReader) -> None:
        self._reader = reader

    def query(self, query: EventQuery) -> AsyncIterator[Event]:
        """The events of `query`; flat memory, short reads."""
        return self._reader.query(query)

    async def get(self, event_id: str) -> Event | None:
        """One event by id."""
        return await self._reader.get(event_id)

    async def bodies_of(self, event_id: str) -> FoundBodies | None:
        """See EventReader."""
        return await self._reader.bodies_of(event_id)

    async def feedback_of(self, event_id: str) -> list[Feedback]:
        """See EventReader."""
        return await self._reader.feedback_of(event_id)

    async def count_between(self, spans: Sequence[tuple[int, int | None]]) -> list[int]:
        """How many events arrived in each span of milliseconds since 1970; an end of None is open."""
        return await self._reader.count_between(spans)

    async def count_purge(self, purge: Purge) -> Amount:
        """What `purge` would remove."""
        return await amount(purge, await self._reader.way_of(purge.query), self._reader.rows)

    async def way_of(self, query: EventQuery) -> tuple[int, int, Plan]:
        """See EventReader."""
        return await self._reader.way_of(query)

    async def rollups(self, wanted: Wanted) -> Found:
        """See EventReader."""
        return await self._reader.rollups(wanted)

    async def not_rolled_up(self) -> int:
        """See EventReader."""
        return await self._reader.not_rolled_up()

    async def figures(self, query: EventQuery, dimension: str) -> dict[str, Cell]:
        """See EventReader."""
        return await self._reader.figures(query, dimension)

    async def unpriced(self, since_ms: int) -> list[tuple[str, str, int]]:
        """See EventReader."""
        return await self._reader.unpriced(since_ms)
