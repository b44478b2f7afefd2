"""Searching the store: what is found is told as it is found, with how far the search has come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from proxy.base.times import rfc3339
from proxy.base.worker import WorkerError
from proxy.control.event_query import event_query, parameters, unknown_as_null
from proxy.control.hub import Hub
from proxy.control.moment import moment_of, seen_from
from proxy.control.problems import ApiError
from proxy.events.errors import StoreError
from proxy.events.search import Hits, Stretch, ready, search_stretch
from proxy.events.sqlite_plan import Plan
from proxy.events.store import EventQuery

SEARCH_PARAMETERS = (
    "since", "until", "model", "provider", "decision", "tag", "before_seq", "limit", "unknown", "filter", "at"
)  # fmt: skip
DEFAULT_LIMIT, MOST = 500, 5_000
FIRST, SMALLEST, LARGEST = 30_000, 20_000, 4_000_000
"""Seqs of one stretch."""
HERE_S = 0.05
"""Stretches are looked through in this process for so long: one that has to start would hold up the first page."""
STRETCH_S = 0.1
"""What one stretch should take: between two, the reader may have gone, and others get their turn."""


class SearchRoutes:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """All of them."""
        return [Route("/v1/events/search", self.search, methods=["GET"])]

    async def search(self, request: Request) -> Response:
        """Events that fit, newest first, as server-sent events: `rows`, `progress` and at the end `done` or `failed`.

        Closing the connection ends the search.
        """
        given = parameters(request, SEARCH_PARAMETERS)
        moment = moment_of(request, self._hub)
        query = seen_from(event_query(given, moment), moment)
        limit = DEFAULT_LIMIT if query.limit is None else min(query.limit, MOST)
        search = _Search(self._hub, query, limit, unknown_as_null(given))
        try:
            await search.prepare()
        except StoreError as error:
            raise ApiError(503, "store", str(error)) from None
        return StreamingResponse(
            search.messages(),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
        )


class _Search:
    def __init__(self, hub: Hub, query: EventQuery, limit: int, unknown_null: bool) -> None:
        self._hub = hub
        self._query = query
        self._limit = limit
        self._unknown_null = unknown_null
        self._low, self._high, self._way = 1, 0, Plan(None, "", ())
        self._left = limit
        self._last_seq: int | None = None
        self._reached_ms: int | None = None
        self._reached_seq: int | None = None

    async def prepare(self) -> None:
        """Find out where to look. Raises StoreError."""
        self._low, self._high, self._way = await self._hub.store.way_of(self._query)

    async def messages(self) -> AsyncIterator[bytes]:
        """The whole search."""
        high, size, spent = self._high, FIRST, 0.0
        starting: asyncio.Task[None] | None = None
        try:
            while high >= self._low and self._left > 0:
                stretch = Stretch(max(self._low, high - size + 1), high)
                here = starting is None or spent < HERE_S
                if not here and starting is not None:
                    await starting
                began = time.monotonic()
                hits = await self._look(stretch, here)
                took = time.monotonic() - began
                size, spent = _next_size(size, took), spent + took
                if hits.rows:
                    yield _message("rows", b"[" + b",".join(row for _, row in hits.rows) + b"]")
                self._note(stretch, hits)
                high = stretch.low - 1
                if high >= self._low and self._left > 0:
                    starting = starting or asyncio.create_task(self._start())
                    yield _message("progress", msgspec.json.encode(self._progress()))
        except (StoreError, WorkerError) as error:
            yield _message("failed", msgspec.json.encode({"message": str(error)}))
            return
        finally:
            if starting is not None:
                starting.cancel()
        complete = high < self._low and self._left > 0
        end = {"complete": complete, "before_seq": None if complete else self._last_seq}
        yield _message("done", msgspec.json.encode({**self._progress(), **end}))

    async def _start(self) -> None:
        """Have the other process ready; what keeps it from starting is told by the first search in it."""
        with suppress(WorkerError):
            await self._hub.searcher.run(ready)

    async def _look(self, stretch: Stretch, here: bool) -> Hits:
        work = (self._hub.state_dir / "events.db", self._way, stretch, self._left, self._unknown_null)
        if here:
            return await asyncio.to_thread(search_stretch, *work)
        found: Hits = await self._hub.searcher.run(search_stretch, *work)
        return found

    def _note(self, stretch: Stretch, hits: Hits) -> None:
        self._left -= len(hits.rows)
        self._reached_seq, self._reached_ms = stretch.low, hits.reached_ms
        if hits.rows:
            self._last_seq = hits.rows[-1][0]
        if self._left <= 0:
            # Beyond the last one that was asked for nothing was told, whatever was looked at.
            self._reached_seq = self._last_seq

    def _progress(self) -> dict[str, Any]:
        reached = self._high + 1 if self._reached_seq is None else self._reached_seq
        return {
            "searched": self._high - reached + 1,
            "total": self._high - self._low + 1,
            "found": self._limit - self._left,
            "reached": None if self._reached_ms is None else rfc3339(self._reached_ms),
            "reached_seq": self._reached_seq,
        }


def _next_size(size: int, took_s: float) -> int:
    wanted = size * STRETCH_S / max(took_s, 0.001)
    return int(min(max(wanted, size / 4, SMALLEST), size * 4, LARGEST))


def _message(kind: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), data)
