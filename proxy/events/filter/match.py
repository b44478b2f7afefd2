"""An expression as a test of one event, in agreement with its SQL."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any as AnyValue
from typing import assert_never

from proxy.events.event import Event
from proxy.events.filter.expression import (
    All,
    Any,
    Contains,
    Expression,
    Has,
    Metadata,
    Not,
    Range,
    Text,
)
from proxy.events.filter.fields import BODY, FREE_TEXT, Field

Test = Callable[[Event], bool]
ASCII_LOWER = {ord(letter): letter.lower() for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}


def matcher(expression: Expression) -> Test:
    """A test whether an event meets `expression`."""
    match expression:
        case All(parts):
            tests = [matcher(part) for part in parts]
            return lambda event: all(test(event) for test in tests)
        case Any(parts):
            tests = [matcher(part) for part in parts]
            return lambda event: any(test(event) for test in tests)
        case Not(inner):
            test = matcher(inner)
            return lambda event: not test(event)
        case Text():
            return _text(expression)
        case Range():
            return _range(expression)
        case Has(field) if field is BODY:
            # Known of an event that is not stored yet; what is read back does not carry its bodies.
            return lambda event: event.bodies is not None
        case Has(field):
            return _has(field)
        case Contains(needle):
            return lambda event: any(
                needle in (getattr(event, column) or "").translate(ASCII_LOWER) for column in FREE_TEXT
            )
        case Metadata(key, exact, globs):
            fits = _fitting(exact, globs)
            return lambda event: (value := event.request_metadata.get(key)) is not None and fits(value)
        case _:
            assert_never(expression)


def _has(field: Field) -> Test:
    column = field.column
    if field.kind == "list":
        return lambda event: bool(getattr(event, column))
    if field.kind == "user":
        return lambda event: (
            (event.unit_kind == "user" and event.unit_digest is not None)
            or _unit_of_user(event.facts) is not None
        )
    return lambda event: getattr(event, column) is not None


def _text(test: Text) -> Test:
    column, exact = test.field.column, test.exact
    fits = _fitting(exact, test.globs)
    match test.field.kind:
        case "list":
            return lambda event: any(fits(item) for item in getattr(event, column))
        case "prefix":
            return lambda event: (value := getattr(event, column)) is not None and value.startswith(exact)
        case "user":
            return lambda event: (
                (event.unit_kind == "user" and event.unit_digest in exact)
                or _unit_of_user(event.facts) in exact
            )
        case "variant":
            ends = tuple(f"-{value}" for value in exact)
            return lambda event: (
                (value := getattr(event, column)) is not None
                and (fits(value) or (bool(ends) and value.endswith(ends)))
            )
        case _:
            return lambda event: (value := getattr(event, column)) is not None and fits(value)


def _unit_of_user(facts: dict[str, AnyValue]) -> AnyValue:
    units = facts.get("units")
    return units.get("user") if isinstance(units, dict) else None


def _fitting(exact: tuple[str, ...], globs: tuple[str, ...]) -> Callable[[str], bool]:
    wanted = frozenset(exact)
    patterns = [_glob(pattern) for pattern in globs]
    return lambda value: value in wanted or any(fits(value) for fits in patterns)


def _glob(pattern: str) -> Callable[[str], bool]:
    """A test for `*` and `?`, linear in the text: between two stars the first place that fits is good enough."""
    parts = [re.compile(_piece(part), re.DOTALL) for part in pattern.split("*")]
    if len(parts) == 1:
        return lambda value: parts[0].fullmatch(value) is not None
    first, middle = parts[0], parts[1:-1]
    last_length = len(pattern) - pattern.rindex("*") - 1
    last = parts[-1]

    def fits(value: str) -> bool:
        start = first.match(value)
        if start is None:
            return False
        place = start.end()
        for part in middle:
            found = part.search(value, place)
            if found is None:
                return False
            place = found.end()
        rest = len(value) - last_length
        return rest >= place and last.fullmatch(value, rest) is not None

    return fits


def _piece(text: str) -> str:
    return "".join("." if character == "?" else re.escape(character) for character in text)


def _range(test: Range) -> Test:
    column, low, high = test.field.column, test.low, test.high
    low_open, high_open = test.low_open, test.high_open

    def holds(event: Event) -> bool:
        value = getattr(event, column)
        if value is None:
            return False
        if low is not None and (value < low or (low_open and value == low)):
            return False
        return high is None or not (value > high or (high_open and value == high))

    return holds
