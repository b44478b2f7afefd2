"""The breaker, over a clock that stands still until it is moved."""

from __future__ import annotations

from proxy.upstream.breaker import Breaker, BreakerRules, Breakers

RULES = BreakerRules(failures=3, open_s=10.0, longest_open_s=25.0)


def fail(breaker: Breaker, now: float, times: int = 1) -> None:
    for _ in range(times):
        breaker.end(now, "failed", probe=breaker.begin(now))


def opened() -> Breaker:
    breaker = Breaker(RULES)
    fail(breaker, 0.0, 3)
    return breaker


def test_it_opens_after_failures_and_not_before() -> None:
    breaker = Breaker(RULES)
    fail(breaker, 0.0, 2)
    assert (breaker.state(0.0), breaker.admits(0.0)) == ("closed", True)
    fail(breaker, 0.0)
    assert (breaker.state(0.0), breaker.admits(0.0)) == ("open", False)


def test_a_target_that_mostly_answers_stays() -> None:
    breaker = Breaker(RULES)
    for _ in range(5):
        fail(breaker, 0.0)
        for _ in range(3):
            breaker.end(0.0, "ok", probe=False)
    assert breaker.state(0.0) == "closed"


def test_errors_of_callers_say_nothing() -> None:
    breaker = Breaker(RULES)
    for _ in range(50):
        breaker.end(0.0, "neither", probe=breaker.begin(0.0))
    assert breaker.state(0.0) == "closed"
    fail(breaker, 0.0, 3)
    assert breaker.state(0.0) == "open", "nor do they count as answers"


def test_old_failures_are_forgotten() -> None:
    breaker = Breaker(RULES)
    fail(breaker, 0.0, 2)
    fail(breaker, 61.0)
    assert breaker.state(61.0) == "closed"


def test_one_probe_at_a_time() -> None:
    breaker = opened()
    assert breaker.state(10.0) == "half-open" and breaker.admits(10.0)
    assert breaker.begin(10.0) is True
    assert not breaker.admits(10.0), "a second request does not go there while the probe is out"
    assert breaker.begin(10.0) is False, "and one that has nowhere else to go is no probe"
    breaker.end(10.0, "ok", probe=True)
    assert breaker.state(10.0) == "closed"


def test_a_probe_that_fails_doubles_the_pause_up_to_a_limit() -> None:
    breaker = opened()
    fail(breaker, 10.0)
    assert breaker.state(29.9) == "open" and breaker.state(30.0) == "half-open"
    fail(breaker, 30.0)
    assert breaker.state(54.9) == "open" and breaker.state(55.0) == "half-open"


def test_a_probe_whose_client_left_leaves_room_for_the_next() -> None:
    breaker = opened()
    breaker.end(10.0, "neither", probe=breaker.begin(10.0))
    assert breaker.state(10.0) == "half-open" and breaker.admits(10.0)


def test_a_request_from_before_that_fails_late_does_not_lengthen_the_pause() -> None:
    breaker = opened()
    breaker.end(9.0, "failed", probe=False)
    assert breaker.admits(10.0)


def test_a_rate_limit_rests_without_opening() -> None:
    breaker = Breaker(RULES)
    breaker.rest(5.0)
    assert (breaker.state(1.0), breaker.admits(1.0), breaker.admits(5.0)) == ("closed", False, True)


def test_the_last_target_is_never_removed() -> None:
    now = 0.0
    breakers = Breakers(lambda: now, RULES)
    fail(breakers.of("a"), 0.0, 3)
    assert breakers.usable(["a", "b"]) == [1]
    assert breakers.usable(["a"]) == [0]
    now = 5.0
    fail(breakers.of("b"), 5.0, 3)
    assert breakers.usable(["a", "b"]) == [0], "of two that are out, the one that was out longer"
    assert breakers.usable([]) == []


def test_a_changed_target_begins_anew_and_the_others_do_not() -> None:
    breakers = Breakers(lambda: 0.0, RULES)
    fail(breakers.of("old"), 0.0, 3)
    assert breakers.of("new").state(0.0) == "closed" and breakers.of("old").state(0.0) == "open"
