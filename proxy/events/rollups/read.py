"""Figures of a window, from the roll-ups and the few events that are not in them yet."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiosqlite

from proxy.events.metrics import Tally
from proxy.events.rollups.cells import (
    COUNTS,
    DIMENSIONS,
    EVENT_COLUMNS,
    GRAINS,
    MINUTE_MS,
    SKETCHES,
    SQUARES,
    Cell,
    Cells,
    unpack_into,
)
from proxy.events.rollups.table import MARK

TAIL_EVENTS = 20_000
"""Events beyond the roll-ups that a read counts itself; more of them are there only while a store catches up."""
_END = 2**62
_FIRST = (*COUNTS, *SQUARES)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked: one dimension over a window of whole minutes, until exclusive."""

    dimension: str
    since_ms: int
    until_ms: int | None
    step_ms: int | None = None
    """Width of the points, a multiple of a minute; None: one figure for the window."""
    sketches: tuple[str, ...] = SKETCHES


@dataclass(frozen=True, slots=True)
class Found:
    """Cells by (start of the point, value); the start is 0 without steps."""

    cells: dict[tuple[int, str], Cell]
    complete: bool
    """False while a store is still being rolled up: the newest events are missing."""


def spans(since_ms: int, until_ms: int | None, widest_ms: int) -> Iterator[tuple[int, int, int]]:
    """(grain, from, until) that together cover the window, each in the widest buckets that fit."""
    until = _END if until_ms is None else -(-until_ms // MINUTE_MS) * MINUTE_MS
    low = high = None
    for grain in sorted((grain for grain in GRAINS if grain <= widest_ms), reverse=True):
        first = -(-since_ms // grain) * grain if grain != MINUTE_MS else since_ms // grain * grain
        last = until // grain * grain
        if low is None or high is None:
            if first < last:
                low, high = first, last
                yield grain, first, last
        else:
            if first < low:
                yield grain, first, low
                low = first
            if high < last:
                yield grain, high, last
                high = last


async def read(connection: aiosqlite.Connection, wanted: Wanted) -> Found:
    """The cells of `wanted`, as they stand at one moment. Raises sqlite3.Error."""
    if wanted.dimension not in DIMENSIONS:
        raise ValueError(f"no dimension {wanted.dimension!r}")
    await connection.execute("BEGIN")
    try:
        rows = []
        for span in _spans_of(wanted):
            rows += list(
                await connection.execute_fetchall(_select(wanted), (span[0], wanted.dimension, *span[1:]))
            )
        mark = next(iter(await connection.execute_fetchall(MARK)))[0]
        tail = list(
            await connection.execute_fetchall(
                f"SELECT {EVENT_COLUMNS} FROM events WHERE seq > ? ORDER BY seq LIMIT ?", (mark, TAIL_EVENTS)
            )
        )
    finally:
        await connection.execute("COMMIT")
    point = _point(wanted)
    found: dict[tuple[int, str], Cell] = {}
    for row in rows:
        _merge_row(found.setdefault((point(row[0]), row[1]), Cell()), row, wanted.sketches)
    _add_tail(found, tail, wanted, point)
    return Found(found, len(tail) < TAIL_EVENTS)


def _spans_of(wanted: Wanted) -> list[tuple[int, int, int]]:
    step = wanted.step_ms
    widest = max(grain for grain in GRAINS if step is None or step % grain == 0)
    since = wanted.since_ms
    if wanted.dimension == "user":
        # Not kept per minute: the window begins with its hour.
        hour = GRAINS[1]
        until = None if wanted.until_ms is None else -(-wanted.until_ms // hour) * hour
        return [
            span for span in spans(since // hour * hour, until, max(widest, hour)) if span[0] != MINUTE_MS
        ]
    return list(spans(since, wanted.until_ms, widest))


def _select(wanted: Wanted) -> str:
    blobs = ", ".join(f"{name}_sketch" if name in wanted.sketches else "NULL" for name in SKETCHES)
    return (
        f"SELECT start_ms, value, {', '.join(_FIRST)}, {blobs} FROM rollups "
        "WHERE grain = ? AND dimension = ? AND start_ms >= ? AND start_ms < ?"
    )


def _point(wanted: Wanted) -> Callable[[int], int]:
    step = wanted.step_ms
    return (lambda _start: 0) if step is None else (lambda start: start // step * step)


def _merge_row(cell: Cell, row: Sequence[Any], sketches: tuple[str, ...]) -> None:
    numbers, squares = row[2 : 2 + len(COUNTS)], row[2 + len(COUNTS) : 2 + len(_FIRST)]
    cell.counts = [mine + its for mine, its in zip(cell.counts, numbers, strict=True)]
    cell.squares = [mine + its for mine, its in zip(cell.squares, squares, strict=True)]
    if sketches:
        for sketch, packed in zip(cell.sketches, row[2 + len(_FIRST) :], strict=True):
            unpack_into(sketch, packed)


def _add_tail(
    found: dict[tuple[int, str], Cell], tail: Sequence[Any], wanted: Wanted, point: Callable[[int], int]
) -> None:
    grain = GRAINS[1] if wanted.dimension == "user" else MINUTE_MS
    since = wanted.since_ms // grain * grain
    until = _END if wanted.until_ms is None else wanted.until_ms
    cells = Cells()
    for row in tail:
        cells.add(tuple(row))
    for (width, dimension, start, value), cell in cells.spread().items():
        if width == grain and dimension == wanted.dimension and since <= start < until:
            found.setdefault((point(start), value), Cell()).merge(cell)


def tally(cell: Cell) -> Tally:
    """`cell` in the form every metric is read off."""
    counts = dict(zip(COUNTS, cell.counts, strict=True))
    result = Tally()
    result.requests, result.errors = counts["requests"], counts["errors"]
    result.priced, result.unpriced = counts["priced"], counts["unpriced"]
    result.cost_nanos = counts["cost_nanos"]
    result.input_tokens, result.output_tokens = counts["input_tokens"], counts["output_tokens"]
    result.latency_us = counts["latency_us"]
    result.scored, result.quality_e6 = counts["scored"], counts["quality_e6"]
    result.latency, result.ttft = cell.sketches[0], cell.sketches[1]
    return result
