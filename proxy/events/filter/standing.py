"""Filters that stand for long: what an alert counts by."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.events.filter.expression import All, Any, Contains, Expression, Metadata, Not
from proxy.events.filter.fields import BODY, Field
from proxy.events.filter.lexer import FilterError
from proxy.events.filter.parser import parse

_TIME = "timestamp_ms"


def standing(text: str) -> Expression:
    """The filter in `text`. Raises FilterError; also where it asks for what changes with the moment it is asked at."""
    expression = parse(text, 0)
    for field in _fields(expression):
        if field.column == _TIME:
            raise FilterError("an alert has its own window: leave times out", 0, len(text))
        if field is BODY:
            raise FilterError("an alert cannot look at bodies", 0, len(text))
    return expression


def fault_of(text: str) -> tuple[str, int, int] | None:
    """Why `text` is no filter for an alert, in one sentence, and which characters of it; None when it is one."""
    try:
        standing(text)
    except FilterError as error:
        return error.message, error.start, min(error.end, len(text))
    return None


def _fields(expression: Expression) -> Iterator[Field]:
    match expression:
        case All(parts) | Any(parts):
            for part in parts:
                yield from _fields(part)
        case Not(inner):
            yield from _fields(inner)
        case Metadata() | Contains():
            return
        case _:
            yield expression.field
