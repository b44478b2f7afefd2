"""What a value of a field means."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal

from proxy.base.times import parse_moment, parse_span
from proxy.events.filter.expression import Any, Expression, Range, Text
from proxy.events.filter.fields import NUMERIC, Field
from proxy.events.filter.lexer import FilterError, Value
from proxy.policy.assignment import unit_digest

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?\Z")
_TOKENS = re.compile(r"(\d+(?:\.\d+)?)([kKmM]?)\Z")
_CLASS = re.compile(r"([1-5])xx\Z", re.IGNORECASE)
_SPAN_BACK = re.compile(r"-[\d.]+(?:ms|s|m|h|d|w)(?:[\d.]+(?:ms|s|m|h|d|w))*\Z")
_LARGEST = 2.0**62
MOST_STARS = 4
"""In one pattern: SQLite's time for one grows with the power of them."""


def condition(field: Field, operator: str, values: Sequence[Value], now_ms: int) -> Expression:
    """`field operator values`; several values: any of them. Raises FilterError."""
    if field.kind in NUMERIC:
        if operator in (":", "="):
            parts = tuple(_number_range(field, value, now_ms) for value in values)
            return parts[0] if len(parts) == 1 else Any(parts)
        return _compared(field, operator, values[0], now_ms)
    if operator not in (":", "="):
        message = f"{field.name} is not a number: use : or !="
        raise FilterError(message, values[0].start, values[-1].end)
    if field.kind == "flag":
        return _flag(field, values[0])
    if field.kind == "user":
        return Text(field, tuple(unit_digest("user", value.text) for value in values))
    if field.kind == "prefix":
        return Text(field, tuple(value.text for value in values))
    exact, globs = split_globs(values)
    return Text(field, exact, globs)


def split_globs(values: Sequence[Value]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Plain values, and patterns; a quoted value is never a pattern."""
    for value in values:
        if not value.quoted and value.text.count("*") > MOST_STARS:
            raise FilterError(f"a pattern may have {MOST_STARS} stars", value.start, value.end)
    globs = tuple(value.text for value in values if not value.quoted and _is_glob(value.text))
    exact = tuple(value.text for value in values if value.quoted or not _is_glob(value.text))
    return exact, globs


def is_span_range(text: str) -> bool:
    """Whether a bare word such as `-7d..-1d` is a window of time."""
    low, dots, high = text.partition("..")
    return bool(dots) and (low or high) != "" and all(_SPAN_BACK.match(part) for part in (low, high) if part)


def time_range(field: Field, value: Value, now_ms: int) -> Range:
    """The window `LOW..HIGH`; either end may be left out. The end does not count."""
    low, _, high = value.text.partition("..")
    return Range(
        field,
        _moment(low, value, now_ms) if low else None,
        _moment(high, value, now_ms) if high else None,
        high_open=True,
    )


def _is_glob(text: str) -> bool:
    return "*" in text or "?" in text


def _flag(field: Field, value: Value) -> Range:
    words = {"true": 1.0, "yes": 1.0, "1": 1.0, "false": 0.0, "no": 0.0, "0": 0.0}
    number = words.get(value.text.lower())
    if number is None:
        raise FilterError(f"{field.name} is true or false", value.start, value.end)
    return Range(field, number, number)


def _number_range(field: Field, value: Value, now_ms: int) -> Range:
    """A number, `LOW..HIGH`, or a class of statuses. A single moment or span of time means since then."""
    if field.kind == "status" and (found := _CLASS.match(value.text)) is not None:
        first = float(found.group(1)) * 100
        return Range(field, first, first + 99)
    if ".." in value.text:
        if field.kind == "time":
            return time_range(field, value, now_ms)
        low, _, high = value.text.partition("..")
        return Range(
            field,
            _number(field, low, value, now_ms) if low else None,
            _number(field, high, value, now_ms) if high else None,
        )
    number = _number(field, value.text, value, now_ms)
    return Range(field, number, None if field.kind == "time" else number)


def _compared(field: Field, operator: str, value: Value, now_ms: int) -> Range:
    if field.kind == "status" and (found := _CLASS.match(value.text)) is not None:
        first = float(found.group(1)) * 100
        # Above 4xx means 500 and more, not 401.
        number = first + 99 if operator in (">", "<=") else first
    else:
        number = _number(field, value.text, value, now_ms)
    if operator in (">", ">="):
        return Range(field, low=number, low_open=operator == ">")
    return Range(field, high=number, high_open=operator == "<")


def _number(field: Field, text: str, value: Value, now_ms: int) -> float:
    """`text` in units of the column."""
    match field.kind:
        case "duration":
            number = _milliseconds(text)
            expected = "a span such as 150ms or 2s"
        case "tokens":
            number = _tokens(text)
            expected = "a number such as 800 or 8k"
        case "money":
            number = _plain(text.removeprefix("$"))
            expected = "dollars such as 0.01"
        case "time":
            return _moment(text, value, now_ms)
        case _:
            number = _plain(text)
            expected = "a number" if field.kind != "status" else "a status such as 429 or 5xx"
    # In decimals: 0.00412 dollars are 4,120,000 nano-dollars, not a hair more.
    scaled = None if number is None else float(number * Decimal(field.scale))
    if scaled is None or abs(scaled) > _LARGEST:
        raise FilterError(f"{field.name} wants {expected}, not {text[:40]!r}", value.start, value.end)
    return scaled


def _plain(text: str) -> Decimal | None:
    return Decimal(text) if len(text) <= 20 and _NUMBER.match(text) else None


def _milliseconds(text: str) -> Decimal | None:
    if len(text) > 40:
        return None
    number = _plain(text)
    if number is not None:
        return number
    span = parse_span(text)
    return None if span is None else Decimal(span)


def _tokens(text: str) -> Decimal | None:
    found = _TOKENS.match(text) if len(text) <= 20 else None
    if found is None:
        return None
    return Decimal(found.group(1)) * {"": 1, "k": 1_000, "m": 1_000_000}[found.group(2).lower()]


def _moment(text: str, value: Value, now_ms: int) -> float:
    try:
        return float(parse_moment(text.removeprefix("-") if _SPAN_BACK.match(text) else text, now_ms))
    except (ValueError, OverflowError):
        message = f"{text[:40]!r} is not a time: write 1h, 7d, or 2026-06-11T14:00:00Z"
        raise FilterError(message, value.start, value.end) from None
