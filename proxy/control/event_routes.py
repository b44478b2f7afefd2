"""The Events API: lists streamed with flat memory, one event, and the live tail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from proxy.control.event_forms import next_link, written_as
from proxy.control.event_query import event_query, parameters, unknown_as_null, whole_number
from proxy.control.feedback_routes import feedback_json
from proxy.control.hub import Hub
from proxy.control.moment import moment_of, seen_from
from proxy.control.problems import ApiError, json_response
from proxy.events.errors import StoreError
from proxy.events.event import Event
from proxy.events.filter.fields import ALL, field_json
from proxy.events.store import EventQuery
from proxy.events.wire_form import event_json

LIST_PARAMETERS = (
    "since", "until", "model", "provider", "decision", "tag", "after_seq", "before_seq", "limit", "format", "unknown",
    "filter", "at", "order", "fields",
)  # fmt: skip
STREAM_PARAMETERS = ("model", "provider", "decision", "tag", "after_seq", "unknown", "filter")
PAGE_LIMIT = 1_000
"""Up to this `limit` an answer is a page: it is put together before it is sent, and says where the next one is."""
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
        """Events of a window, newest first unless `order=oldest`."""
        given = parameters(request, LIST_PARAMETERS)
        moment = moment_of(request, self._hub)
        query = seen_from(event_query(given, moment), moment)
        form = written_as(given.get("format", "json"), given.get("fields"), unknown_as_null(given))
        headers = {"Cache-Control": "no-store"}
        if query.limit is not None and query.limit <= PAGE_LIMIT:
            page, more = await self._page(query, query.limit)
            if more:
                headers["Link"] = next_link(request, query, page[-1])
            chunks = _in_chunks(form.written(_each(page)))
        else:
            chunks = await _begun(_in_chunks(form.written(self._hub.store.query(query))))
        return StreamingResponse(chunks, media_type=form.media_type, headers=headers)

    async def _page(self, query: EventQuery, limit: int) -> tuple[list[Event], bool]:
        """A page, and whether there is more behind it."""
        try:
            found = [event async for event in self._hub.store.query(replace(query, limit=limit + 1))]
        except StoreError as error:
            raise ApiError(503, "store", str(error)) from None
        return found[:limit], 0 < limit < len(found)

    async def fields(self, request: Request) -> Response:
        """What a filter can ask for."""
        return json_response({"fields": [field_json(field) for field in ALL]})

    async def one(self, request: Request) -> Response:
        """One event by id."""
        given = parameters(request, ("unknown",))
        event = await self._hub.store.get(request.path_params["id"])
        if event is None:
            raise ApiError(404, "not_found", "there is no event of that id", "id")
        said = await self._hub.store.feedback_of(event.id)
        more = {"attempt_log": event.attempt_log, "feedback": [feedback_json(item) for item in said]}
        return json_response({**event_json(event, unknown_as_null(given)), **more})

    async def tail(self, request: Request) -> Response:
        """Events as they are stored, as server-sent events; `Last-Event-ID` or `after_seq` resumes without a gap."""
        given = parameters(request, STREAM_PARAMETERS)
        resume = request.headers.get("last-event-id") or given.get("after_seq")
        after = whole_number(resume, "last-event-id") if resume is not None else None
        query = replace(
            event_query({**given, "after_seq": str(after)} if after is not None else given), ascending=True
        )
        return StreamingResponse(
            self._tail(query, unknown_as_null(given)),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
        )

    async def _tail(self, query: EventQuery, unknown_null: bool) -> AsyncIterator[bytes]:
        woken = asyncio.Event()
        unsubscribe = self._hub.store.subscribe(lambda _batch: woken.set())
        last = self._hub.store.counters().last_seq
        seq = query.after_seq if query.after_seq is not None else last
        try:
            yield b": tail\n\n"
            while True:
                woken.clear()
                # What was looked at once is not looked at again, however seldom the filter holds.
                last = self._hub.store.counters().last_seq
                if last > seq:
                    span = replace(query, after_seq=seq, before_seq=last + 1)
                    async for chunk in _in_chunks(_frames(self._hub.store.query(span), unknown_null)):
                        yield chunk
                    seq = last
                try:
                    await asyncio.wait_for(woken.wait(), HEARTBEAT_S)
                except TimeoutError:
                    yield b": still here\n\n"
        finally:
            unsubscribe()


async def _frames(events: AsyncIterator[Event], unknown_null: bool) -> AsyncIterator[bytes]:
    async for event in events:
        data = msgspec.json.encode(event_json(event, unknown_null))
        yield b"id: %d\nevent: event\ndata: %s\n\n" % (event.seq, data)


async def _each(events: list[Event]) -> AsyncIterator[Event]:
    for event in events:
        yield event


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


def row(event: Event) -> dict[str, object]:
    """The form the screen gets: unknown figures are null."""
    return event_json(event, unknown_null=True)
