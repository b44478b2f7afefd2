"""Folding stored events into the roll-ups, each exactly once.

`rollup_mark` names the last seq that was folded and is moved in the transaction that folds: after a crash the
rest is folded from the events themselves, which is also how a store without roll-ups gets its own. Readers add the
events beyond the mark, so that nothing is ever missing or counted twice.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiosqlite

from proxy.base.sanitise import sanitise
from proxy.events.errors import StoreError
from proxy.events.rollups.cells import (
    COUNTS,
    DAY_MS,
    EVENT_COLUMNS,
    GRAINS,
    HOUR_MS,
    MINUTE_MS,
    SKETCHES,
    SKETCHES_OF_MINUTES,
    SQUARES,
    USER,
    Cell,
    Cells,
    Key,
    merge_packed,
    millionths,
    pack,
    unpack_into,
    values_of,
)
from proxy.events.sketch import Sketch

BATCH = 500
"""Events folded in one transaction."""
COUNTED_AWAY = 1_000
"""The same where they are counted in another process: what comes back must be unpacked here in a few milliseconds."""
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
ANEW = ("DROP TABLE rollups", SCHEMA[0], "UPDATE rollup_mark SET seq = 0")
"""Statements after which everything that is still there is folded again."""
_COLUMNS = ("grain", "dimension", "start_ms", "value", *COUNTS, *SQUARES, *_BLOBS)
_UPSERT = (
    f"INSERT INTO rollups ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "
    "ON CONFLICT (grain, dimension, start_ms, value) DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in (*COUNTS, *SQUARES))
    + ", "
    + ", ".join(f"{name} = merge_sketches({name}, excluded.{name})" for name in _BLOBS)
)
_SCORED = (
    "UPDATE rollups SET scored = scored + ?, quality_e6 = quality_e6 + ? "
    "WHERE grain = ? AND dimension = ? AND start_ms = ? AND value = ?"
)
MARK = "SELECT seq FROM rollup_mark"


async def prepare(connection: aiosqlite.Connection) -> None:
    """Teach `connection` how to merge sketches."""
    await connection.create_function("merge_sketches", 2, merge_packed, deterministic=True)


@dataclass(frozen=True, slots=True)
class Counted:
    """What a run of events adds to the roll-ups."""

    after_seq: int
    """The mark it was counted from; it fits no other."""
    last_seq: int
    events: int
    rows: list[tuple[object, ...]]
    user_buckets: set[tuple[int, int]]


_NEXT = f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT ?"


def count(path: Path, limit: int) -> Counted | None:
    """The oldest events that are not folded yet, at most `limit`, counted; None when there are none.

    Blocking, reads only: for another process than the one that writes. Raises StoreError.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2.0)) as store:
            store.execute("PRAGMA query_only=1")
            store.execute("PRAGMA wal_autocheckpoint=0")
            mark = store.execute(MARK).fetchone()[0]
            rows = store.execute(_NEXT, (mark, limit)).fetchall()
    except sqlite3.Error as error:
        raise StoreError(f"cannot read the event store {path}: {sanitise(error, 200)}") from None
    cells = Cells()
    for row in rows:
        cells.add(row)
    return _counted(mark, rows, cells)


async def fold_some(connection: aiosqlite.Connection) -> int:
    """Fold the oldest events that are not folded yet, at most BATCH; how many.

    Raises sqlite3.Error; then nothing was folded.
    """
    mark = await _number(connection, MARK)
    rows = list(await connection.execute_fetchall(_NEXT, (mark, BATCH)))
    cells = Cells()
    for number, row in enumerate(rows):
        cells.add(tuple(row))
        if number % _YIELD_AFTER == 0:
            await asyncio.sleep(0)
    counted = _counted(mark, rows, cells)
    return 0 if counted is None else await take_in(connection, counted)


def _counted(mark: int, rows: Sequence[Any], cells: Cells) -> Counted | None:
    if not rows:
        return None
    spread = cells.spread()
    users = {(key[0], key[2]) for key in spread if key[1] == "user"}
    return Counted(mark, rows[-1][0], len(rows), [_row(key, cell) for key, cell in spread.items()], users)


async def take_in(connection: aiosqlite.Connection, counted: Counted) -> int:
    """Add what was counted; how many events that were, 0 when the mark is another by now.

    Raises sqlite3.Error; then nothing was folded.
    """
    await connection.execute("BEGIN IMMEDIATE")
    try:
        if await _number(connection, MARK) != counted.after_seq:
            await connection.execute("ROLLBACK")
            return 0
        await connection.executemany(_UPSERT, counted.rows)
        await _cut_users(connection, counted.user_buckets)
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
        await connection.execute(
            f"DELETE FROM rollups WHERE {of} AND value IN (SELECT value FROM json_each(?))",
            (*bucket, json.dumps([row[3] for row in rows])),
        )
        # One row of all of them: each one merged by itself would unpack and pack those of `other` again.
        await connection.execute(_UPSERT, (*rows[0][:3], OTHER, *await _together(rows)))


async def _together(rows: Sequence[Any]) -> list[object]:
    """Counts, squares and packed sketches of all `rows`, which begin with their key."""
    first = 4 + len(COUNTS) + len(SQUARES)
    sums = list(rows[0][4:first])
    sketches = [Sketch() for _ in SKETCHES]
    for number, row in enumerate(rows):
        if number:
            sums = [mine + its for mine, its in zip(sums, row[4:first], strict=True)]
        for sketch, packed in zip(sketches, row[first:], strict=True):
            unpack_into(sketch, packed)
        if number % _YIELD_AFTER == 0:
            await asyncio.sleep(0)
    return [*sums, *(pack(sketch) for sketch in sketches)]


async def _number(connection: aiosqlite.Connection, sql: str, values: tuple[object, ...] = ()) -> int:
    rows = await connection.execute_fetchall(sql, values)
    return int(next(iter(rows))[0])
