"""Roll-ups follow events that change after they were folded: a score, or a price, that came late."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiosqlite

from proxy.events.rollups.cells import (
    COUNTS,
    EVENT_COLUMNS,
    USER,
    Cell,
    Cells,
    Key,
    Measured,
    pack,
    sketches_of,
    unpack_into,
)
from proxy.events.rollups.table import BLOB_COLUMNS, COLUMNS, KEY_COLUMNS, MARK, OTHER, PUT, THIS
from proxy.events.sketch import Sketch

_ROWS = f"SELECT {EVENT_COLUMNS} FROM events WHERE seq IN (SELECT value FROM json_each(?)) ORDER BY seq"
_THERE = f"SELECT {', '.join(COLUMNS)} FROM rollups WHERE {THIS}"
_SEQ, _TIMESTAMP, _SPLIT, _TAG = (
    EVENT_COLUMNS.split(", ").index(n) for n in ("seq", "timestamp_ms", "split", "ab_tag")
)


@dataclass(frozen=True, slots=True)
class Amendment:
    """How an event differs from what it was: `counts` are differences by their names in COUNTS."""

    timestamp_ms: int
    split: str | None
    tag: str | None
    counts: Mapping[str, int]


@asynccontextmanager
async def amending(connection: aiosqlite.Connection, seqs: Sequence[int]) -> AsyncIterator[list[Amendment]]:
    """Within it the events of `seqs` may change in their figures, not in what they are counted under.

    To be used inside one transaction: the difference is added to every cell that counts them. A cell whose events
    are partly forgotten keeps what it has of those. What changed is in the list once it is left.
    """
    changed: list[Amendment] = []
    before = await _rows(connection, seqs)
    yield changed
    pairs = list(zip(before, await _rows(connection, seqs), strict=True))
    changed.extend(_amendment(*pair) for pair in pairs)
    mark = next(iter(await connection.execute_fetchall(MARK)))[0]
    difference = Cells()
    for old, new in pairs:
        # What is not folded yet will be counted as it is then.
        if new[_SEQ] <= mark:
            difference.add(old, -1)
            difference.add(new)
    for key, cell in difference.spread().items():
        await _apply(connection, key, cell)


async def _rows(connection: aiosqlite.Connection, seqs: Sequence[int]) -> list[Any]:
    return list(await connection.execute_fetchall(_ROWS, (str(list(seqs)),)))


def _amendment(old: Sequence[Any], new: Sequence[Any]) -> Amendment:
    counts = [0] * len(COUNTS)
    for row, times in ((old, -1), (new, 1)):
        for index, number in Measured(row[USER + 1 :], times).counts:
            counts[index] += number
    return Amendment(
        new[_TIMESTAMP],
        new[_SPLIT],
        new[_TAG],
        {name: number for name, number in zip(COUNTS, counts, strict=True) if number},
    )


async def _apply(connection: aiosqlite.Connection, key: Key, more: Cell) -> None:
    if more.is_nothing():
        return
    there = list(await connection.execute_fetchall(_THERE, key))
    if not there and key[1] == "user":
        # Its row may have gone into that of the many.
        there = list(await connection.execute_fetchall(_THERE, (*key[:-1], OTHER)))
    if there:
        await connection.execute(PUT, _together(there[0], more))


def _together(row: Sequence[Any], more: Cell) -> tuple[Any, ...]:
    """A row of the roll-ups with a difference added."""
    blobs = len(row) - BLOB_COLUMNS
    counts = len(more.counts) + KEY_COLUMNS
    return (
        *row[:KEY_COLUMNS],
        *(mine + its for mine, its in zip(row[KEY_COLUMNS:counts], more.counts, strict=True)),
        # What is left of a sum of squares after as much was taken away is not always 0, but never less.
        *(max(mine + its, 0.0) for mine, its in zip(row[counts:blobs], more.squares, strict=True)),
        *(
            _sketch(mine, its)
            for mine, its in zip(row[blobs : blobs + sketches_of(row[0])], more.sketches, strict=False)
        ),
        *row[blobs + sketches_of(row[0]) :],
    )


def _sketch(packed: bytes | None, more: Sketch) -> bytes | None:
    sketch = Sketch()
    unpack_into(sketch, packed)
    sketch.merge(more)
    sketch.buckets = {bucket: count for bucket, count in sketch.buckets.items() if count}
    return pack(sketch)
