"""What the next events make of the roll-ups: read and worked out, for another to write.

Only reads, and blocks: it runs in a process of its own, or in a thread where there are few events.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from proxy.base.sanitise import sanitise
from proxy.events.errors import StoreError
from proxy.events.rollups.cells import (
    COUNTS,
    EVENT_COLUMNS,
    Cell,
    Cells,
    Key,
    merge_packed,
    pack,
    sketches_of,
    unpack_into,
)
from proxy.events.rollups.table import (
    BLOB_COLUMNS,
    COLUMNS,
    KEY_COLUMNS,
    MARK,
    OTHER,
    TOP_USERS,
    USERS_BEFORE_CUT,
)
from proxy.events.sketch import Sketch

AT_MOST = 5_000
"""Events counted in one go."""
_PART = 64
"""Rows of one part: unpacking it must not hold up a request."""
_MOST = 2**63 - 1
_REQUESTS = KEY_COLUMNS + COUNTS.index("requests")
_NEXT = f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT ?"
_OF_BUCKET = f"SELECT {', '.join(COLUMNS)} FROM rollups WHERE grain = ? AND dimension = ? AND start_ms = ?"
_OF_KEY = f"{_OF_BUCKET} AND value = ?"

Row = Sequence[Any]
"""A row of the roll-ups, as COLUMNS."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What the roll-ups become with a run of events."""

    after_seq: int
    """The mark it was worked out from; it fits no other."""
    last_seq: int
    events: int
    parts: tuple[bytes, ...]
    """Rows that take the place of those with their keys; read by `rows_of`."""
    gone: tuple[bytes, ...]
    """Keys of rows that there are no more; read by `rows_of`."""


def rows_of(part: bytes) -> list[list[Any]]:
    """The rows or keys of one part."""
    rows: list[list[Any]] = msgspec.msgpack.decode(part)
    return rows


def count(path: Path, limit: int) -> Counted | None:
    """What the oldest events that are not folded yet, at most `limit`, make of the roll-ups; None without any.

    Raises StoreError.
    """
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2.0)) as store:
            store.execute("PRAGMA query_only=1")
            store.execute("PRAGMA wal_autocheckpoint=0")
            # One snapshot: what is there already must be of the same moment as the mark.
            store.execute("BEGIN")
            return _count(store, limit)
    except sqlite3.Error as error:
        raise StoreError(f"cannot read the event store {path}: {sanitise(error, 200)}") from None


def _count(store: sqlite3.Connection, limit: int) -> Counted | None:
    mark = store.execute(MARK).fetchone()[0]
    cells = Cells()
    last = events = 0
    for row in store.execute(_NEXT, (mark, limit)):
        cells.add(row)
        last, events = row[0], events + 1
    if not events:
        return None
    rows: list[Row] = []
    gone: list[Row] = []
    users: dict[tuple[int, str, int], list[Row]] = {}
    for key, cell in cells.spread().items():
        if key[1] == "user":
            users.setdefault(key[:3], []).append(_row(key, cell))
        else:
            rows.append(_with(store.execute(_OF_KEY, key).fetchone(), _row(key, cell)))
    for bucket, more in users.items():
        kept, cut = _users(store.execute(_OF_BUCKET, bucket), more)
        rows.extend(kept)
        gone.extend(cut)
    return Counted(mark, last, events, _parts(rows), _parts(gone))


def _row(key: Key, cell: Cell) -> Row:
    kept = sketches_of(key[0])
    packed = [pack(sketch) if index < kept else None for index, sketch in enumerate(cell.sketches)]
    return (*key, *cell.counts, *cell.squares, *packed)


def _with(there: Row | None, more: Row) -> Row:
    """Both rows of one key together."""
    if there is None:
        return more
    sketches = len(more) - BLOB_COLUMNS
    return (
        *more[:KEY_COLUMNS],
        *(_bounded(one + other) for one, other in _pairs(there, more, KEY_COLUMNS, sketches)),
        *(merge_packed(one, other) for one, other in _pairs(there, more, sketches, len(more))),
    )


def _bounded(total: float) -> float:
    """A sum of whole numbers stays within what a column holds."""
    return min(total, _MOST) if isinstance(total, int) else total


def _pairs(one: Row, other: Row, first: int, end: int) -> Iterator[tuple[Any, Any]]:
    return zip(one[first:end], other[first:end], strict=True)


def _users(there: Iterable[Row], more: list[Row]) -> tuple[list[Row], list[Row]]:
    """Rows to be written of one bucket of users, and keys to be deleted.

    Where it names too many users, those with the fewest requests go into `other`.
    """
    before = {row[KEY_COLUMNS - 1]: row for row in there}
    changed = {row[KEY_COLUMNS - 1]: _with(before.get(row[KEY_COLUMNS - 1]), row) for row in more}
    everyone = before | changed
    if len(everyone) - (OTHER in everyone) <= USERS_BEFORE_CUT:
        return list(changed.values()), []
    named = [row for value, row in everyone.items() if value != OTHER]
    named.sort(key=lambda row: (-row[_REQUESTS], row[KEY_COLUMNS - 1]))
    kept, cut = named[:TOP_USERS], named[TOP_USERS:]
    rest = _together([*cut, everyone[OTHER]] if OTHER in everyone else cut)
    names = {row[KEY_COLUMNS - 1] for row in cut}
    return (
        [*(row for row in kept if row[KEY_COLUMNS - 1] in changed), rest],
        [row[:KEY_COLUMNS] for value, row in before.items() if value in names],
    )


def _together(rows: Sequence[Row]) -> Row:
    """All `rows` as the one of `other`; each sketch is packed only once."""
    sketches = len(rows[0]) - BLOB_COLUMNS
    sums = [
        _bounded(sum(column)) for column in zip(*(row[KEY_COLUMNS:sketches] for row in rows), strict=True)
    ]
    merged = [Sketch() for _ in range(BLOB_COLUMNS)]
    for row in rows:
        for sketch, packed in zip(merged, row[sketches:], strict=True):
            unpack_into(sketch, packed)
    return (*rows[0][: KEY_COLUMNS - 1], OTHER, *sums, *map(pack, merged))


def _parts(rows: Iterable[Row]) -> tuple[bytes, ...]:
    coming = iter(rows)
    parts = []
    while part := list(islice(coming, _PART)):
        parts.append(msgspec.msgpack.encode(part))
    return tuple(parts)
