"""What is forgotten: events beyond an age or beyond a size, the oldest first and a few at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import aiosqlite

from proxy.events import bodies
from proxy.events.rollups.table import MARK
from proxy.events.sqlite_indexes import FORGET_BLOCKS

DAY_MS = 86_400_000
BATCH = 1_000
"""Events forgotten in one transaction: short enough for appends to wait behind it."""
_PAGES = 512
"""Empty pages given back to the file system after a batch."""

Reason = Literal["age", "size", "bodies"]
_FEW_BODIES = 100
"""Bodies let go in one transaction: each may be of many pages."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept of single events; the roll-ups stay longer."""

    age_ms: int = 30 * DAY_MS
    """By arrival."""
    size_bytes: int = 2 * 1024**3
    """Of the database, without its empty pages."""
    bodies_age_ms: int = 7 * DAY_MS
    """Of bodies, by arrival of their event."""
    bodies_bytes: int = 512 * 1024**2
    """Of all bodies together, as they are stored."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What one batch took away."""

    events: int
    reason: Reason
    bodies: int = 0
    """Let go alone, their events stay."""


async def forget_some(connection: aiosqlite.Connection, limits: Limits, now_ms: int) -> Forgotten | None:
    """Delete at most BATCH events that are over a limit, in a transaction of their own; None when none is.

    Only what the roll-ups have taken in goes.

    Raises sqlite3.Error; then nothing was deleted.
    """
    forgotten = await _delete(
        connection,
        "SELECT seq FROM events INDEXED BY events_timestamp WHERE timestamp_ms < ? "
        f"AND seq <= ({MARK}) ORDER BY timestamp_ms LIMIT ?",
        (now_ms - limits.age_ms, BATCH),
        "age",
    )
    if forgotten is None and await used_bytes(connection) > limits.size_bytes:
        chosen = f"SELECT seq FROM events WHERE seq <= ({MARK}) ORDER BY seq LIMIT ?"
        forgotten = await _delete(connection, chosen, (BATCH,), "size")
    if forgotten is None:
        forgotten = await _forget_bodies(connection, limits, now_ms)
    if forgotten is not None:
        # As a script: a single statement is stepped once, which gives back one page.
        await connection.executescript(f"PRAGMA incremental_vacuum({_PAGES})")
    return forgotten


async def _forget_bodies(connection: aiosqlite.Connection, limits: Limits, now_ms: int) -> Forgotten | None:
    rows = await connection.execute_fetchall(
        "SELECT (SELECT min(timestamp_ms) FROM event_bodies WHERE gone IS NULL), bytes FROM event_bodies_size"
    )
    oldest_ms, stored_bytes = next(iter(rows))
    before_ms = now_ms - limits.bodies_age_ms
    if oldest_ms is None:
        return None
    if oldest_ms < before_ms:
        chosen = f"{bodies.KEPT} AND timestamp_ms < ? ORDER BY timestamp_ms LIMIT ?"
        number = await bodies.empty(connection, chosen, (before_ms, _FEW_BODIES), "age", now_ms)
    elif stored_bytes > limits.bodies_bytes:
        chosen = f"{bodies.KEPT} ORDER BY timestamp_ms LIMIT ?"
        number = await bodies.empty(connection, chosen, (_FEW_BODIES,), "size", now_ms)
    else:
        return None
    return Forgotten(0, "bodies", number)


async def delete_seqs(connection: aiosqlite.Connection, seqs: Sequence[int]) -> tuple[int, int]:
    """Delete the events of `seqs` in a transaction of their own; how many, and how many of them had bodies.

    Feedback, bodies and the rows of side tables go with them. Raises sqlite3.Error; then nothing was deleted.
    """
    chosen = (str(list(seqs)),)
    await connection.execute("BEGIN IMMEDIATE")
    try:
        kept = f"SELECT count(*) FROM ({bodies.KEPT} AND event_seq IN (SELECT value FROM json_each(?)))"
        had = next(iter(await connection.execute_fetchall(kept, chosen)))[0]
        cursor = await connection.execute(
            "DELETE FROM events WHERE seq IN (SELECT value FROM json_each(?))", chosen
        )
        await connection.execute(FORGET_BLOCKS)
        await connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            await connection.execute("ROLLBACK")
        raise
    return cursor.rowcount, int(had)


async def used_bytes(connection: aiosqlite.Connection) -> int:
    """Bytes of the database that hold something."""
    rows = await connection.execute_fetchall(
        "SELECT (page_count - freelist_count) * page_size "
        "FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    )
    return int(next(iter(rows))[0])


async def _delete(
    connection: aiosqlite.Connection, chosen: str, values: tuple[int, ...], reason: Reason
) -> Forgotten | None:
    if not list(await connection.execute_fetchall(f"SELECT 1 FROM ({chosen}) LIMIT 1", values)):
        return None
    await connection.execute("BEGIN IMMEDIATE")
    try:
        cursor = await connection.execute(f"DELETE FROM events WHERE seq IN ({chosen})", values)
        number = cursor.rowcount
        await connection.execute(FORGET_BLOCKS)
        await connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            await connection.execute("ROLLBACK")
        raise
    return Forgotten(number, reason)
