"""The Events API: lists streamed with flat memory, one event, and the live tail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from proxy.base.times import now_ms, parse_moment
from proxy.control.feedback_routes import feedback_json
from proxy.control.hub import Hub
from proxy.control.moment import moment_of, seen_from
from proxy.control.problems import ApiError, json_response
from proxy.events.errors import StoreError
from proxy.events.event import Event
from proxy.events.filter import Expression, FilterError, parse
from proxy.events.filter.fields import ALL, field_json
from proxy.events.store import EventQuery
from proxy.events.wire_form import csv_header, csv_row, event_json

LIST_PARAMETERS = (
    "since", "until", "model", "provider", "decision", "tag", "after_seq", "before_seq", "limit", "format", "unknown",
    "filter", "at",
)  # fmt: skip
STREAM_PARAMETERS = ("model", "provider", "decision", "tag", "after_seq", "unknown", "filter")
_CHUNK = 64 << 10
HEARTBEAT_S = 15.0


class EventRoutes:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/v1/events", self.listing, methods=["GET"]),
            Route("/v1/events/stream", self.tail, methods=["GET"]),
            Route("/v1/events/fields", self.fields, methods=["GET"]),
            Route("/v1/events/{id}", self.one, methods=["GET"]),
        ]

    async def listing(self, request: Request) -> Response:
        """Events of a window, newest first."""
        given = _parameters(request, LIST_PARAMETERS)
        moment = moment_of(request, self._hub)
        query, unknown_null = seen_from(_query(given, moment), moment), _unknown_null(given)
        form = given.get("format", "json")
        writers: Mapping[str, tuple[str, Callable[[EventQuery, bool], AsyncIterator[bytes]]]] = {
            "json": ("application/json", self._json),
            "jsonl": ("application/x-ndjson", self._jsonl),
            "csv": ("text/csv; charset=utf-8", self._csv),
        }
        if form not in writers:
            raise ApiError(400, "bad_parameter", "format must be json, jsonl or csv", "format")
        media_type, write = writers[form]
        return StreamingResponse(
            await _begun(_in_chunks(write(query, unknown_null))),
            media_type=media_type,
            headers={"Cache-Control": "no-store"},
        )

    async def fields(self, request: Request) -> Response:
        """What a filter can ask for."""
        return json_response({"fields": [field_json(field) for field in ALL]})

    async def one(self, request: Request) -> Response:
        """One event by id."""
        given = _parameters(request, ("unknown",))
        event = await self._hub.store.get(request.path_params["id"])
        if event is None:
            raise ApiError(404, "not_found", "there is no event of that id", "id")
        said = await self._hub.store.feedback_of(event.id)
        more = {"attempt_log": event.attempt_log, "feedback": [feedback_json(item) for item in said]}
        return json_response({**event_json(event, _unknown_null(given)), **more})

    async def tail(self, request: Request) -> Response:
        """Events as they are stored, as server-sent events; `Last-Event-ID` or `after_seq` resumes without a gap."""
        given = _parameters(request, STREAM_PARAMETERS)
        resume = request.headers.get("last-event-id") or given.get("after_seq")
        after = _number(resume, "last-event-id") if resume is not None else None
        query = replace(
            _query({**given, "after_seq": str(after)} if after is not None else given), ascending=True
        )
        return StreamingResponse(
            self._tail(query, _unknown_null(given)),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
        )

    async def _json(self, query: EventQuery, unknown_null: bool) -> AsyncIterator[bytes]:
        separator = b"["
        async for event in self._hub.store.query(query):
            yield separator + msgspec.json.encode(event_json(event, unknown_null))
            separator = b",\n"
        yield b"[]\n" if separator == b"[" else b"]\n"

    async def _jsonl(self, query: EventQuery, unknown_null: bool) -> AsyncIterator[bytes]:
        async for event in self._hub.store.query(query):
            yield msgspec.json.encode(event_json(event, unknown_null)) + b"\n"

    async def _csv(self, query: EventQuery, unknown_null: bool) -> AsyncIterator[bytes]:
        yield csv_header().encode()
        async for event in self._hub.store.query(query):
            yield csv_row(event).encode()

    async def _tail(self, query: EventQuery, unknown_null: bool) -> AsyncIterator[bytes]:
        woken = asyncio.Event()
        unsubscribe = self._hub.store.subscribe(lambda _batch: woken.set())
        seq = query.after_seq if query.after_seq is not None else self._hub.store.counters().last_seq
        try:
            yield b": tail\n\n"
            while True:
                woken.clear()
                async for event in self._hub.store.query(replace(query, after_seq=seq)):
                    seq = event.seq
                    data = msgspec.json.encode(event_json(event, unknown_null))
                    yield b"id: %d\nevent: event\ndata: %s\n\n" % (event.seq, data)
                try:
                    await asyncio.wait_for(woken.wait(), HEARTBEAT_S)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            unsubscribe()


async def _begun(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """`chunks`, its first one fetched: a store that cannot be read is an error, not a list that breaks off."""
    try:
        first = await anext(chunks, b"")
    except StoreError as error:
        raise ApiError(503, "store", str(error)) from None

    async def all_of_it() -> AsyncIterator[bytes]:
        yield first
        async for chunk in chunks:
            yield chunk

    return all_of_it()


async def _in_chunks(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    held: list[bytes] = []
    size = 0
    async for part in parts:
        held.append(part)
        size += len(part)
        if size >= _CHUNK:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


def _parameters(request: Request, known: tuple[str, ...]) -> dict[str, str]:
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


def _query(given: Mapping[str, str], now_is: int | None = None) -> EventQuery:
    """The query asked for. Spans in it count back from `at`, so that every page of a long read means the same window."""
    clock = now_ms() if now_is is None else now_is
    at = _moment(given, "at", clock)
    now = clock if at is None else at
    return EventQuery(
        since_ms=_moment(given, "since", now),
        until_ms=_moment(given, "until", now),
        model=given.get("model"),
        provider=given.get("provider"),
        decision=given.get("decision"),
        tag=given.get("tag"),
        after_seq=_number(given["after_seq"], "after_seq") if "after_seq" in given else None,
        before_seq=_number(given["before_seq"], "before_seq") if "before_seq" in given else None,
        limit=_number(given["limit"], "limit") if "limit" in given else None,
        where=_where(given, now),
    )


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


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ApiError(400, "bad_parameter", f"{name} must be a whole number of 0 or more", name)
    return int(text)


def _unknown_null(given: Mapping[str, str]) -> bool:
    value = given.get("unknown", "zero")
    if value not in ("null", "zero"):
        raise ApiError(400, "bad_parameter", "unknown must be null or zero", "unknown")
    return value == "null"


def row(event: Event) -> dict[str, object]:
    """The form the screen gets: unknown figures are null."""
    return event_json(event, unknown_null=True)
