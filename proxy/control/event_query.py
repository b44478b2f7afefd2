"""Which events a request asks for: its parameters read."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from proxy.base.times import now_ms, parse_moment
from proxy.control.problems import ApiError
from proxy.events.filter import Expression, FilterError, parse
from proxy.events.store import EventQuery

ORDERS = ("newest", "oldest")
"""What comes first, and what `limit` keeps."""


def parameters(request: Request, known: tuple[str, ...]) -> dict[str, str]:
    """The parameters of a request, each once. Raises ApiError (400)."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise ApiError(
                400, "bad_parameter", f"unknown parameter {name}; known are {', '.join(known)}", name
            )
        if name in given:
            raise ApiError(400, "bad_parameter", f"{name} is given twice", name)
        given[name] = value
    return given


def event_query(given: Mapping[str, str], now_is: int | None = None) -> EventQuery:
    """The query asked for. Spans in it count back from `at`, so that every page of a long read means the same window."""
    clock = now_ms() if now_is is None else now_is
    at = _moment(given, "at", clock)
    now = clock if at is None else at
    oldest = _order(given) == "oldest"
    return EventQuery(
        ascending=oldest,
        keep_oldest=oldest,
        since_ms=_moment(given, "since", now),
        until_ms=_moment(given, "until", now),
        model=given.get("model"),
        provider=given.get("provider"),
        decision=given.get("decision"),
        tag=given.get("tag"),
        after_seq=whole_number(given["after_seq"], "after_seq") if "after_seq" in given else None,
        before_seq=whole_number(given["before_seq"], "before_seq") if "before_seq" in given else None,
        limit=whole_number(given["limit"], "limit") if "limit" in given else None,
        where=_where(given, now),
    )


def _order(given: Mapping[str, str]) -> str:
    order = given.get("order", "newest")
    if order not in ORDERS:
        raise ApiError(400, "bad_parameter", f"order must be {' or '.join(ORDERS)}", "order")
    return order


def _where(given: Mapping[str, str], now: int) -> Expression | None:
    if "filter" not in given:
        return None
    try:
        return parse(given["filter"], now)
    except FilterError as error:
        raise ApiError(
            400, "bad_filter", f"filter: {error}", "filter", column=error.start + 1, end_column=error.end + 1
        ) from None


def _moment(given: Mapping[str, str], name: str, now: int) -> int | None:
    if name not in given:
        return None
    try:
        return parse_moment(given[name], now)
    except (ValueError, OverflowError) as error:
        raise ApiError(400, "bad_parameter", f"{name}: {error}", name) from None


def whole_number(text: str, name: str) -> int:
    """The number that the parameter `name` is. Raises ApiError (400)."""
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ApiError(400, "bad_parameter", f"{name} must be a whole number of 0 or more", name)
    return int(text)


def unknown_as_null(given: Mapping[str, str]) -> bool:
    """Whether figures that are not known are to be null. Raises ApiError (400)."""
    value = given.get("unknown", "zero")
    if value not in ("null", "zero"):
        raise ApiError(400, "bad_parameter", "unknown must be null or zero", "unknown")
    return value == "null"
