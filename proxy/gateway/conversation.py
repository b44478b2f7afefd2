"""The client's side of one request: what was said to it, whether it is still there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from proxy.gateway.admission import Receive
from proxy.gateway.dialects import error_body_for, error_frame_for
from proxy.gateway.exchange import Exchange
from proxy.gateway.presence import Presence
from proxy.wire.errors import RequestError

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_DRAIN_S = 30.0
"""With `on_disconnect: drain`: how long an answer nobody waits for is still read, for its exact usage."""
_LEFTOVER_BYTES = 1024 * 1024
_LEFTOVER_S = 1.0


class Conversation:
    """What was said to the client so far, so that an error is said where it still can be."""

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send
        self.started = False
        self._streams = False
        self._ended = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Hand one message over."""
        if message["type"] == "http.response.start":
            self.started = True
            self._note_start(message)
            self._streams = any(name == b"x-accel-buffering" for name, _ in message["headers"])
        elif not message.get("more_body"):
            self._ended = True
        if self._exchange.answered is not None and not self._exchange.recorded:
            # What is sent once the event is recorded was captured before: it is on disk when the client sees it.
            self._exchange.answered.add(message.get("body", b""))
        await self._send(message)

    def _note_start(self, message: MutableMapping[str, Any]) -> None:
        answered = self._exchange.answered
        if answered is not None and answered.content_type is None:
            kinds = (value for name, value in message["headers"] if name == b"content-type")
            answered.content_type = next(kinds, b"").decode("latin-1") or None

    def note_failure(self, error: RequestError) -> None:
        """Capture what `fail` will say, ahead of the event that is recorded first."""
        answered = self._exchange.answered
        if answered is None or self._exchange.recorded or self._ended:
            return
        if not self.started:
            answered.content_type = "application/json"
            answered.add(error_body_for(self._exchange, error))
        elif self._streams:
            answered.add(error_frame_for(self._exchange.endpoint, error))

    async def fail(self, error: RequestError, extra: list[tuple[bytes, bytes]]) -> None:
        """Say `error`.

        As the answer, or inside the stream that began. Of a whole answer that began nothing can be said.
        """
        if self._ended:
            return
        if not self.started:
            await send_error(self.send, self._exchange, error, extra)
        elif self._streams:
            frame = error_frame_for(self._exchange.endpoint, error)
            await self.send({"type": "http.response.body", "body": frame, "more_body": False})


class ClientWatch:
    """Notices that the client left while its answer is under way, and cancels the work."""

    def __init__(self, exchange: Exchange, presence: Presence) -> None:
        self._exchange = exchange
        self._presence = presence
        self._serving = asyncio.current_task()
        self._drains = False
        self._finishing = False
        self._drain: asyncio.TimerHandle | None = None

    def start(self, *, drains: bool) -> None:
        """Begin, once the body has been read. `drains`: go on for a while without the client."""
        self._drains = drains
        self._presence.watch(self._gone)

    def finish(self) -> None:
        """The last bytes are on their way: a client that leaves now, left well."""
        self._finishing = True

    def stop(self) -> None:
        """Stop watching."""
        self._presence.unwatch(self._gone)
        if self._drain is not None:
            self._drain.cancel()

    def _gone(self) -> None:
        if self._finishing:
            return
        self._exchange.client_left = True
        if self._drains:
            self._drain = asyncio.get_running_loop().call_later(_DRAIN_S, self._cut)
        else:
            self._cut()

    def _cut(self) -> None:
        if self._serving is not None and not self._finishing:
            self._serving.cancel()


async def leftover(exchange: Exchange, receive: Receive) -> list[tuple[bytes, bytes]]:
    """Read what is left of a body that was refused unread, within bounds; the headers that are to be added.

    Closing on unread bytes would reset the connection under the answer. When too much is left, it is closed.
    """
    close = [(b"connection", b"close")]
    if any(name == b"expect" for name, _ in exchange.headers):
        return close
    size = 0
    try:
        async with asyncio.timeout(_LEFTOVER_S):
            while size <= _LEFTOVER_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return []
    except TimeoutError:
        return close
    return close


async def send_error(
    send: Send, exchange: Exchange | None, error: RequestError, extra: list[tuple[bytes, bytes]]
) -> None:
    """Answer with an error of ours, in the dialect of who asks."""
    body = error_body_for(exchange, error)
    # "overloaded" is the one refusal that the same request can outlive.
    retry = [] if error.code == "overloaded" else [(b"x-should-retry", b"false")]
    await send_json(send, error.status, body, [*extra, *retry])


async def send_json(send: Send, status: int, body: bytes, extra: list[tuple[bytes, bytes]]) -> None:
    """Answer with a body of JSON."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
