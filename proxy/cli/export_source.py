"""Where an export takes its events from: the control API, or the store itself. Newest first, page by page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import msgspec

from proxy.base.times import parse_moment, rfc3339
from proxy.cli.api import Api
from proxy.cli.exits import ProblemError
from proxy.events.errors import StoreError
from proxy.events.event import Event
from proxy.events.export import Record, Request
from proxy.events.filter import parse
from proxy.events.sqlite_reader import EventReader
from proxy.events.store import EventQuery
from proxy.events.wire_form import event_json

PAGE = 1_000
"""Events read from the store, and held in memory, at once."""
API_PAGE = 250
"""Of one request: the gateway's loop is held for a few milliseconds, and traffic goes first."""


class Source(Protocol):
    """The events a request asks for. Every failure is a ProblemError with one sentence."""

    def newest(self) -> int | None:
        """The `seq` of the newest; None when there is none."""

    def pages(self, before_seq: int) -> Iterator[list[Record]]:
        """Those before `before_seq`, in the form of `unknown=null`."""

    def close(self) -> None:
        """Let go of connections."""


class ApiSource:
    """Through the control API, one request a page."""

    def __init__(self, api: Api, request: Request, asked_ms: int) -> None:
        self._api = api
        self._parameters = {"format": "jsonl", "unknown": "null", "at": rfc3339(asked_ms)}
        asked = {"since": request.since, "until": request.until, "filter": request.filter}
        self._parameters |= {name: value for name, value in asked.items() if value is not None}

    def newest(self) -> int | None:
        """See Source."""
        found = self._page({"limit": "1"})
        return int(found[0]["seq"]) if found else None

    def pages(self, before_seq: int) -> Iterator[list[Record]]:
        """See Source."""
        while True:
            page = self._page({"limit": str(API_PAGE), "before_seq": str(before_seq)})
            if page:
                yield page
            if len(page) < API_PAGE:
                return
            before_seq = page[-1]["seq"]

    def close(self) -> None:
        """See Source."""

    def _page(self, more: dict[str, str]) -> list[Record]:
        page: list[Record] = []
        with self._api.stream("/v1/events", {**self._parameters, **more}) as answer:
            for line in answer.iter_lines():
                if line:
                    page.append(_record(line))
        return page


def _record(line: str) -> dict[str, Any]:
    try:
        record = msgspec.json.decode(line)
    except msgspec.DecodeError:
        raise ProblemError("the gateway broke off in the middle of an event; run the command again") from None
    if not isinstance(record, dict) or not isinstance(record.get("seq"), int):
        raise ProblemError("the gateway answered with something that is no event")
    return record


class StoreSource:
    """Out of the store, which is only read; for when no gateway runs."""

    def __init__(self, path: Path, request: Request, asked_ms: int) -> None:
        self._reader = EventReader(path)
        self._loop = asyncio.Runner()
        self._query = EventQuery(
            since_ms=parse_moment(request.since, asked_ms),
            until_ms=None if request.until is None else parse_moment(request.until, asked_ms),
            where=None if request.filter is None else parse(request.filter, asked_ms),
        )

    def newest(self) -> int | None:
        """See Source."""
        found = self._take(self._events(limit=1), 1)
        return found[0]["seq"] if found else None

    def pages(self, before_seq: int) -> Iterator[list[Record]]:
        """See Source."""
        events = self._events(before_seq=before_seq)
        while page := self._take(events, PAGE):
            yield page

    def close(self) -> None:
        """See Source."""
        self._loop.run(self._reader.close())
        self._loop.close()

    def _events(self, before_seq: int | None = None, limit: int | None = None) -> AsyncIterator[Event]:
        return self._reader.query(replace(self._query, before_seq=before_seq, limit=limit))

    def _take(self, events: AsyncIterator[Event], count: int) -> list[Record]:
        async def take() -> list[Record]:
            page: list[Record] = []
            async for event in events:
                page.append(event_json(event, unknown_null=True))
                if len(page) == count:
                    break
            return page

        try:
            return self._loop.run(take())
        except StoreError as error:
            raise ProblemError(str(error)) from None
