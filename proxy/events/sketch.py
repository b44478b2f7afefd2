"""Quantiles of a stream of numbers in little memory, mergeable without loss."""

from __future__ import annotations

import math
from collections.abc import Iterable

RELATIVE_ERROR = 0.01
_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_SCALE = 1 / math.log(_GAMMA)
_MIDDLE = 2 / (1 + _GAMMA)
_SMALLEST = 1e-12


def bucket_of(value: float) -> int | None:
    """The bucket of `value`; None for zero and below (and what is too small to tell from it)."""
    return math.ceil(math.log(value) * _SCALE) if value > _SMALLEST else None


def value_of(bucket: int) -> float:
    """The number that stands for all of `bucket`, at most 1 % from each of them."""
    return _MIDDLE * _GAMMA**bucket


class Sketch:
    """Counts by logarithmic bucket. Merging equals having seen all values in one sketch, in any order."""

    __slots__ = ("buckets", "count", "zeros")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.zeros = 0
        """Values of zero and below."""
        self.count = 0

    def add(self, value: float) -> None:
        """Count `value`; what is not a finite number is left out."""
        if math.isfinite(value):
            self.add_bucket(bucket_of(value))

    def add_bucket(self, bucket: int | None, times: int = 1) -> None:
        """Count a value whose bucket is known, so that several sketches share one logarithm; -1 takes it away."""
        self.count += times
        if bucket is None:
            self.zeros += times
        else:
            self.buckets[bucket] = self.buckets.get(bucket, 0) + times

    def merge(self, other: Sketch) -> None:
        """Take in what `other` has seen."""
        self.count += other.count
        self.zeros += other.zeros
        buckets = self.buckets
        for bucket, count in other.buckets.items():
            buckets[bucket] = buckets.get(bucket, 0) + count

    def quantile(self, q: float) -> float | None:
        """The value at rank floor(q * (n - 1)), at most 1 % off; None when nothing was seen."""
        return self.quantiles((q,))[0]

    def quantiles(self, qs: Iterable[float]) -> list[float | None]:
        """Several quantiles (each 0..1) in one pass over the buckets."""
        wanted = list(qs)
        if not self.count:
            return [None] * len(wanted)
        ranks = [math.floor(min(max(q, 0.0), 1.0) * (self.count - 1)) for q in wanted]
        found: list[float | None] = [0.0 if rank < self.zeros else None for rank in ranks]
        seen = self.zeros
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            for index, rank in enumerate(ranks):
                if found[index] is None and rank < seen:
                    found[index] = value_of(bucket)
        return found
