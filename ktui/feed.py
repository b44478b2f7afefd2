"""Feed: reads the gateway's stream as long as the screen lives, and says when the gateway is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from ktui.answers import Config, EventRow, Status
from ktui.link import GatewayLink, LinkError, Refused

FIRST_EVENTS = 500
MOST_MISSED = 10_000
"""Requests fetched after a pause; when more were missed, the list begins anew with the newest ones."""
_PATIENCE_S = (0.2, 0.5, 1.0, 2.0, 3.0)


class Listener(Protocol):
    """What the feed tells."""

    def feed_status(self, status: Status) -> None:
        """A new status."""

    def feed_config(self, config: Config) -> None:
        """The running version or the file changed."""

    def feed_events(self, rows: list[EventRow]) -> None:
        """Requests, oldest first; some may have been told before."""

    def feed_missed(self) -> None:
        """The requests told next do not join on to those told before."""

    def feed_lost(self, reason: str) -> None:
        """Nothing answers; the feed goes on trying."""


class Feed:
    """One reader of /v1/stream. A lost stream is opened again; what was missed is fetched from the list."""

    def __init__(
        self, link: GatewayLink, listener: Listener, patience: tuple[float, ...] = _PATIENCE_S
    ) -> None:
        self._link = link
        self._listener = listener
        self._patience = patience
        self._failures = 0
        self._last_seq: int | None = None

    async def run(self, at: datetime | None = None) -> None:
        """Until cancelled. With `at` there is but one moment to tell of: then until that is told."""
        while True:
            try:
                if at is not None:
                    self._listener.feed_status(await self._link.status())
                    await self._catch_up()
                    await self._config()
                    return
                await self._once()
            except LinkError as error:
                if self._link.connected:
                    if not await self._answers():
                        self._listener.feed_lost(str(error))
                    self._failures += 1
            await asyncio.sleep(self._patience[min(self._failures, len(self._patience) - 1)])

    async def _answers(self) -> bool:
        try:
            self._listener.feed_status(await self._link.status())
        except LinkError:
            return False
        return True

    async def _once(self) -> None:
        status = await self._link.status()
        if self._last_seq is not None and status.events.last_seq < self._last_seq:
            self._last_seq = None  # Another store than before.
            self._listener.feed_missed()
        self._listener.feed_status(status)
        await self._catch_up()
        await self._config()
        self._failures, opened = 0, False
        async for message in self._link.stream():
            if not opened:
                # What was stored between the list and the opening of the stream.
                opened = True
                await self._catch_up()
            if message.kind == "status":
                self._listener.feed_status(message.decode(Status))
            elif message.kind == "events":
                self._tell(message.decode(tuple[EventRow, ...]))
            elif message.kind == "config":
                self._listener.feed_config(await self._link.config())

    async def _catch_up(self) -> None:
        """Tells what was missed since the last told request, up to `MOST_MISSED`; the first time the newest ones."""
        last = self._last_seq
        rows = await self._link.events(limit=FIRST_EVENTS if last is None else MOST_MISSED, after_seq=last)
        self._tell(rows[::-1], whole=last is None or len(rows) < MOST_MISSED)

    async def _config(self) -> None:
        try:
            self._listener.feed_config(await self._link.config())
        except Refused:
            return  # No policy runs; the status says so.

    def _tell(self, rows: Sequence[EventRow], *, whole: bool = True) -> None:
        if not whole:
            self._listener.feed_missed()
        if rows:
            self._last_seq = max(self._last_seq or 0, rows[-1].seq)
        self._listener.feed_events(list(rows))
