"""Folding stored events into the roll-ups, each exactly once.

`rollup_mark` names the last seq that was folded and is moved in the transaction that folds: after a crash the
rest is folded from the events themselves, which is also how a store without roll-ups gets its own. Readers add the
events beyond the mark, so that nothing is ever missing or counted twice.
"""

from __future__ import annotations

import aiosqlite

from proxy.events.rollups.counting import Counted, rows_of
from proxy.events.rollups.table import KEEP_MS, MARK, PUT, THIS

_FORGET = 2_000
_DELETE = f"DELETE FROM rollups WHERE {THIS}"


async def take_in(connection: aiosqlite.Connection, counted: Counted) -> int:
    """Put what was worked out in its place; how many events that were, 0 when the mark is another by now.

    The roll-ups must be those it was worked out from: no event may have been amended meanwhile.
    Raises sqlite3.Error; then nothing was folded.
    """
    await connection.execute("BEGIN IMMEDIATE")
    try:
        if await _mark(connection) != counted.after_seq:
            await connection.execute("ROLLBACK")
            return 0
        for part in counted.gone:
            await connection.executemany(_DELETE, rows_of(part))
        for part in counted.parts:
            await connection.executemany(PUT, rows_of(part))
        await connection.execute("UPDATE rollup_mark SET seq = ?", (counted.last_seq,))
        await connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            await connection.execute("ROLLBACK")
        raise
    return counted.events


async def forget_some(connection: aiosqlite.Connection, now_ms: int) -> int:
    """Delete some buckets that are past their time; how many rows."""
    gone = 0
    for grain, age_ms in KEEP_MS.items():
        cursor = await connection.execute(
            "DELETE FROM rollups WHERE (grain, dimension, start_ms, value) IN (SELECT grain, dimension, start_ms, "
            "value FROM rollups WHERE grain = ? AND start_ms < ? LIMIT ?)",
            (grain, now_ms - age_ms, _FORGET),
        )
        gone += cursor.rowcount
    return gone


async def _mark(connection: aiosqlite.Connection) -> int:
    rows = await connection.execute_fetchall(MARK)
    return int(next(iter(rows))[0])
