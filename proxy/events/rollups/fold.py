"""Folding stored events into the roll-ups, each exactly once.

`rollup_mark` names the last seq that was folded and is moved in the transaction that folds: after a crash the
rest is folded from the events themselves, which is also how a store without roll-ups gets its own. Readers add the
events beyond the mark, so that nothing is ever missing or counted twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import aiosqlite

from proxy.events.rollups.cells import (
    COUNTS,
    DAY_MS,
    EVENT_COLUMNS,
    HOUR_MS,
    MINUTE_MS,
    SKETCHES,
    SKETCHES_OF_MINUTES,
    SQUARES,
    Cell,
    Cells,
    Key,
    merge_packed,
    pack,
)

BATCH = 500
"""Events folded in one transaction."""
KEEP_MS = {MINUTE_MS: 30 * DAY_MS, HOUR_MS: 400 * DAY_MS}
"""How long buckets are kept, by width; days for ever."""
TOP_USERS = 200
_USERS_BEFORE_CUT = 2 * TOP_USERS
OTHER = "other"
"""The users of a bucket beyond the top."""
_YIELD_AFTER = 100
_FORGET = 2_000

_BLOBS = tuple(f"{name}_sketch" for name in SKETCHES)
SCHEMA = (
    "CREATE TABLE rollups (grain INTEGER NOT NULL, dimension TEXT NOT NULL, start_ms INTEGER NOT NULL, "
    "value TEXT NOT NULL, "
    + ", ".join(f"{name} INTEGER NOT NULL" for name in COUNTS)
    + ", "
    + ", ".join(f"{name} REAL NOT NULL" for name in SQUARES)
    + ", "
    + ", ".join(f"{name} BLOB" for name in _BLOBS)
    + ", PRIMARY KEY (grain, dimension, start_ms, value)) WITHOUT ROWID",
    "CREATE TABLE rollup_mark (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL)",
    "INSERT INTO rollup_mark VALUES (1, 0)",
)
_COLUMNS = ("grain", "dimension", "start_ms", "value", *COUNTS, *SQUARES, *_BLOBS)
_UPSERT = (
    f"INSERT INTO rollups ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    "ON CONFLICT (grain, dimension, start_ms, value) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in (*COUNTS, *SQUARES))
    + ", "
    + ", ".join(f"{name} = merge_sketches({name}, excluded.{name})" for name in _BLOBS)
)
MARK = "SELECT seq FROM rollup_mark"


async def prepare(connection: aiosqlite.Connection) -> None:
    """Teach `connection` how to merge sketches."""
    await connection.create_function("merge_sketches", 2, merge_packed, deterministic=True)


async def fold_some(connection: aiosqlite.Connection) -> int:
    """Fold the oldest events that are not folded yet, at most BATCH; how many.

    Raises sqlite3.Error; then nothing was folded.
    """
    mark = await _number(connection, MARK)
    rows = list(
        await connection.execute_fetchall(
            f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (mark, BATCH)
        )
    )
    if not rows:
        return 0
    cells = Cells()
    for number, row in enumerate(rows):
        cells.add(tuple(row))
        if number % _YIELD_AFTER == 0:
            await asyncio.sleep(0)
    spread = cells.spread()
    await connection.execute("BEGIN IMMEDIATE")
    try:
        await connection.executemany(_UPSERT, [_row(key, cell) for key, cell in spread.items()])
        await _cut_users(connection, {(key[0], key[2]) for key in spread if key[1] == "user"})
        await connection.execute("UPDATE rollup_mark SET seq = ?", (rows[-1][0],))
        await connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            await connection.execute("ROLLBACK")
        raise
    return len(rows)


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


def _row(key: Key, cell: Cell) -> tuple[object, ...]:
    kept = SKETCHES_OF_MINUTES if key[0] == MINUTE_MS else len(SKETCHES)
    packed = [pack(sketch) if index < kept else None for index, sketch in enumerate(cell.sketches)]
    return (*key, *cell.counts, *cell.squares, *packed)


async def _cut_users(connection: aiosqlite.Connection, buckets: Iterable[tuple[int, int]]) -> None:
    """Where a bucket names too many users, those with the fewest requests go into `other`."""
    of = "grain = ? AND dimension = 'user' AND start_ms = ?"
    for bucket in buckets:
        if await _number(connection, f"SELECT count(*) FROM rollups WHERE {of}", bucket) <= _USERS_BEFORE_CUT:
            continue
        rows = list(
            await connection.execute_fetchall(
                f"SELECT {', '.join(_COLUMNS)} FROM rollups WHERE {of} AND value <> ? "
                "ORDER BY requests DESC, value LIMIT -1 OFFSET ?",
                (*bucket, OTHER, TOP_USERS),
            )
        )
        await connection.executemany(
            f"DELETE FROM rollups WHERE {of} AND value = ?", [(*bucket, row[3]) for row in rows]
        )
        await connection.executemany(_UPSERT, [(*row[:3], OTHER, *row[4:]) for row in rows])


async def _number(connection: aiosqlite.Connection, sql: str, values: tuple[object, ...] = ()) -> int:
    rows = await connection.execute_fetchall(sql, values)
    return int(next(iter(rows))[0])
