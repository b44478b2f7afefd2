"""What one bucket of time remembers of one value of one dimension, and how events add to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import msgspec

from proxy.base.money import NANOS_PER_DOLLAR
from proxy.events.sketch import Sketch, bucket_of
from proxy.events.sqlite_indexes import USER_EXPRESSION

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
GRAINS = (MINUTE_MS, HOUR_MS, DAY_MS)
"""Widths of the buckets, milliseconds. Each begins at a multiple of its width since 1970 (UTC)."""
DIMENSIONS = ("all", "model", "provider", "target", "variant", "phase", "key", "decision", "policy", "user")
"""`user` is kept per hour and day only: a minute of it would be as large as the events."""
COUNTS = (
    "requests",
    "errors",
    "blocked",
    "upstream",
    "streams",
    "priced",
    "unpriced",
    "measured",
    "cost_nanos",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "latency_us",
    "ttft_us",
    "estimated",
    "estimated_nanos",
    "scored",
    "quality_e6",
)
"""Whole numbers. `errors`: outcomes other than ok and blocked; `upstream`: requests that went there, the ones
`latency_us` (microseconds) is of; `streams`: with a time to the first token; `measured`: with known tokens;
`estimated`: with a cost of estimated tokens, which `cost_nanos` includes; `scored`: with a quality score, of which
`quality_e6` is the sum in millionths."""
SQUARES = ("latency_sq", "ttft_sq", "cost_sq", "tokens_sq")
"""Sums of squares: ms², ms², $², (input + output tokens)²."""
SKETCHES = ("latency", "ttft", "cost", "tokens")
"""Of milliseconds, milliseconds, nano-dollars, input + output tokens. The last two per hour and day only."""
_SKETCHES_OF_MINUTES = 2
_COST = SKETCHES.index("cost")

EVENT_COLUMNS = (
    "seq, timestamp_ms, model, provider, target, split, ab_tag, salt, phase, key, decision, policies_triggered, "
    f"CASE WHEN unit_kind = 'user' THEN unit_digest ELSE {USER_EXPRESSION} END, "
    "outcome, attempts, cost_status, cost_nanos, latency_ms, ttft_ms, input_tokens, output_tokens, "
    "cached_tokens, reasoning_tokens, quality_score"
)
"""What a cell is made of, in the order `Cells.add` takes it."""
USER = 12
"""Where the user stands among them: what an event is counted under stands before it, the figures behind it."""
_INCREDIBLE = 1 << 48
"""A count beyond this is no measurement, and a sum of such would not fit 64 bits."""

_encoder = msgspec.json.Encoder()
_buckets = msgspec.msgpack.Decoder(tuple[int, dict[int, int]])

Key = tuple[int, str, int, str]
"""(grain, dimension, start in milliseconds, value)"""


class Cell:
    """Figures of some events; merging is exact."""

    __slots__ = ("counts", "sketches", "squares")

    def __init__(self) -> None:
        self.counts = [0] * len(COUNTS)
        self.squares = [0.0] * len(SQUARES)
        self.sketches = tuple(Sketch() for _ in SKETCHES)

    def merge(self, other: Cell) -> None:
        """Take in what `other` has counted."""
        self.counts = [mine + its for mine, its in zip(self.counts, other.counts, strict=True)]
        self.squares = [mine + its for mine, its in zip(self.squares, other.squares, strict=True)]
        for mine, its in zip(self.sketches, other.sketches, strict=True):
            mine.merge(its)

    def add(self, one: Measured) -> None:
        """Count one event."""
        counts, squares, sketches = self.counts, self.squares, self.sketches
        for index, number in one.counts:
            counts[index] += number
        for index, square, bucket in one.values:
            squares[index] += square
            sketches[index].add_bucket(bucket, one.times)

    def is_nothing(self) -> bool:
        """Whether it adds nothing to another one: what was added was taken away."""
        same = not any(self.counts) and not any(sketch.zeros for sketch in self.sketches)
        return same and not any(any(sketch.buckets.values()) for sketch in self.sketches)


class Measured:
    """What one event adds to each of its cells."""

    __slots__ = ("counts", "times", "values")

    def __init__(self, figures: Sequence[Any], times: int = 1) -> None:
        """`figures` are the columns from outcome on; with -1 for `times` the event is taken away."""
        self.times = times
        outcome, attempts, cost_status, cost, latency_ms, ttft_ms, given, made, cached, thought, score = (
            figures
        )
        cost, given, made, cached, thought = map(_credible, (cost, given, made, cached, thought))
        upstream = attempts > 0
        tokens = None if given is None and made is None else (given or 0) + (made or 0)
        estimated = cost_status == "estimated"
        counts = (
            1,
            outcome not in ("ok", "blocked"),
            outcome == "blocked",
            upstream,
            ttft_ms is not None,
            cost is not None,
            cost_status == "unpriced",
            tokens is not None,
            cost or 0,
            given or 0,
            made or 0,
            cached or 0,
            thought or 0,
            int(latency_ms * 1_000 + 0.5) if upstream else 0,
            0 if ttft_ms is None else int(ttft_ms * 1_000 + 0.5),
            estimated,
            (cost or 0) if estimated else 0,
            score is not None,
            millionths(score),
        )
        self.counts = [(index, number * times) for index, number in enumerate(counts) if number]
        """(place in COUNTS, number) of those that are not zero."""
        values = (latency_ms if upstream else None, ttft_ms, cost, tokens)
        self.values = [
            (index, times * (value / NANOS_PER_DOLLAR if index == _COST else value) ** 2, bucket_of(value))
            for index, value in enumerate(values)
            if value is not None
        ]
        """(place in SKETCHES, square, bucket)."""


def sketches_of(grain: int) -> int:
    """How many of SKETCHES are kept of buckets so wide; the first ones."""
    return _SKETCHES_OF_MINUTES if grain == MINUTE_MS else len(SKETCHES)


def millionths(score: float | None) -> int:
    """A quality score as the roll-ups add it up: whole, so that sums are exact."""
    return 0 if score is None else int(score * 1_000_000 + 0.5)


def _credible(number: int | None) -> int | None:
    return None if number is None or abs(number) >= _INCREDIBLE else number


class Cells:
    """The cells that a run of events adds to."""

    def __init__(self) -> None:
        self._together: dict[tuple[Any, ...], Cell] = {}
        self._users: dict[tuple[int, str], Cell] = {}

    def add(self, row: Sequence[Any], times: int = 1) -> None:
        """Count one event, given as EVENT_COLUMNS; with -1 for `times` it is taken away."""
        # Events alike in every dimension but the user are counted once, and only then spread over the dimensions.
        minute, user, measured = row[1] // MINUTE_MS, row[USER], Measured(row[USER + 1 :], times)
        key = (minute, *row[2:USER])
        cell = self._together.get(key)
        if cell is None:
            cell = self._together[key] = Cell()
        cell.add(measured)
        if user is not None:
            hour = (row[1] // HOUR_MS * HOUR_MS, str(user))
            cell = self._users.get(hour)
            if cell is None:
                cell = self._users[hour] = Cell()
            cell.add(measured)

    def spread(self) -> dict[Key, Cell]:
        """All cells, by key; some are shared, so none may be added to."""
        cells = _Spread()
        for (minute, *facts), cell in self._together.items():
            for dimension, value in values_of(facts):
                cells.add((MINUTE_MS, dimension, minute * MINUTE_MS, value), cell)
        for (hour, user), cell in self._users.items():
            cells.add((HOUR_MS, "user", hour, user), cell)
        for narrow, wide in pairwise(GRAINS):
            for (grain, dimension, start, value), cell in list(cells.found.items()):
                if grain == narrow:
                    cells.add((wide, dimension, start // wide * wide, value), cell)
        return cells.found


class _Spread:
    """Cells by key. One that a key has alone is not copied: most users are seen once in a run of events."""

    def __init__(self) -> None:
        self.found: dict[Key, Cell] = {}
        self._own: set[Key] = set()

    def add(self, key: Key, cell: Cell) -> None:
        there = self.found.get(key)
        if there is None:
            self.found[key] = cell
            return
        if key not in self._own:
            self._own.add(key)
            own = self.found[key] = Cell()
            own.merge(there)
            there = own
        there.merge(cell)


def values_of(facts: Sequence[Any]) -> Iterable[tuple[str, str]]:
    """(dimension, value) of an event for each dimension but the user; `facts` are its columns from model to policies."""
    model, provider, target, split, tag, salt, phase, key, decision, policies = facts
    yield "all", ""
    yield "model", model
    yield "decision", decision
    if provider is not None:
        yield "provider", provider
    if target is not None:
        yield "target", target
    if split is not None and tag is not None:
        yield "variant", _encoder.encode([split, tag, salt or ""]).decode()
    if split is not None and phase is not None:
        yield "phase", _encoder.encode([split, phase]).decode()
    if key is not None:
        yield "key", key
    if policies != "[]":
        for name in dict.fromkeys(msgspec.json.decode(policies)):
            yield "policy", str(name)


def pack(sketch: Sketch) -> bytes | None:
    """A sketch as the store keeps it; None when it has seen nothing."""
    return msgspec.msgpack.encode((sketch.zeros, sketch.buckets)) if sketch.count else None


def unpack_into(sketch: Sketch, packed: bytes | None) -> None:
    """Add what `packed` has seen to `sketch`."""
    if packed is None:
        return
    zeros, buckets = _buckets.decode(packed)
    sketch.zeros += zeros
    sketch.count += zeros + sum(buckets.values())
    mine = sketch.buckets
    for bucket, count in buckets.items():
        mine[bucket] = mine.get(bucket, 0) + count


def merge_packed(one: bytes | None, other: bytes | None) -> bytes | None:
    """Both together, as the store keeps it."""
    if one is None or other is None:
        return one if other is None else other
    sketch = Sketch()
    unpack_into(sketch, one)
    unpack_into(sketch, other)
    return pack(sketch)
