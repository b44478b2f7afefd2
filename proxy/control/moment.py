"""The moment a question is about: now, or with the header `x-kt-at` an earlier one.

Asked for an earlier moment, an answer is what it would have been then: windows end there, and nothing that arrived
later exists. So a whole screen can be shown as it was, through the same calls.
"""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request

from proxy.base.times import parse_moment
from proxy.control.auth import AT_HEADER
from proxy.control.hub import Hub
from proxy.control.problems import ApiError
from proxy.events.store import EventQuery


def moment_of(request: Request, hub: Hub) -> int | None:
    """The earlier moment that is asked for, milliseconds since 1970; None: now. Raises ApiError (400).

    It is written as RFC 3339, or as a span back from now such as `2h`.
    """
    given = request.headers.get(AT_HEADER)
    if given is None:
        return None
    now = hub.clock_ms()
    try:
        moment = min(parse_moment(given, now), now)
    except (ValueError, OverflowError) as error:
        raise ApiError(400, "bad_header", f"{AT_HEADER}: {error}", AT_HEADER) from None
    if moment < 0:
        # A calendar needs the month before it, and nothing was recorded then.
        raise ApiError(400, "bad_header", f"{AT_HEADER}: {given!r} is before 1970", AT_HEADER)
    return moment


def now_of(request: Request, hub: Hub) -> int:
    """What counts as now, milliseconds since 1970."""
    at = moment_of(request, hub)
    return hub.clock_ms() if at is None else at


def seen_from(query: EventQuery, at_ms: int | None) -> EventQuery:
    """`query` without what arrived at `at_ms` or later."""
    if at_ms is None or (query.until_ms is not None and query.until_ms <= at_ms):
        return query
    return replace(query, until_ms=at_ms)
