"""Alerts count what ended within their window, whatever the order it is told in."""

from __future__ import annotations

from dataclasses import replace

import pytest
from events_factory import T0, make_event
from hypothesis import given
from hypothesis import strategies as st

from proxy.events.alerts import LEAST_FOR_A_SHARE, Alerts, AlertState, Rule
from proxy.events.filter import FilterError
from proxy.events.filter.standing import fault_of, standing

SLOW = Rule("slow", "latency>2s", 2, 60_000)


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> int:
        return self.now


def made(*rules: Rule) -> tuple[Alerts, Clock]:
    clock = Clock()
    alerts = Alerts(clock)
    alerts.keep(rules)
    return alerts, clock


def ended(at_ms: int, latency_ms: float = 3_000.0, **more: object):  # type: ignore[no-untyped-def]
    return make_event(timestamp_ms=int(at_ms - latency_ms), latency_ms=latency_ms, **more)


def only(alerts: Alerts) -> AlertState:
    (state,) = alerts.states()
    return state


def test_it_fires_beyond_its_limit_and_is_over_when_the_window_moved_on() -> None:
    alerts, clock = made(SLOW)
    alerts.observe_all([ended(T0 - 10), ended(T0 - 20), ended(T0, 500.0)])
    assert (only(alerts).requests, only(alerts).of, only(alerts).since_ms) == (2, 3, None)
    clock.now += 5_000
    alerts.observe_all([ended(clock.now, id="the-newest")])
    fired = clock.now
    clock.now += 30_000
    assert (only(alerts).requests, only(alerts).since_ms, only(alerts).newest) == (3, fired, "the-newest")
    clock.now = T0 + 56_000
    assert only(alerts).requests == 3
    clock.now = T0 + 61_000
    assert (only(alerts).requests, only(alerts).since_ms) == (1, fired), "for a while it may come back"
    clock.now += 6_000
    assert (only(alerts).requests, only(alerts).since_ms) == (0, None)
    clock.now += 60_000
    assert (only(alerts).requests, only(alerts).newest) == (0, None)


def test_a_request_counts_when_it_ended() -> None:
    """One that waited for longer than the window would never be seen by its arrival."""
    alerts, _ = made(Rule("timeouts", "error:timeout", 0, 10_000))
    alerts.observe_all([ended(T0, 60_000.0, error="timeout", outcome="error")])
    assert only(alerts).since_ms == T0


def test_a_share_needs_enough_requests() -> None:
    rule = Rule("b-slow", "variant:b latency>2s", 10.0, 60_000, True, "variant:b")
    alerts, clock = made(rule)
    slow, quick = ended(T0, ab_tag="ab-b"), ended(T0, 10.0, ab_tag="ab-b")
    alerts.observe_all([slow] * 3 + [quick] * (LEAST_FOR_A_SHARE - 4) + [ended(T0, ab_tag="ab-a")] * 50)
    assert (only(alerts).requests, only(alerts).of, only(alerts).since_ms) == (3, LEAST_FOR_A_SHARE - 1, None)
    alerts.observe_all([quick])
    assert only(alerts).since_ms is not None, "15 percent of 20"
    alerts.observe_all([quick] * 10)
    clock.now += 6_001
    assert only(alerts).since_ms is None, "exactly 10 percent is not more than 10"


def test_rules_that_stay_keep_their_counts() -> None:
    alerts, _ = made(SLOW)
    alerts.observe_all([ended(T0)])
    other = replace(SLOW, name="other")
    assert alerts.keep([other, SLOW]) == [other]
    assert [state.requests for state in alerts.states()] == [0, 1]
    alerts.observe_all([ended(T0 - 5)], [other])
    assert [state.requests for state in alerts.states()] == [1, 1]
    assert alerts.keep([]) == [] and alerts.states() == []


@given(
    st.lists(st.tuples(st.integers(-90_000, 0), st.sampled_from([100.0, 5_000.0, 70_000.0])), max_size=60),
    st.integers(0, 90_000),
)
def test_counts_are_those_of_the_window_to_a_step(told: list[tuple[int, float]], later: int) -> None:
    alerts, clock = made(SLOW)
    alerts.observe_all([ended(T0 + at, latency) for at, latency in told])
    clock.now = T0 + later
    slow = [T0 + at for at, latency in told if latency > 2_000]
    surely = sum(clock.now - at < 58_000 for at in slow)
    at_most = sum(clock.now - at < 60_000 for at in slow)
    assert surely <= only(alerts).requests <= at_most


@pytest.mark.parametrize(
    "text", ["nosuch:1", "latency>", "time>-1h", "not (error:timeout or time<2026-01-01)", "has:body"]
)
def test_what_is_no_filter_for_an_alert(text: str) -> None:
    assert fault_of(text) and fault_of("variant:b error:timeout") is None
    with pytest.raises(FilterError):
        standing(text)
