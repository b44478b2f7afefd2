"""Fields that bodies of several routes have. Each reader raises ApiError (400) that names the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.base.times import parse_moment
from proxy.control.problems import ApiError
from proxy.events.filter import FilterError, parse
from proxy.events.filter.expression import Expression


def only(body: Mapping[str, Any], known: Sequence[str]) -> None:
    """A field that is not `known` is a mistake."""
    for name in body:
        if name not in known:
            raise ApiError(400, "bad_field", f"unknown field; known are {', '.join(known)}", name)


def flag(body: Mapping[str, Any], name: str) -> bool:
    """True or false; false when not given."""
    value = body.get(name, False)
    if not isinstance(value, bool):
        raise ApiError(400, "bad_field", f"{name} must be true or false", name)
    return value


def moment(body: Mapping[str, Any], name: str, now_ms: int) -> int | None:
    """Milliseconds since 1970, given as parse_moment takes it; None when not given."""
    value = body.get(name)
    try:
        return None if value is None else parse_moment(value, now_ms)
    except (ValueError, OverflowError, TypeError, AttributeError) as error:
        raise ApiError(400, "bad_field", f"{name}: {error}", name) from None


def condition(body: Mapping[str, Any], now_ms: int) -> Expression | None:
    """The filter in `filter`; None when not given."""
    text = body.get("filter")
    if text is None:
        return None
    if not isinstance(text, str):
        raise ApiError(400, "bad_field", "filter must be a text", "filter")
    try:
        return parse(text, now_ms)
    except FilterError as error:
        raise ApiError(
            400, "bad_filter", f"filter: {error}", "filter", column=error.start + 1, end_column=error.end + 1
        ) from None
