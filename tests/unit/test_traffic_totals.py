"""Counting for monitoring systems: exact sums, bounded labels, nothing that goes down."""

from __future__ import annotations

from events_factory import make_event

from proxy.events import totals
from proxy.events import totals_families as of
from proxy.events.totals import NONE, OTHER, TrafficTotals


def test_a_copy_stays_as_it_is() -> None:
    counted = TrafficTotals()
    counted.observe_all([make_event()])
    copy = counted.copy()
    counted.observe_all([make_event()])
    assert sum(copy.counters[of.REQUESTS].values()) == 1
    assert sum(cell.count for cell in copy.histograms[of.DURATION].values()) == 1
    assert sum(counted.copy().counters[of.REQUESTS].values()) == 2


def test_models_have_a_series_when_the_file_names_them_or_an_answer_came() -> None:
    counted = TrafficTotals()
    counted.know("model", ["named"])
    failed = {"status": 404, "outcome": "error", "error": "model_not_found"}
    counted.observe_all(
        [
            make_event(model="named", **failed),
            make_event(model="made-up", attempts=1, **failed),
            make_event(model="answered", attempts=1, status=200),
        ]
    )
    assert {labels[1] for labels in counted.copy().counters[of.REQUESTS]} == {"named", OTHER, "answered"}


def test_strangers_and_series_are_bounded() -> None:
    counted = TrafficTotals()
    counted.observe_all(
        [make_event(error=f"code-{number}", outcome="error", status=500) for number in range(300)]
    )
    errors = counted.copy().counters[of.ERRORS]
    assert len(errors) == totals.MAX_STRANGERS + 1 and sum(errors.values()) == 300
    crowd = TrafficTotals()
    names = [f"m{number}" for number in range(totals.MAX_SERIES + 50)]
    crowd.know("model", names)
    crowd.observe_all([make_event(model=name) for name in names])
    requests = crowd.copy().counters[of.REQUESTS]
    assert len(requests) == totals.MAX_SERIES + 1 and requests[(OTHER,) * 7] == 50


def test_money_adds_up_exactly() -> None:
    counted = TrafficTotals()
    counted.observe_all(
        [make_event(cost_nanos=100_000_001, cost_status="priced", attempts=1)] * 1_000
        + [make_event(cost_nanos=None, cost_status="unpriced", attempts=1)]
    )
    copy = counted.copy()
    assert sum(copy.counters[of.COST].values()) == 100_000_001_000
    assert sum(copy.counters[of.UNPRICED].values()) == 1


def test_a_value_on_a_bound_falls_into_its_bucket() -> None:
    counted = TrafficTotals()
    counted.observe_all([make_event(attempts=1, latency_ms=ms) for ms in (10.0, 10.001, 100_000.0)])
    (cell,) = counted.copy().histograms[of.DURATION].values()
    assert (cell.counts[0], cell.counts[1], cell.counts[-1]) == (1, 1, 1)


def test_time_for_each_token_is_of_streams_that_ended_well() -> None:
    counted = TrafficTotals()
    stream = {"stream": True, "attempts": 1, "ttft_ms": 100.0, "latency_ms": 1_100.0, "output_tokens": 11}
    counted.observe_all([make_event(**stream), make_event(**{**stream, "outcome": "truncated"})])
    (cell,) = counted.copy().histograms[of.PER_TOKEN].values()
    assert cell.count == 1 and round(cell.sum, 9) == 0.1


def test_attempts_are_counted_at_the_target_they_were_made_at() -> None:
    counted = TrafficTotals()
    log = [{"target": "a", "reason": "timeout"}, {"target": "b", "reason": None}]
    counted.observe_all(
        [make_event(target="b", attempts=2, attempt_log=log), make_event(target="b", attempts=1)]
    )
    assert counted.copy().counters[of.ATTEMPTS] == {("a", "timeout"): 1, ("b", "answered"): 2}


def test_what_was_not_assigned_is_said() -> None:
    counted = TrafficTotals()
    counted.observe_all([make_event(ab_tag=None, target=None, provider=None, attempts=0)])
    ((_, _, provider, target, variant, _, _),) = counted.copy().counters[of.REQUESTS]
    assert (provider, target, variant) == (NONE,) * 3
