"""Spend by the calendar: this month, today against yesterday, and where the month is heading. Pure.

The projection is the known spend so far plus what the rest of the month is expected to add. From whole weeks of
history each remaining hour is expected to cost the mean of the same hour of the week; with one to six days, every
day the mean of those days. The range is two standard deviations of the sum of the remaining days and of the mean it
is expected from, as of independent days with the spread s seen so far: 2 s sqrt(r + r^2 / n), for r days left and
n days seen. With two weeks or more, s is the spread about the mean of each weekday. Less than two days of history
say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Any

from proxy.base.money import to_decimal_string
from proxy.events.rollups.cells import DAY_MS, HOUR_MS, MINUTE_MS

HISTORY_MS = 28 * DAY_MS
_WEEK_HOURS = 7 * 24
_LEAST_DAYS = 2


@dataclass(frozen=True, slots=True)
class Moments:
    """Where the calendar of one zone stands: milliseconds since 1970."""

    now: int
    month: int
    next_month: int
    today: int
    yesterday: int
    yesterday_now: int
    """The same time of day, a day before, to the minute."""


def moments(now_ms: int, zone: tzinfo) -> Moments:
    """The beginnings of month and days around `now_ms` in `zone`."""
    local = datetime.fromtimestamp(now_ms / 1_000, UTC).astimezone(zone)
    today = local.replace(hour=0, minute=0, second=0, microsecond=0)
    month = today.replace(day=1)
    # Four days after the 28th is always the next month. Differences are of the wall clock, so a change of the
    # clocks moves no midnight.
    following = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
    day = timedelta(days=1)
    same = local.replace(second=0, microsecond=0) - day
    return Moments(now_ms, _ms(month), _ms(following), _ms(today), _ms(today - day), _ms(same))


def _ms(local: datetime) -> int:
    return int(local.timestamp() * 1_000) // MINUTE_MS * MINUTE_MS


@dataclass(frozen=True, slots=True)
class Projection:
    """Nano-dollars of the whole month. `basis`: too_early | days | weeks; `days` of history it rests on."""

    basis: str
    days: int
    low: int | None = None
    expected: int | None = None
    high: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Dollars as decimal strings; null while it is too early to say."""
        figures = {"low": self.low, "expected": self.expected, "high": self.high}
        return {
            "basis": self.basis,
            "days": self.days,
            **{name: None if nanos is None else to_decimal_string(nanos) for name, nanos in figures.items()},
        }


def project(so_far: int, at: Moments, hours: Mapping[int, int]) -> Projection:
    """Where the month is heading. `hours`: known nano-dollars by the start of each UTC hour, up to 28 days back."""
    if not hours:
        return Projection("too_early", 0)
    this_hour = at.now // HOUR_MS * HOUR_MS
    days = min((this_hour - min(hours)) // DAY_MS, HISTORY_MS // DAY_MS)
    if days < _LEAST_DAYS:
        return Projection("too_early", int(days))
    # Whole days that end with the last whole hour, the newest first.
    sums = [_between(hours, this_hour - (k + 1) * DAY_MS, this_hour - k * DAY_MS) for k in range(int(days))]
    left = (at.next_month - at.now) / DAY_MS
    weeks = int(days) // 7
    if weeks:
        rest = _by_week(hours, this_hour, weeks, at)
        basis, sums = "weeks", sums[: weeks * 7]
    else:
        rest = sum(sums) / len(sums) * left
        basis = "days"
    around = 2.0 * _spread(sums) * math.sqrt(left + left * left / len(sums))
    low, high = so_far + max(rest - around, 0.0), so_far + rest + around
    return Projection(basis, len(sums), round(low), round(so_far + rest), round(high))


def _between(hours: Mapping[int, int], since: int, until: int) -> int:
    return sum(hours.get(start, 0) for start in range(since, until, HOUR_MS))


def _by_week(hours: Mapping[int, int], this_hour: int, weeks: int, at: Moments) -> float:
    """What the hours until the next month cost, each as the same hour of the last `weeks` weeks did on average."""
    profile = [0.0] * _WEEK_HOURS
    for back in range(1, weeks * _WEEK_HOURS + 1):
        start = this_hour - back * HOUR_MS
        profile[start // HOUR_MS % _WEEK_HOURS] += hours.get(start, 0) / weeks
    edges = [at.now, *range(this_hour + HOUR_MS, at.next_month, HOUR_MS), at.next_month]
    return math.fsum(
        profile[start // HOUR_MS % _WEEK_HOURS] * (end - start) / HOUR_MS for start, end in pairwise(edges)
    )


def _spread(sums: list[int]) -> float:
    """Standard deviation of a day; with two weeks or more, about the mean of its weekday."""
    seasons = 7 if len(sums) >= 14 else 1
    squares = 0.0
    for season in range(seasons):
        alike = sums[season::seasons]
        mean = sum(alike) / len(alike)
        squares += sum((one - mean) ** 2 for one in alike)
    return math.sqrt(squares / (len(sums) - seasons))
