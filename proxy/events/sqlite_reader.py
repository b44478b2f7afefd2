"""Reading the event database: short reads, page by page, on connections that cannot write."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from proxy.base.sanitise import sanitise
from proxy.events import bodies
from proxy.events.bodies import FoundBodies
from proxy.events.codec import from_row
from proxy.events.errors import StoreError
from proxy.events.event import Event
from proxy.events.feedback import NEWEST, Feedback
from proxy.events.feedback import from_row as feedback_from_row
from proxy.events.rollups.cells import EVENT_COLUMNS, HOUR_MS, Cell, Cells
from proxy.events.rollups.read import Found, Wanted, read
from proxy.events.rollups.table import MARK
from proxy.events.sqlite_indexes import BLOCK_BITS, BLOCKS_BETWEEN
from proxy.events.sqlite_plan import Plan, bounded, plan, window
from proxy.events.sqlite_schema import SELECT, open_reader
from proxy.events.store import EventQuery

PAGE = 500
SLICE = 100_000
"""Seqs that one read looks through at most."""
_TOP = 2**63 - 1


class EventReader:
    """A read-only view of the store, also for other processes; up to `connections` reads at once."""

    def __init__(self, path: Path, connections: int = 3) -> None:
        self._path = path
        self._free: list[aiosqlite.Connection] = []
        self._room = asyncio.Semaphore(connections)
        self._closed = False

    async def close(self) -> None:
        """Close the connections; a read under way closes its own when it ends."""
        self._closed = True
        await self.reset()

    async def reset(self) -> None:
        """Let later reads begin on new connections."""
        while self._free:
            await self._free.pop().close()

    async def total(self) -> int:
        """Number of stored events, counted."""
        return int((await self.rows("SELECT count(*) FROM events", ()))[0][0])

    async def count_between(self, spans: Sequence[tuple[int, int | None]]) -> list[int]:
        """How many events arrived in each span of milliseconds since 1970; an end of None is open.

        Read from the index by time alone, so that a count costs no row.
        """
        if not spans:
            return []
        one = (
            "SELECT count(*) FROM events INDEXED BY events_timestamp "
            "WHERE timestamp_ms >= ? AND timestamp_ms < ?"
        )
        found: list[int] = []
        for since, until in spans:
            rows = await self.rows(one, (bounded(since), _TOP if until is None else bounded(until)))
            found.append(int(rows[0][0]))
        return found

    async def get(self, event_id: str) -> Event | None:
        """One event by id."""
        rows = await self.rows(f"{SELECT} WHERE id = ?", (event_id.encode("utf-8", "replace").decode(),))
        return from_row(rows[0]) if rows else None

    async def feedback_of(self, event_id: str) -> list[Feedback]:
        """What was said of one event, newest first, up to `feedback.SHOWN`."""
        rows = await self.rows(NEWEST, (event_id.encode("utf-8", "replace").decode(),))
        return [feedback_from_row(row) for row in rows]

    async def bodies_of(self, event_id: str) -> FoundBodies | None:
        """The bodies of one event; None when there is no such event."""
        rows = await self.rows(bodies.FIND, (event_id.encode("utf-8", "replace").decode(),))
        return bodies.from_row(rows[0]) if rows else None

    async def unpriced(self, since_ms: int) -> list[tuple[str, str, int]]:
        """(target, model, requests) that went upstream since `since_ms` and whose cost is not known; most first."""
        rows = await self.rows(
            "SELECT coalesce(target, ''), model, count(*) FROM events INDEXED BY events_timestamp "
            "WHERE timestamp_ms >= ? AND cost_status = 'unpriced' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2",
            (bounded(since_ms),),
        )
        return [(target, model, count) for target, model, count in rows]

    async def not_rolled_up(self) -> int:
        """Stored events that are not in the roll-ups yet."""
        one = f"SELECT count(*) FROM events WHERE seq > ({MARK})"
        return int((await self.rows(one, ()))[0][0])

    async def rollups(self, wanted: Wanted) -> Found:
        """Figures of a window, from the roll-ups."""
        async with self._connection() as connection:
            try:
                return await read(connection, wanted)
            except sqlite3.Error as error:
                raise StoreError(
                    f"cannot read the event store {self._path}: {sanitise(error, 200)}"
                ) from None

    async def figures(self, query: EventQuery, dimension: str) -> dict[str, Cell]:
        """The cells of one dimension over the events of `query`, counted from the events; `limit` does not count."""
        low, high = await self._bounds(query)
        way = await plan(query, low, high, self.rows, PAGE)
        cells = Cells()
        while low <= high:
            last = min(high, low + SLICE - 1)
            sql, values = way.seqs(low, last, True, SLICE)
            for row in await self.rows(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE seq IN (SELECT seq FROM ({sql}))", values
            ):
                cells.add(row)
            low = last + 1
        found: dict[str, Cell] = {}
        for (grain, its, _, value), cell in cells.spread().items():
            if its == dimension and grain == HOUR_MS:
                found.setdefault(value, Cell()).merge(cell)
        return found

    async def way_of(self, query: EventQuery) -> tuple[int, int, Plan]:
        """Lowest and highest seq at which `query` can find anything, and the cheapest way through them."""
        low, high = await self._bounds(query)
        return low, high, await plan(query, low, high, self.rows, PAGE)

    async def query(self, query: EventQuery) -> AsyncIterator[Event]:
        """The events of `query` in pages. Rows inserted after the first page are left out.

        No read looks at more than SLICE seqs, so none is long whatever is asked; what is found comes out at once.
        """
        if query.limit is not None and query.limit <= 0:
            return
        low, high = await self._bounds(query)
        if low > high:
            return
        way = await plan(query, low, high, self.rows, PAGE)
        if query.ascending and query.limit is not None and not query.keep_oldest:
            low = await self._newest_from(low, high, way, query.limit)
        left = query.limit
        while low <= high:
            size = PAGE if left is None else min(PAGE, left)
            first, last = (
                (low, min(high, low + SLICE - 1)) if query.ascending else (max(low, high - SLICE + 1), high)
            )
            sql, values = way.seqs(first, last, query.ascending, size)
            order = "ASC" if query.ascending else "DESC"
            rows = await self.rows(
                f"{SELECT} WHERE seq IN (SELECT seq FROM ({sql})) ORDER BY seq {order}", values
            )
            for row in rows:
                yield from_row(row)
            if left is not None:
                left -= len(rows)
                if left <= 0:
                    return
            whole = len(rows) < size
            if query.ascending:
                low = last + 1 if whole else rows[-1][0] + 1
            else:
                high = first - 1 if whole else rows[-1][0] - 1

    async def _bounds(self, query: EventQuery) -> tuple[int, int]:
        """Lowest and highest seq that can match, near enough; an empty range when nothing can."""
        first, last = (
            await self.rows("SELECT (SELECT min(seq) FROM events), (SELECT max(seq) FROM events)", ())
        )[0]
        if first is None:
            return 1, 0
        since, until = window(query)
        if since is not None or until is not None:
            span = (-_TOP if since is None else bounded(since), _TOP if until is None else bounded(until))
            low_block, high_block = (await self.rows(BLOCKS_BETWEEN, span))[0]
            if low_block is None:
                return 1, 0
            first = max(first, low_block << BLOCK_BITS)
            last = min(last, ((high_block + 1) << BLOCK_BITS) - 1)
        low = max(first, bounded(query.after_seq) + 1) if query.after_seq is not None else first
        high = min(last, bounded(query.before_seq) - 1) if query.before_seq is not None else last
        return low, high

    async def _newest_from(self, low: int, high: int, way: Plan, limit: int) -> int:
        """The seq from which on `limit` events match."""
        left, lowest = limit, high + 1
        while low <= high and left > 0:
            first = max(low, high - SLICE + 1)
            sql, values = way.seqs(first, high, False, bounded(left))
            count, found = (await self.rows(f"SELECT count(*), min(seq) FROM ({sql})", values))[0]
            left -= count
            lowest = lowest if found is None else found
            high = first - 1
        return int(lowest)

    async def rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """What a SELECT finds. Raises StoreError."""
        async with self._connection() as connection:
            try:
                return list(await connection.execute_fetchall(sql, values))
            except sqlite3.Error as error:
                raise StoreError(
                    f"cannot read the event store {self._path}: {sanitise(error, 200)}"
                ) from None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[aiosqlite.Connection]:
        async with self._room:
            connection = self._free.pop() if self._free else await open_reader(self._path)
            try:
                yield connection
            except BaseException:
                # A cancelled read still runs in its thread; a failed one may sit on a file that was moved.
                await connection.interrupt()
                await asyncio.shield(connection.close())
                raise
            if self._closed:
                await connection.close()
            else:
                self._free.append(connection)
