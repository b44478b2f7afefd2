"""What is tried again, where and when; no clock but the one handed in."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from proxy.upstream.retry import (
    Failure,
    Itinerary,
    RetryBudget,
    RetryRules,
    Step,
    of_error,
    of_status,
    retry_after,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
AGAIN = Failure("again", "upstream_503", 503)
ELSEWHERE = Failure("elsewhere", "reset")


def status(code: int, body: bytes = b"", **headers: str) -> Failure | None:
    return of_status(
        code, {name.replace("_", "-"): text for name, text in headers.items()}, body, lambda: NOW
    )


@pytest.mark.parametrize("code", [408, 409, 425, 429, 500, 502, 503, 504, 529])
def test_what_may_pass_is_tried_again(code: int) -> None:
    found = status(code)
    assert found is not None and (found.remedy, found.reason) == ("again", f"upstream_{code}")
    assert found.blames_target is (code == 408 or code >= 500)


@pytest.mark.parametrize("code", [400, 401, 403, 404, 413, 422, 501, 505])
def test_what_stays_wrong_is_not(code: int) -> None:
    found = status(code)
    assert found is not None and found.remedy == "final"
    assert found.blames_target is (code >= 500), "an error of the caller never counts against the target"


def test_an_answer_is_no_failure_and_a_redirect_is_one() -> None:
    assert status(200) is None
    found = status(302)
    assert found is not None and found.remedy == "elsewhere"


def test_the_vendor_s_own_advice_decides() -> None:
    assert (status(500, x_should_retry="false") or AGAIN).remedy == "final"
    assert (status(400, x_should_retry="true") or ELSEWHERE).remedy == "again"


def test_an_exhausted_account_is_not_asked_again() -> None:
    found = status(429, b'{"error":{"code":"insufficient_quota"}}')
    assert found is not None and (found.remedy, found.blames_target) == ("elsewhere", True)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Sun, 01 Mar 2026 12:00:07 GMT"}, 7.0),
        ({"retry-after": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "9" * 400}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, lambda: NOW) == seconds


def test_errors_without_an_answer() -> None:
    assert of_error("connect", retry_on_timeout=False).remedy == "again"
    assert of_error("reset", retry_on_timeout=False).remedy == "elsewhere"
    assert of_error("refused", retry_on_timeout=False).remedy == "elsewhere"
    assert of_error("timeout", retry_on_timeout=False).remedy == "final"
    assert of_error("timeout", retry_on_timeout=True).remedy == "again"


def itinerary(primary: int, fallback: int = 0, chance: float = 0.5, **rules: Any) -> Itinerary:
    return Itinerary(primary, fallback, RetryRules(**rules), lambda: chance)


def test_one_target_is_asked_again_with_full_jitter_and_three_times_in_all() -> None:
    trip = itinerary(1)
    assert trip.after(AGAIN, 1, 0.0) == Step(0, 0.25)
    assert trip.after(AGAIN, 2, 10.0) == Step(0, 0.5)
    assert trip.after(AGAIN, 3, 20.0) is None


def test_the_pause_has_a_floor_and_a_cap() -> None:
    assert itinerary(1, chance=0.0).after(AGAIN, 1, 0.0) == Step(0, 0.05)
    assert itinerary(1, chance=1.0, cap_s=0.3).after(AGAIN, 1, 0.0) == Step(0, 0.3)


def test_each_target_once_before_any_twice() -> None:
    trip = itinerary(2)
    assert trip.after(AGAIN, 1, 0.0) == Step(1)
    assert trip.after(AGAIN, 2, 0.1) == Step(0, pytest.approx(0.15))


def test_a_target_that_broke_is_not_asked_twice() -> None:
    assert itinerary(1).after(ELSEWHERE, 1, 0.0) is None
    trip = itinerary(2)
    assert trip.after(ELSEWHERE, 1, 0.0) == Step(1)
    assert trip.after(ELSEWHERE, 2, 0.0) is None


def test_a_final_failure_ends_it() -> None:
    assert itinerary(3).after(Failure("final", "upstream_400", 400), 1, 0.0) is None


def test_retry_after_is_waited_for_up_to_a_cap() -> None:
    polite = Failure("again", "upstream_429", 429, 7.0)
    assert itinerary(1).after(polite, 1, 0.0) == Step(0, 7.0)
    assert itinerary(1).after(Failure("again", "upstream_429", 429, 61.0), 1, 0.0) is None


def test_the_decided_model_comes_first_and_an_attempt_is_kept_for_the_other() -> None:
    trip = itinerary(1, 1)
    assert trip.after(AGAIN, 1, 0.0) == Step(0, 0.25)
    assert trip.after(AGAIN, 2, 1.0) == Step(1)
    trip = itinerary(3, 1)
    assert trip.after(AGAIN, 1, 0.0) == Step(1)
    assert trip.after(AGAIN, 2, 0.0) == Step(3)


def test_the_budget_bounds_retries_to_a_share_of_the_traffic() -> None:
    now = 0.0
    budget = RetryBudget(lambda: now, capacity=5)
    assert [budget.withdraw() for _ in range(6)] == [True] * 5 + [False]
    for _ in range(21):
        budget.deposit()
    assert [budget.withdraw() for _ in range(3)] == [True, True, False]
    now = 0.2
    assert [budget.withdraw() for _ in range(3)] == [True, True, False], "and ten a second are free"
    now = 1e6
    assert sum(budget.withdraw() for _ in range(100)) == 5


def test_a_long_retry_after_is_not_waited_for_while_there_is_another_model() -> None:
    assert itinerary(1, 1).after(Failure("again", "upstream_429", 429, 30.0), 1, 0.0) == Step(1)
    assert itinerary(1, 1).after(Failure("again", "upstream_429", 429, 1.0), 1, 0.0) == Step(0, 1.0)
