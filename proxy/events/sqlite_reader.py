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
from proxy.events.codec import from_row
from proxy.events.errors import StoreError
from proxy.events.event import Event
from proxy.events.feedback import NEWEST, Feedback
from proxy.events.feedback import from_row as feedback_from_row
from proxy.events.filter import bounds, to_sql
from proxy.events.sqlite_schema import SELECT, open_reader
from proxy.events.store import EventQuery

PAGE = 500
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
        return int((await self._rows("SELECT count(*) FROM events", ()))[0][0])

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
            rows = await self._rows(one, (_bounded(since), _TOP if until is None else _bounded(until)))
            found.append(int(rows[0][0]))
        return found

    async def get(self, event_id: str) -> Event | None:
        """One event by id."""
        rows = await self._rows(f"{SELECT} WHERE id = ?", (event_id.encode("utf-8", "replace").decode(),))
        return from_row(rows[0]) if rows else None

    async def feedback_of(self, event_id: str) -> list[Feedback]:
        """What was said of one event, newest first, up to `feedback.SHOWN`."""
        rows = await self._rows(NEWEST, (event_id.encode("utf-8", "replace").decode(),))
        return [feedback_from_row(row) for row in rows]

    async def unpriced(self, since_ms: int) -> list[tuple[str, str, int]]:
        """(target, model, requests) that went upstream since `since_ms` and whose cost is not known; most first."""
        rows = await self._rows(
            "SELECT coalesce(target, ''), model, count(*) FROM events INDEXED BY events_timestamp "
            "WHERE timestamp_ms >= ? AND cost_status = 'unpriced' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2",
            (_bounded(since_ms),),
        )
        return [(target, model, count) for target, model, count in rows]

    async def query(self, query: EventQuery) -> AsyncIterator[Event]:
        """The events of `query` in pages. Rows inserted after the first page are left out."""
        if query.limit is not None and query.limit <= 0:
            return
        low, high = await self._bounds(query)
        where, values = _filters(query)
        if query.ascending and query.limit is not None:
            low = await self._newest_from(low, high, where, values, query.limit)
        left = query.limit
        while low <= high:
            size = PAGE if left is None else min(PAGE, left)
            order = "ASC" if query.ascending else "DESC"
            rows = await self._rows(
                f"{SELECT} WHERE seq BETWEEN ? AND ?{where} ORDER BY seq {order} LIMIT ?",
                (low, high, *values, size),
            )
            for row in rows:
                yield from_row(row)
            if len(rows) < size:
                return
            if left is not None:
                left -= len(rows)
                if left <= 0:
                    return
            if query.ascending:
                low = rows[-1][0] + 1
            else:
                high = rows[-1][0] - 1

    async def _bounds(self, query: EventQuery) -> tuple[int, int]:
        """Lowest and highest seq that can match; an empty range when nothing can."""
        since, until = _window(query)
        if since is None and until is None:
            rows = await self._rows("SELECT min(seq), max(seq) FROM events", ())
        else:
            rows = await self._rows(
                "SELECT min(seq), max(seq) FROM events INDEXED BY events_timestamp "
                "WHERE timestamp_ms >= ? AND timestamp_ms < ?",
                (-_TOP if since is None else _bounded(since), _TOP if until is None else _bounded(until)),
            )
        first, last = rows[0]
        if first is None:
            return 1, 0
        low = max(first, _bounded(query.after_seq) + 1) if query.after_seq is not None else first
        high = min(last, _bounded(query.before_seq) - 1) if query.before_seq is not None else last
        return low, high

    async def _newest_from(self, low: int, high: int, where: str, values: Sequence[Any], limit: int) -> int:
        """The seq from which on `limit` events match."""
        rows = await self._rows(
            "SELECT min(seq) FROM (SELECT seq FROM events "
            f"WHERE seq BETWEEN ? AND ?{where} ORDER BY seq DESC LIMIT ?)",
            (low, high, *values, _bounded(limit)),
        )
        return high + 1 if rows[0][0] is None else int(rows[0][0])

    async def _rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
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


def _bounded(value: int) -> int:
    return max(-_TOP, min(_TOP, value))


def _window(query: EventQuery) -> tuple[int | None, int | None]:
    """The window of the query and of its filter together."""
    low, high = bounds(query.where) if query.where is not None else (None, None)
    sinces = [bound for bound in (query.since_ms, low) if bound is not None]
    untils = [bound for bound in (query.until_ms, high) if bound is not None]
    return max(sinces, default=None), min(untils, default=None)


def _filters(query: EventQuery) -> tuple[str, list[Any]]:
    """Conditions after `seq BETWEEN`, and their values: columns are ours, values are always bound."""
    parts: list[str] = []
    values: list[Any] = []
    # The plus keeps SQLite on the walk by seq: the bounds have already used the index by time.
    if query.since_ms is not None:
        parts.append("+timestamp_ms >= ?")
        values.append(_bounded(query.since_ms))
    if query.until_ms is not None:
        parts.append("+timestamp_ms < ?")
        values.append(_bounded(query.until_ms))
    for column, wanted in (("model", query.model), ("ab_tag", query.tag)):
        if wanted is not None:
            parts.append(f"{column} = ?")
            values.append(wanted.encode("utf-8", "replace").decode())
    for column, wanted in (("provider", query.provider), ("decision", query.decision)):
        if wanted is not None:
            parts.append(f"+{column} = ?")
            values.append(wanted.encode("utf-8", "replace").decode())
    if query.where is not None:
        condition, bound = to_sql(query.where)
        parts.append(condition)
        values += bound
    return "".join(f" AND {part}" for part in parts), values
