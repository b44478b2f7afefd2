"""EventSource: pages of requests from the store, and those that arrive, under one filter."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

import msgspec

from ktui.answers import EventRow
from ktui.link import GatewayLink, Refused, StreamMessage

PAGE = 500
"""Requests asked for at once."""


@dataclass(frozen=True, slots=True)
class Page:
    """Requests, oldest first. `ended`: there is nothing beyond them in the direction that was asked."""

    rows: tuple[EventRow, ...]
    ended: bool


@dataclass(frozen=True, slots=True)
class Around:
    """A page around a moment. `cursor_seq`: the first request at or after it, or the newest; None: no request."""

    rows: tuple[EventRow, ...]
    cursor_seq: int | None
    oldest_known: bool
    newest_known: bool


class Progress(msgspec.Struct, frozen=True):
    """How far a search is. `reached`, `reached_seq`: arrival (RFC 3339) and `seq` of the oldest request looked at."""

    searched: int = 0
    total: int = 0
    found: int = 0
    reached: str | None = None
    reached_seq: int | None = None
    complete: bool = False
    """Whether everything was looked at; only known when `done`."""
    before_seq: int | None = None
    """Where a further search goes on; None: nowhere, or not known yet."""
    done: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One step of a search: requests that match, newest first, or how far it is."""

    rows: tuple[EventRow, ...] = ()
    progress: Progress | None = None


class EventSource:
    """Reads what matches `text` (all when it is empty), as the link's moment has it.

    Spans in the filter count back from `asked_at`, so that every page means the same window. Every call raises
    LinkError; Refused with `columns` when the filter cannot be read.
    """

    def __init__(self, link: GatewayLink, text: str = "", asked_at: datetime | None = None) -> None:
        self._link = link
        self.text = text
        self._window: dict[str, str] = {}
        if text:
            at = asked_at or datetime.now().astimezone()
            self._window = {"filter": text, "at": at.isoformat(timespec="milliseconds")}

    async def older(self, before_seq: int | None, limit: int = PAGE) -> Page:
        """Those before a `seq`; with None the newest."""
        rows = await self._link.events(limit=limit, before_seq=before_seq, window=self._window)
        return Page(rows[::-1], len(rows) < limit)

    async def newer(self, after_seq: int, limit: int = PAGE) -> Page:
        """Those after a `seq`."""
        rows = await self._link.events(limit=limit, after_seq=after_seq, oldest=True, window=self._window)
        return Page(rows, len(rows) < limit)

    async def oldest(self, limit: int = PAGE) -> Page:
        """The first ones in the store."""
        rows = await self._link.events(limit=limit, oldest=True, window=self._window)
        return Page(rows, len(rows) < limit)

    async def around(self, moment: datetime, limit: int = PAGE) -> Around:
        """Those around an arrival time (with a zone)."""
        since = moment.isoformat(timespec="milliseconds")
        after = await self._link.events(
            limit=limit // 2, oldest=True, window={**self._window, "since": since}
        )
        first = after[0].seq if after else None
        before = await self.older(first, limit // 2)
        rows = before.rows + after
        cursor = first if first is not None else rows[-1].seq if rows else None
        return Around(rows, cursor, before.ended, len(after) < limit // 2)

    async def around_seq(self, seq: int, limit: int = PAGE) -> Around:
        """Those around one request."""
        before = await self.older(seq + 1, limit // 2)
        after = await self.newer(seq, limit // 2)
        rows = before.rows + after.rows
        cursor = before.rows[-1].seq if before.rows else rows[0].seq if rows else None
        return Around(rows, cursor, before.ended, after.ended)

    async def search(self, before_seq: int | None, limit: int = PAGE) -> AsyncGenerator[Found, None]:
        """Those before a `seq` (None: from the newest), as they are found; ends with a progress that is `done`."""
        params: dict[str, str | int] = {"limit": limit, "unknown": "null", **self._window}
        if before_seq is not None:
            params["before_seq"] = before_seq
        try:
            async with aclosing(self._link.messages("/v1/events/search", params)) as messages:
                async for message in messages:
                    found = _found(message)
                    if found is not None:
                        yield found
        except Refused as error:
            if error.status != 404:
                raise
        else:
            return
        # A gateway that cannot search tells nothing before its page is whole.
        page = await self.older(before_seq, limit)
        yield Found(rows=page.rows[::-1])
        oldest = page.rows[0].seq if page.rows else None
        yield Found(
            progress=Progress(
                found=len(page.rows),
                reached_seq=oldest,
                complete=page.ended,
                before_seq=None if page.ended else oldest,
                done=True,
            )
        )

    async def follow(self, after_seq: int) -> AsyncGenerator[EventRow, None]:
        """Those stored after a `seq`, as they come; ends when the gateway does."""
        params: dict[str, str | int] = {"after_seq": after_seq, "unknown": "null"}
        if self.text:
            params["filter"] = self.text
        async with aclosing(self._link.messages("/v1/events/stream", params)) as messages:
            async for message in messages:
                if message.kind == "event":
                    yield message.decode(EventRow)


def _found(message: StreamMessage) -> Found | None:
    if message.kind == "rows":
        return Found(rows=message.decode(tuple[EventRow, ...]))
    if message.kind == "progress":
        return Found(progress=message.decode(Progress))
    if message.kind == "done":
        return Found(progress=msgspec.structs.replace(message.decode(Progress), done=True))
    return None
