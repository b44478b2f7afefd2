"""How a list of events is written, and where the next page of it is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import msgspec
from starlette.requests import Request

from proxy.control.problems import ApiError
from proxy.events.event import Event
from proxy.events.pick import UnknownFieldError, csv_picker, picker, read_names
from proxy.events.store import EventQuery
from proxy.events.wire_form import csv_header, csv_row, event_json

MEDIA_TYPES = {"json": "application/json", "jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Form:
    """A text format of events."""

    media_type: str
    head: bytes
    separator: bytes
    tail: bytes
    row: Callable[[Event], bytes]

    async def written(self, events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
        """The events, piece by piece."""
        lead = self.head
        async for event in events:
            yield lead + self.row(event)
            lead = self.separator
        yield self.tail if lead is self.separator else self.head + self.tail


def written_as(form: str, fields: str | None, unknown_null: bool) -> Form:
    """`form` is json, jsonl or csv; `fields` names those that are wanted. Raises ApiError (400)."""
    if form not in MEDIA_TYPES:
        raise ApiError(400, "bad_parameter", "format must be json, jsonl or csv", "format")
    media_type = MEDIA_TYPES[form]
    try:
        names = None if fields is None else read_names(fields)
    except UnknownFieldError as error:
        raise ApiError(400, "bad_parameter", f"fields: {error}", "fields") from None
    if form == "csv" and names is None:
        return Form(media_type, csv_header().encode(), b"", b"", lambda event: csv_row(event).encode())
    if form == "csv":
        line = csv_picker(names or ())
        head = ",".join(names or ()) + "\r\n"
        return Form(media_type, head.encode(), b"", b"", lambda event: line(event_json(event, True)).encode())
    pick = dict if names is None else picker(names)

    def encoded(event: Event) -> bytes:
        return msgspec.json.encode(pick(event_json(event, unknown_null)))

    if form == "jsonl":
        return Form(media_type, b"", b"", b"", lambda event: encoded(event) + b"\n")
    return Form(media_type, b"[", b",\n", b"]\n", encoded)


def next_link(request: Request, query: EventQuery, last: Event) -> str:
    """The Link header (RFC 8288) to what follows `last`: the same question, from there on."""
    cursor = "after_seq" if query.ascending else "before_seq"
    url = request.url.include_query_params(**{cursor: last.seq})
    target = f"{url.path}?{url.query}"
    return f'<{target}>; rel="next"'
