"""/v1/stream: everything a screen needs, in one connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from proxy.control.event_routes import row
from proxy.control.hub import Hub
from proxy.control.status import status
from proxy.events.event import Event

EVENTS_EVERY_S = 0.25
STATUS_EVERY_S = 1.0
HEARTBEAT_S = 10.0
MAX_WAITING = 2_000
"""Events kept for a slow reader; older ones are left out and counted (`skipped`), the store has them."""


class ScreenStream:
    """Answers /v1/stream. Latest wins: a slow reader gets fewer, fresher messages."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def __call__(self, request: Request) -> Response:
        """The stream."""
        return StreamingResponse(
            self._messages(),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"},
        )

    async def _messages(self) -> AsyncIterator[bytes]:
        waiting: deque[Event] = deque(maxlen=MAX_WAITING)
        config_changed = asyncio.Event()

        def take(batch: Sequence[Event]) -> None:
            waiting.extend(batch)

        ends = [self._hub.store.subscribe(take), self._hub.config.subscribe(config_changed.set)]
        try:
            async for message in self._loop(waiting, config_changed):
                yield message
        finally:
            for end in ends:
                end()

    async def _loop(self, waiting: deque[Event], config_changed: asyncio.Event) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        last_status = b""
        status_due = said_at = loop.time()
        while True:
            now = loop.time()
            if config_changed.is_set():
                config_changed.clear()
                status_due = now
                running = self._hub.config.running
                said = (
                    {"number": running.number, "hash": running.hash} if running else {"number": 0, "hash": ""}
                )
                yield _message("config", said)
            if waiting:
                rows = [row(event) for event in waiting]
                waiting.clear()
                said_at = now
                yield _message("events", rows)
            if now >= status_due:
                status_due = now + STATUS_EVERY_S
                present = msgspec.json.encode(status(self._hub))
                if present != last_status:
                    last_status, said_at = present, now
                    yield b"event: status\ndata: " + present + b"\n\n"
            if now - said_at > HEARTBEAT_S:
                said_at = now
                yield b": still here\n\n"
            try:
                await asyncio.wait_for(config_changed.wait(), EVENTS_EVERY_S)
            except TimeoutError:
                pass


def _message(kind: str, data: Any) -> bytes:
    return b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(data) + b"\n\n"
