"""What the chart of the Cost screen shows: its measures along time. Pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from ktui.cost_answers import Along, Cost
from ktui.number_words import request_cost, sum_cost
from ktui.widgets.spend_chart import Bars

_TOLD_S = 27 * 86_400
"""How far back the gateway tells when its first request came."""
Values = Callable[[Along], tuple[float | None, ...]]


def _spend(along: Along) -> tuple[float | None, ...]:
    # Requests that all lack a price have no sum, not the sum 0.
    known = (
        bool(priced) or not requests for priced, requests in zip(along.priced, along.requests, strict=True)
    )
    return tuple(float(value) if sure else None for value, sure in zip(along.values, known, strict=True))


def _per_request(along: Along) -> tuple[float | None, ...]:
    pairs = zip(along.values, along.priced, strict=True)
    return tuple(float(value) / priced if priced else None for value, priced in pairs)


def _tokens(along: Along) -> tuple[float | None, ...]:
    return tuple(float(sum(pair)) for pair in zip(along.input_tokens, along.output_tokens, strict=True))


def _dollars(value: float) -> str:
    return sum_cost(value)


def _cost_of_one(value: float) -> str:
    return request_cost(f"{value:.9f}")


def _count(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:,.1f} M"
    return f"{value:,.0f}"


MEASURES: tuple[tuple[str, str, Values, Callable[[float], str]], ...] = (
    ("spend", "Spend", _spend, _dollars),
    ("per request", "Cost of a request", _per_request, _cost_of_one),
    ("requests", "Requests", lambda along: tuple(map(float, along.requests)), _count),
    ("tokens", "Tokens", _tokens, _count),
)
"""Name, title, values, and how one is written; in the order `v` goes through."""


def bars_of(cost: Cost, measure: int) -> Bars:
    """The bars of one measure."""
    _, _, values, label = MEASURES[measure]
    along, first = cost.spend, cost.calendar.first
    drawn = values(along)
    # Before the first request nothing was recorded, which is not the sum 0. Only the last days are told.
    if first is not None and first > cost.calendar.now - _TOLD_S:
        drawn = tuple(
            value if at + along.step_s > first else None for at, value in zip(along.times, drawn, strict=True)
        )
    return Bars(along.times, drawn, along.step_s, label)


def step_words(step_s: int) -> str:
    """`minute`, `5 minutes`, `3 hours`, `day`."""
    for seconds, name in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if step_s >= seconds:
            number = round(step_s / seconds)
            return name if number == 1 else f"{number} {name}s"
    return f"{step_s} s"


def span_meta(cost: Cost) -> str:
    """`Thu 5 Jun to now`, local time."""
    first = datetime.fromtimestamp(cost.since).astimezone()
    if cost.window_s > 2 * 86_400:
        return f"{first:%a} {first.day} {first:%b} to now"
    return f"{first:%a %H:%M} to now"
