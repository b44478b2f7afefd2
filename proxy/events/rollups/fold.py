"""Folding stored events into the roll-ups, each exactly once.

`rollup_mark` names the last seq that was folded and is moved in the transaction that folds: after a crash the
rest is folded from the events themselves, which is also how a store without roll-ups gets its own. Readers add the
events beyond the mark, so that nothing is ever missing or counted twice.
"""

from __future__ import annotations

from typing import Any

import aiosqlite

from proxy.events.rollups.cells import EVENT_COLUMNS, GRAINS, USER, millionths, values_of
from proxy.events.rollups.counting import Counted, rows_of
from proxy.events.rollups.table import COLUMNS, KEEP_MS, KEY_COLUMNS, MARK, OTHER

_FORGET = 2_000
_THIS = " AND ".join(f"{name} = ?" for name in COLUMNS[:KEY_COLUMNS])
_PUT = f"INSERT OR REPLACE INTO rollups ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
_DELETE = f"DELETE FROM rollups WHERE {_THIS}"
_SCORED = f"UPDATE rollups SET scored = scored + ?, quality_e6 = quality_e6 + ? WHERE {_THIS}"


async def take_in(connection: aiosqlite.Connection, counted: Counted) -> int:
    """Put what was worked out in its place; how many events that were, 0 when the mark is another by now.

    The roll-ups must be those it was worked out from: nothing may have been scored meanwhile.
    Raises sqlite3.Error; then nothing was folded.
    """
    await connection.execute("BEGIN IMMEDIATE")
    try:
        if await _number(connection, MARK) != counted.after_seq:
            await connection.execute("ROLLBACK")
            return 0
        for part in counted.gone:
            await connection.executemany(_DELETE, rows_of(part))
        for part in counted.parts:
            await connection.executemany(_PUT, rows_of(part))
        await connection.execute("UPDATE rollup_mark SET seq = ?", (counted.last_seq,))
        await connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            await connection.execute("ROLLBACK")
        raise
    return counted.events


async def score_changed(
    connection: aiosqlite.Connection, seq: int, before: float | None, after: float
) -> None:
    """The quality score of an event is another one: where it is folded already, its cells follow.

    Within the transaction that changes the score, before it is changed.
    """
    if seq > await _number(connection, MARK):
        return
    found = list(
        await connection.execute_fetchall(f"SELECT {EVENT_COLUMNS} FROM events WHERE seq = ?", (seq,))
    )
    if not found:
        return
    row = found[0]
    more = (int(before is None), millionths(after) - millionths(before))
    keys = [
        (grain, dimension, row[1] // grain * grain, value)
        for dimension, value in values_of(row[2:USER])
        for grain in GRAINS
    ]
    await connection.executemany(_SCORED, [(*more, *key) for key in keys])
    for grain in GRAINS[1:] if row[USER] is not None else ():
        start = row[1] // grain * grain
        cursor = await connection.execute(_SCORED, (*more, grain, "user", start, str(row[USER])))
        if not cursor.rowcount:
            await connection.execute(_SCORED, (*more, grain, "user", start, OTHER))


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


async def _number(connection: aiosqlite.Connection, sql: str, values: tuple[Any, ...] = ()) -> int:
    rows = await connection.execute_fetchall(sql, values)
    return int(next(iter(rows))[0])
