"""The last hour in memory, with the clock in hand."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest
from events_factory import T0, make_event

from proxy.events.event import Event
from proxy.events.live_metrics import KEPT_BUCKETS, LiveMetrics
from proxy.events.metrics import METRICS
from proxy.events.observed import WINDOW_MS, SplitWatch

HOUR = 3_600_000


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def metrics(clock: Clock) -> LiveMetrics:
    return LiveMetrics(clock)


def arm(tag: str, unit: int, at: int, **changes: Any) -> Event:
    digest = f"{unit:032x}"
    return make_event(split="ab", ab_tag=tag, unit_digest=digest, timestamp_ms=at, **changes)


def test_nothing_seen_is_no_data(metrics: LiveMetrics) -> None:
    summary = metrics.summary()
    assert (summary.requests, summary.requests_per_s) == (0, 0.0)
    assert summary.error_rate is None
    assert summary.latency_ms is None
    assert summary.cost_per_min is None
    assert summary.recent_per_s == [0.0] * 8
    series = metrics.series("requests", now_ms=T0)
    assert set(series.series[0].values) == {None}
    assert metrics.series("latency_p95", "variant", now_ms=T0).series == []
    assert metrics.split_observed("ab").arms == {}


def test_the_summary_of_a_minute(metrics: LiveMetrics, clock: Clock) -> None:
    for second in range(120):
        metrics.observe(make_event(timestamp_ms=T0 + second * 1_000, latency_ms=100.0 + second))
        clock.now = T0 + second * 1_000
    clock.now = T0 + 120_000
    summary = metrics.summary(60)
    # Five whole buckets and the one that begins now.
    assert summary.requests == 50
    assert summary.requests_per_s == pytest.approx(1.0)
    assert summary.recent_per_s == [1.0] * 8
    assert summary.cost_per_min == "0.21"
    assert summary.latency_ms is not None
    assert summary.latency_ms.p50 == pytest.approx(194, rel=0.02)
    assert summary.latency_ms.p99 == pytest.approx(218, rel=0.02)
    clock.now = T0 + 125_000
    assert metrics.summary(60).requests == 50
    assert metrics.summary(60, now_ms=T0 + 59_999).requests == 60


def test_a_young_gateway_is_not_averaged_over_time_it_was_not_there(
    metrics: LiveMetrics, clock: Clock
) -> None:
    for step in range(40):
        metrics.observe(make_event(timestamp_ms=T0 + step * 100))
    clock.now = T0 + 4_000
    assert metrics.summary(60).requests_per_s == pytest.approx(10.0)


def test_errors_are_outcomes_other_than_ok_and_blocked(metrics: LiveMetrics) -> None:
    for outcome in ("ok", "blocked", "error", "client_cancelled", "truncated"):
        metrics.observe(make_event(outcome=outcome))
    assert metrics.summary(now_ms=T0 + 1_000).error_rate == pytest.approx(0.6)


def test_unpriced_is_counted_and_never_a_cost_of_zero(metrics: LiveMetrics) -> None:
    metrics.observe(make_event(cost_nanos=None, cost_status="unpriced"))
    summary = metrics.summary(now_ms=T0 + 1_000)
    assert (summary.unpriced, summary.cost_per_min) == (1, None)
    assert metrics.series("cost_per_1k", now_ms=T0 + 1_000).series[0].window_value is None
    metrics.observe(make_event(cost_nanos=2_000_000))
    assert metrics.series("cost_per_1k", now_ms=T0 + 1_000).series[0].window_value == pytest.approx(2.0)


def test_requests_that_never_went_upstream_do_not_lower_the_latency(metrics: LiveMetrics) -> None:
    metrics.observe(make_event(latency_ms=0.3, attempts=0, outcome="blocked"))
    assert metrics.summary(now_ms=T0).latency_ms is None
    metrics.observe(make_event(latency_ms=500.0))
    latency = metrics.summary(now_ms=T0).latency_ms
    assert latency is not None
    assert latency.p50 == pytest.approx(500, rel=0.01)


def test_a_late_row_counts_where_it_arrived(metrics: LiveMetrics, clock: Clock) -> None:
    clock.now = T0 + 300_000
    metrics.observe(make_event(timestamp_ms=T0 + 300_000))
    metrics.observe(make_event(timestamp_ms=T0 + 5_000))
    series = metrics.series("requests", window_s=600, step_s=10)
    points = dict(zip(series.times, series.series[0].values, strict=True))
    assert points[T0 // 1_000] == 1
    assert points[T0 // 1_000 + 300] == 1
    assert points[T0 // 1_000 + 10] == 0
    assert points[T0 // 1_000 - 10] is None


def test_series_by_variant(metrics: LiveMetrics, clock: Clock) -> None:
    for step in range(60):
        at = T0 + step * 1_000
        metrics.observe(arm("variant-a", step, at, latency_ms=100.0, ttft_ms=10.0))
        metrics.observe(arm("variant-b", step, at, latency_ms=200.0, cost_nanos=7_000_000))
        metrics.observe(make_event(timestamp_ms=at, latency_ms=900.0))
    clock.now = T0 + 65_000
    metrics.marker(T0 + 20_000, "v12")
    metrics.marker(T0 - HOUR, "v11")
    body = metrics.series("latency_p95", "variant", window_s=120, step_s=25).to_json()
    json.dumps(body, allow_nan=False)
    assert body["step_s"] == 30
    assert body["unit"] == "ms"
    assert len(body["times"]) == 4
    assert all(moment % 30 == 0 for moment in body["times"])
    assert body["from"] == body["times"][0]
    assert body["to"] == clock.now / 1_000
    assert [(line["split"], line["group"]) for line in body["series"]] == [
        ("ab", "variant-a"),
        ("ab", "variant-b"),
    ]
    assert body["series"][0]["window_value"] == pytest.approx(100, rel=0.01)
    assert body["series"][1]["window_value"] == pytest.approx(200, rel=0.01)
    assert [marker["label"] for marker in body["markers"]] == ["v12"]
    ttft = metrics.series("ttft_p95", "variant", window_s=120)
    assert ttft.series[0].window_value == pytest.approx(10, rel=0.01)
    assert ttft.series[1].window_value is None
    assert metrics.series("requests", "all", window_s=120).series[0].window_value == 180
    costs = metrics.series("cost_per_1k", "variant", window_s=120).series
    assert [line.window_value for line in costs] == [pytest.approx(3.5), pytest.approx(7.0)]
    for name in METRICS:
        assert metrics.series(name, "all", window_s=120).metric == name
    with pytest.raises(KeyError):
        metrics.series("no_such_metric")


def test_points_stay_put_while_the_clock_moves(metrics: LiveMetrics) -> None:
    for step in range(120):
        metrics.observe(make_event(timestamp_ms=T0 - step * 500))
    early = metrics.series("requests", window_s=120, step_s=20, now_ms=T0 + 1_000)
    late = metrics.series("requests", window_s=120, step_s=20, now_ms=T0 + 19_000)
    assert early.times[1:] == late.times[1:] or early.times[1:] == late.times[:-1]
    assert sum(value or 0 for value in early.series[0].values) == 120


def test_memory_is_bounded_and_old_or_future_events_are_left_out(metrics: LiveMetrics, clock: Clock) -> None:
    metrics.observe(make_event(timestamp_ms=T0 - HOUR - 10_000))
    metrics.observe(make_event(timestamp_ms=T0 + 2 * HOUR))
    assert metrics._buckets == {}
    for step in range(2 * KEPT_BUCKETS):
        clock.now = T0 + step * 10_000
        metrics.observe(make_event(timestamp_ms=clock.now))
    assert len(metrics._buckets) <= KEPT_BUCKETS + 1
    for number in range(1_000):
        metrics.observe(make_event(timestamp_ms=clock.now, split=f"s{number}", ab_tag="t", unit_digest="0a"))
    assert len(metrics._watches) <= 64
    assert len(metrics._buckets[clock.now // 10_000]) <= 65
    assert metrics.summary().requests == 1_000 + 6


def test_warm_takes_any_order(metrics: LiveMetrics, clock: Clock) -> None:
    clock.now = T0 + 60_000
    events = [arm("variant-a", step, T0 + step * 1_000) for step in range(60)]
    random.Random(3).shuffle(events)
    metrics.warm(events)
    assert metrics.series("requests", window_s=120).series[0].window_value == 60
    assert metrics.split_observed("ab").arms["variant-a"].units == 60


def test_observed_shares_are_of_units_since_the_weights_changed(metrics: LiveMetrics, clock: Clock) -> None:
    for step in range(1_000):
        metrics.observe(arm("variant-a" if step % 100 < 95 else "variant-b", step % 100, T0 + step))
    clock.now = T0 + 2_000
    before = metrics.split_observed("ab")
    assert before.since_ms == T0
    assert before.arms["variant-a"].units == 95
    assert before.arms["variant-a"].share == pytest.approx(95.0)
    assert before.arms["variant-b"].requests == 50
    metrics.weights_changed("ab", T0 + 2_000)
    metrics.observe(arm("variant-a", 1, T0 + 1_999))
    metrics.observe(arm("variant-a", 1, T0 + 2_000))
    metrics.observe(arm("variant-b", 2, T0 + 2_001))
    after = metrics.split_observed("ab")
    assert after.since_ms == T0 + 2_000
    assert {tag: arm.units for tag, arm in after.arms.items()} == {"variant-a": 1, "variant-b": 1}
    assert after.arms["variant-b"].share == pytest.approx(50.0)


def test_units_are_forgotten_after_a_quarter_of_an_hour(metrics: LiveMetrics) -> None:
    metrics.weights_changed("ab", T0 - 10)
    metrics.observe(arm("variant-a", 1, T0))
    metrics.observe(arm("variant-b", 2, T0 + 50_000))
    later = metrics.split_observed("ab", now_ms=T0 + WINDOW_MS + 1_000)
    assert later.since_ms == T0 + 1_000
    assert later.arms["variant-a"].units == 0
    assert later.arms["variant-a"].requests == 1
    assert later.arms["variant-b"].share == pytest.approx(100.0)
    last = metrics.split_observed("ab", now_ms=T0 + 2 * WINDOW_MS)
    assert last.arms["variant-b"].share is None


def test_very_many_units_are_estimated_in_bounded_memory() -> None:
    draw = random.Random(11)
    watch = SplitWatch("ab", max_units=2_000)
    for step in range(40_000):
        tag = "b" if draw.random() < 0.3 else "a"
        watch.observe(tag, f"{draw.getrandbits(128):032x}", T0 + step)
    assert len(watch._seen) <= 2_000
    arms = watch.observed(T0 + 40_000).arms
    assert arms["a"].units + arms["b"].units == pytest.approx(40_000, rel=0.15)
    assert arms["b"].share == pytest.approx(30, abs=6)
    assert arms["a"].requests + arms["b"].requests == 40_000


def test_observing_is_cheap(metrics: LiveMetrics) -> None:
    events = [arm("variant-a", step, T0 - step, ttft_ms=5.0) for step in range(5_000)]
    best = min(_seconds(metrics, events) for _ in range(3))
    # Five times the budget: this machine may be busy, a quadratic slip would still show.
    assert best / len(events) < 50e-6


def _seconds(metrics: LiveMetrics, events: list[Event]) -> float:
    began = time.process_time()
    metrics.observe_all(events)
    return time.process_time() - began
