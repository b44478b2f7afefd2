"""Where the month is heading, and where a zone's month and days begin."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from proxy.control.cost_calendar import moments, project
from proxy.control.cost_figures import ratio
from proxy.control.quality_words import Scores, verdict
from proxy.events.rollups.cells import DAY_MS, HOUR_MS


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1_000)


@pytest.mark.parametrize(
    ("now", "zone", "month", "next_month", "today", "yesterday_now"),
    [
        ("2026-06-11T14:32:07", "UTC", "2026-06-01", "2026-07-01", "2026-06-11", "2026-06-10T14:32:00"),
        ("2026-12-31T23:30:00", "Europe/Berlin", "2026-12-31T23:00", "2027-01-31T23:00", "2026-12-31T23:00", "2026-12-30T23:30"),
        # Clocks went forward at night: yesterday at the same time of day is 23 hours ago.
        ("2026-03-29T10:00:00", "Europe/Berlin", "2026-02-28T23:00", "2026-03-31T22:00", "2026-03-28T23:00", "2026-03-28T11:00"),
        ("2026-06-11T20:00:00", "Asia/Kolkata", "2026-05-31T18:30", "2026-06-30T18:30", "2026-06-11T18:30", "2026-06-10T20:00"),
    ],
)  # fmt: skip
def test_the_calendar_is_that_of_the_zone(
    now: str, zone: str, month: str, next_month: str, today: str, yesterday_now: str
) -> None:
    found = moments(ms(now), ZoneInfo(zone))
    told = (found.month, found.next_month, found.today, found.yesterday_now)
    assert told == tuple(map(ms, (month, next_month, today, yesterday_now)))
    assert found.yesterday < found.yesterday_now < found.today
    assert (found.today - found.yesterday) / HOUR_MS in (23, 24, 25)


@pytest.mark.parametrize(
    ("nanos", "per", "said"),
    [
        (1, 3, "0"),
        (2, 3, "0.000000001"),
        (1, 2, "0"),
        (3, 2, "0.000000002"),
        (10**9, 4, "0.25"),
        (5, 0, None),
    ],
)
def test_a_ratio_is_rounded_once_half_even(nanos: int, per: int, said: str | None) -> None:
    assert ratio(nanos, per) == said


NOW = ms("2026-06-11T12:00:00")


def hours(days: int, cost: dict[int, int] | int = 10) -> dict[int, int]:
    """Nano-dollars of each hour of the last `days`; `cost` by weekday."""
    starts = range(NOW - days * DAY_MS, NOW, HOUR_MS)
    by_day = cost if isinstance(cost, dict) else dict.fromkeys(range(7), cost)
    return {start: by_day[datetime.fromtimestamp(start / 1_000, UTC).weekday()] for start in starts}


@pytest.mark.parametrize("days", [0, 1])
def test_little_data_says_nothing(days: int) -> None:
    found = project(240, moments(NOW, UTC), hours(days))
    assert (found.basis, found.low, found.high) == ("too_early", None, None)
    assert found.to_json()["expected"] is None


@pytest.mark.parametrize(("days", "basis"), [(3, "days"), (7, "weeks"), (20, "weeks"), (60, "weeks")])
def test_a_steady_spend_is_continued_exactly(days: int, basis: str) -> None:
    found = project(1_000, moments(NOW, UTC), hours(days))
    rest = 10 * 24 * 19.5
    assert found.basis == basis and found.days <= 28
    assert (found.low, found.expected, found.high) == (1_000 + rest, 1_000 + rest, 1_000 + rest)


def test_weekends_are_continued_as_weekends() -> None:
    cost = dict.fromkeys(range(5), 100) | {5: 0, 6: 0}
    found = project(0, moments(NOW, UTC), hours(14, cost))
    # The rest of June 2026 from Thursday noon: half a Thursday, 13 working days, 6 days of weekend.
    assert found.expected == found.low == found.high == 100 * (12 + 13 * 24)


def test_most_months_end_within_the_range() -> None:
    dice = random.Random(3)
    inside = 0
    for _ in range(200):
        days = [dice.randrange(500, 1_500) for _ in range(48)]
        spent = {NOW - (48 - n) * DAY_MS + 19 * DAY_MS + 12 * HOUR_MS: cost for n, cost in enumerate(days)}
        history = {start: cost for start, cost in spent.items() if start < NOW}
        rest = sum(cost for start, cost in spent.items() if start >= NOW)
        found = project(0, moments(NOW, UTC), history)
        assert found.low is not None and found.high is not None
        inside += found.low <= rest <= found.high
    assert inside >= 170


def scores(*values: float) -> Scores:
    found = Scores()
    for value in values:
        found.add(value)
    return found


@pytest.mark.parametrize(
    ("now", "then", "said"),
    [
        ([], [0.5] * 300, "no_data"),
        ([0.5] * 300, [0.9] * 199, "not_yet"),
        ([0.5, 0.51] * 150, [0.5, 0.515] * 150, "equal"),
        ([0.5, 0.6] * 150, [0.7, 0.8] * 150, "better"),
        ([0.5, 0.6] * 150, [0.2, 0.3] * 150, "worse"),
        ([0.0, 1.0] * 100, [0.0, 1.0] * 100, "not_yet"),
    ],
)
def test_a_verdict_says_no_more_than_the_scores(now: list[float], then: list[float], said: str) -> None:
    assert verdict(scores(*now), scores(*then)) == said
