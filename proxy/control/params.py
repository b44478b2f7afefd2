"""Reading the query and the body of a request. What cannot be meant is a 400 with one sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request

from proxy.base.sanitise import sanitise
from proxy.base.times import now_ms, parse_moment, parse_span
from proxy.control.errors import ApiError, bad_request
from proxy.events.store import EventQuery

Body = TypeVar("Body", bound=msgspec.Struct)

FILTERS = ("since", "until", "model", "provider", "decision", "tag", "limit", "after_seq", "before_seq")
_DECISIONS = ("allow", "redirect", "warn", "block")
_TOP = 2**63 - 1


def only(query: QueryParams, known: Iterable[str]) -> None:
    """Refuse parameters that mean nothing here, and ones given twice: a typing error must not widen an answer."""
    names = tuple(known)
    for name in query:
        if name not in names:
            listed = ", ".join(names) or "none"
            raise bad_request(f"unknown parameter {_shown(name)}; known here: {listed}", sanitise(name, 60))
        if len(query.getlist(name)) > 1:
            raise bad_request(f"{name} is given more than once", name)


def event_query(query: QueryParams) -> EventQuery:
    """The filters of a list of events."""
    now = now_ms()
    decision = query.get("decision") or None
    if decision is not None and decision not in _DECISIONS:
        raise bad_request(f"decision must be one of {', '.join(_DECISIONS)}", "decision")
    return EventQuery(
        since_ms=_moment(query, "since", now),
        until_ms=_moment(query, "until", now),
        model=query.get("model") or None,
        provider=query.get("provider") or None,
        decision=decision,
        tag=query.get("tag") or None,
        after_seq=number(query, "after_seq"),
        before_seq=number(query, "before_seq"),
        limit=number(query, "limit"),
    )


def choice(query: QueryParams, name: str, values: tuple[str, ...], default: str) -> str:
    """One of a few words."""
    value = query.get(name) or default
    if value not in values:
        raise bad_request(f"{name} must be one of {', '.join(values)}", name)
    return value


def number(query: QueryParams, name: str) -> int | None:
    """A whole number of 0 or more."""
    text = query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > _TOP:
        raise bad_request(f"{name} must be a whole number of 0 or more, not {_shown(text)}", name)
    return int(text)


def span_s(query: QueryParams, name: str, default: str, most_s: int) -> int:
    """Seconds of a span such as 15m; from 1 s to `most_s`."""
    text = query.get(name) or default
    try:
        span = parse_span(text)
    except OverflowError:
        span = None
    if span is None or not 1_000 <= span <= most_s * 1_000:
        raise bad_request(
            f"{name} must be a span from 1s to {most_s}s, such as 15m, not {_shown(text)}", name
        )
    return span // 1_000


async def body(request: Request, shape: type[Body]) -> Body:
    """The JSON body as `shape`."""
    data = await request.body()
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError as error:
        raise bad_request(f"the body does not fit: {sanitise(error, 200)}", "body") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_request("the body is not valid JSON", "body") from None


def if_match(request: Request) -> str:
    """The hash of the text a change was made on, or `*`."""
    value = request.headers.get("if-match", "").strip().removeprefix("W/").strip('"')
    if not value:
        message = 'a change needs the header If-Match: "HASH", the hash of the text it was made on, or *'
        raise ApiError(428, "if_match_needed", message, "If-Match")
    return value


def _moment(query: QueryParams, name: str, now: int) -> int | None:
    text = query.get(name)
    if not text:
        return None
    # In a query a plus that was not escaped arrives as a space.
    wanted = text.replace(" ", "+") if "T" in text else text
    try:
        return parse_moment(wanted, now)
    except (ValueError, OverflowError):
        example = "a span such as 1h or 7d, or a time such as 2026-06-11T14:00:00Z"
        raise bad_request(f"{name} must be {example}, not {_shown(text)}", name) from None


def _shown(text: str) -> str:
    return f'"{sanitise(text, 60)}"'
