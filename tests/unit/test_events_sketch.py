"""The sketch: within 1 % of the exact quantile, and merging loses nothing."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.events.sketch import RELATIVE_ERROR, Sketch

VALUES = st.lists(st.floats(min_value=1e-9, max_value=1e9), min_size=1, max_size=200)


def sketch_of(values: list[float]) -> Sketch:
    sketch = Sketch()
    for value in values:
        sketch.add(value)
    return sketch


@given(VALUES, st.floats(min_value=0, max_value=1))
def test_a_quantile_is_within_one_percent_of_the_exact_one(values: list[float], q: float) -> None:
    exact = sorted(values)[math.floor(q * (len(values) - 1))]
    found = sketch_of(values).quantile(q)
    assert found is not None
    assert abs(found - exact) <= exact * RELATIVE_ERROR * (1 + 1e-9)


@given(VALUES, VALUES, VALUES)
def test_merging_equals_having_seen_all(a: list[float], b: list[float], c: list[float]) -> None:
    left, right = sketch_of(a), sketch_of(c)
    left.merge(sketch_of(b))
    left.merge(sketch_of(c))
    right.merge(sketch_of(a))
    right.merge(sketch_of(b))
    whole = sketch_of([*a, *b, *c])
    assert left.buckets == right.buckets == whole.buckets
    assert left.count == right.count == whole.count


def test_zeros_negatives_and_nonsense() -> None:
    sketch = sketch_of([0.0, -3.0, 10.0, math.nan, math.inf, -math.inf])
    assert sketch.count == 3
    assert sketch.quantile(0.0) == 0.0
    assert sketch.quantile(1.0) == pytest.approx(10.0, rel=0.01)
    assert Sketch().quantile(0.5) is None
    assert Sketch().quantiles((0.1, 0.9)) == [None, None]


def test_few_buckets_for_many_latencies() -> None:
    draw = random.Random(7)
    sketch = sketch_of([draw.lognormvariate(6, 1) for _ in range(20_000)])
    assert len(sketch.buckets) < 700
    assert sketch.quantile(0.5) == pytest.approx(math.exp(6), rel=0.05)
