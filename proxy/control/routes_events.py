"""Routes of events: list, one, live."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from proxy.control import params
from proxy.control.errors import bad_request, not_found
from proxy.control.hub import QUIET_S, sse
from proxy.control.replies import SSE_HEADERS, control_of, json_reply
from proxy.events.event import Event
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.store import EventQuery
from proxy.events.wire_form import csv_header, csv_row, event_json

_FORMATS = {"json": "application/json", "jsonl": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}
_CHUNK_EVENTS = 50
"""Encoded at a stretch, about a millisecond; then requests have their turn."""


async def list_events(request: Request) -> Response:
    """The events of a window, newest first, streamed; never silently cut."""
    query = request.query_params
    params.only(query, (*params.FILTERS, "format", "unknown"))
    form = params.choice(query, "format", tuple(_FORMATS), "json")
    unknown_null = params.choice(query, "unknown", ("zero", "null"), "zero") == "null"
    wanted = params.event_query(query)
    if wanted.since_ms is not None and wanted.until_ms is not None and wanted.since_ms > wanted.until_ms:
        raise bad_request("since lies after until", "since")
    events = control_of(request).store.query(wanted)
    # A store that cannot be read must become an error, not a list that ends early.
    chunks = _chunks(events, form, unknown_null)
    first = await anext(chunks)
    return StreamingResponse(
        _with_first(first, chunks), media_type=_FORMATS[form], headers=_list_headers(form)
    )


def _list_headers(form: str) -> dict[str, str]:
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    if form == "csv":
        headers["Content-Disposition"] = 'attachment; filename="events.csv"'
    return headers


async def _with_first(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


async def _chunks(events: AsyncIterator[Event], form: str, unknown_null: bool) -> AsyncIterator[bytes]:
    """The body in pieces; at least one."""
    encode = _encoder(form, unknown_null)
    parts: list[bytes] = [{"json": b"[", "jsonl": b"", "csv": csv_header().encode()}[form]]
    separator, first = (b"," if form == "json" else b""), True
    async for event in events:
        parts.append(encode(event) if first else separator + encode(event))
        first = False
        if len(parts) >= _CHUNK_EVENTS:
            yield b"".join(parts)
            parts.clear()
            await asyncio.sleep(0)
    if form == "json":
        parts.append(b"]")
    yield b"".join(parts)


def _encoder(form: str, unknown_null: bool) -> Callable[[Event], bytes]:
    if form == "csv":
        return lambda event: csv_row(event).encode("utf-8", "replace")
    end = b"\n" if form == "jsonl" else b""
    return lambda event: msgspec.json.encode(event_json(event, unknown_null)) + end


async def get_event(request: Request) -> Response:
    """One event."""
    params.only(request.query_params, ("unknown",))
    unknown_null = params.choice(request.query_params, "unknown", ("zero", "null"), "zero") == "null"
    event = await control_of(request).store.get(request.path_params["id"])
    if event is None:
        raise not_found("there is no event with that id")
    return json_reply(event_json(event, unknown_null))


async def tail(request: Request) -> Response:
    """Events as they are stored, as server-sent events; `Last-Event-ID` (a seq) resumes behind it."""
    query = request.query_params
    params.only(query, ("model", "provider", "decision", "tag", "after_seq", "unknown"))
    wanted = params.event_query(query)
    unknown_null = params.choice(query, "unknown", ("zero", "null"), "zero") == "null"
    control = control_of(request)
    resume = request.headers.get("last-event-id", "").strip()
    if resume:
        if not resume.isdigit() or len(resume) > 18:
            raise bad_request("Last-Event-ID must be the number of an event", "Last-Event-ID")
        wanted = replace(wanted, after_seq=int(resume))
    if wanted.after_seq is None:
        wanted = replace(wanted, after_seq=control.store.counters().last_seq)
    body = _tail(control.store, replace(wanted, ascending=True), unknown_null, control.hub.closing)
    return StreamingResponse(body, media_type="text/event-stream", headers=SSE_HEADERS)


async def _tail(
    store: SqliteEventStore, query: EventQuery, unknown_null: bool, closing: asyncio.Event
) -> AsyncIterator[bytes]:
    """Each insertion only wakes; what is sent is read from the store, so a slow reader costs no memory."""
    news = asyncio.Event()
    end = store.subscribe(lambda _: news.set())
    ending = asyncio.create_task(closing.wait())
    try:
        yield b": open\n\n"
        while not closing.is_set():
            news.clear()
            async for event in store.query(query):
                query = replace(query, after_seq=event.seq)
                yield sse("event", msgspec.json.encode(event_json(event, unknown_null)), event.seq)
            waiting = asyncio.create_task(news.wait())
            done, _ = await asyncio.wait(
                (waiting, ending), timeout=QUIET_S, return_when=asyncio.FIRST_COMPLETED
            )
            waiting.cancel()
            if not done:
                yield b": quiet\n\n"
    finally:
        ending.cancel()
        end()


async def stream(request: Request) -> Response:
    """Everything a screen needs: batches of events, the status, changes of the policy."""
    params.only(request.query_params, ())
    hub = control_of(request).hub

    async def body() -> AsyncIterator[bytes]:
        reader = hub.open()
        try:
            async for message in reader.messages():
                yield message
        finally:
            hub.close_reader(reader)

    return StreamingResponse(body(), media_type="text/event-stream", headers=SSE_HEADERS)


ROUTES = [
    Route("/v1/events", list_events, methods=["GET"]),
    Route("/v1/events/stream", tail, methods=["GET"]),
    Route("/v1/events/{id}", get_event, methods=["GET"]),
    Route("/v1/stream", stream, methods=["GET"]),
]
