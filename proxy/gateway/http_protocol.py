"""uvicorn's HTTP/1.1 protocol, with the guard in front of the application and deadlines for slow clients."""

from __future__ import annotations

import asyncio
import logging
from asyncio.events import TimerHandle
from typing import Any, ClassVar

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from proxy.base.ids import uuid7
from proxy.gateway.guard import HeadRefusal, Limits, check_head
from proxy.gateway.presence import EXTENSION, Presence
from proxy.wire.errors import error_body

_LOG = logging.getLogger("proxy.gateway.http")
_LOG.addHandler(logging.NullHandler())
# Below this, uvicorn writes a line for every connection and every scanner that knocks.
_LOG.setLevel(logging.ERROR)

_UNPARSED = HeadRefusal(400, "bad_request", "the request is not valid HTTP/1.1")
_LATE = HeadRefusal(408, "head_timeout", "the head of the request did not come in time")


class _RefusedHeadError(Exception):
    """Ends parsing, and so the connection; the reason stands on the protocol."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection. `limits` is set on a subclass, one for each listener."""

    limits: ClassVar[Limits] = Limits()

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _LOG
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: TimerHandle | None = None
        self._stall_timer: TimerHandle | None = None
        self._refusal: HeadRefusal | None = None
        self._presence = Presence(self._keep_reading)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection over the limit is cut off at once, so that those within it are served."""
        if len(self.connections) >= self.limits.connections:
            self.transport = transport
            transport.abort()
            return
        super().connection_made(transport)
        self._arm_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing of a connection outlives it."""
        self._disarm(head=True, stall=True)
        super().connection_lost(exc)
        self._presence.leave()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; watch how long and how large the head becomes."""
        if self.transport.is_closing():
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self.transport.is_closing() or not self._in_head:
            self._disarm(head=True)
        elif self._head_bytes > self.limits.url_bytes + self.limits.header_bytes:
            self._refuse_now(HeadRefusal(431, "headers_too_large", "the head of the request is too large"))
        elif self._head_timer is None and self._head_bytes:
            self._arm_head_timer()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self._presence}  # type: ignore[dict-item]
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count, so that no head grows without bound."""
        super().on_header(name, value)
        if len(self.headers) > self.limits.header_count:
            message = f"more than {self.limits.header_count} headers"
            self._refusal = HeadRefusal(431, "headers_too_large", message)
            raise _RefusedHeadError

    def on_headers_complete(self) -> None:
        """The head is complete: refuse it, or hand it to the application."""
        self._in_head = False
        self._head_bytes = 0
        # Here, not after feeding: head and body of a request often come in one piece.
        self._disarm(head=True)
        method = self.parser.get_method().decode("ascii", "replace")
        refusal = check_head(method, self.parser.get_http_version(), self.url, self.headers, self.limits)
        if refusal is None:
            try:
                httptools.parse_url(self.url)
            except httptools.HttpParserError:
                refusal = HeadRefusal(400, "bad_target", "the address of the request is not valid")
        if refusal is not None:
            self._refusal = refusal
            raise _RefusedHeadError
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is complete; what follows is another head."""
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0

    def on_response_complete(self) -> None:
        """Between two requests only the keep-alive timer runs."""
        super().on_response_complete()
        self._disarm(stall=True)

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be parsed or was refused."""
        refusal, self._refusal = self._refusal or _UNPARSED, None
        self._refuse_now(refusal)

    def pause_writing(self) -> None:
        """The client does not take what we send: for how long is bounded."""
        super().pause_writing()
        if self._stall_timer is None:
            self._stall_timer = self.loop.call_later(self.limits.write_stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It takes it again."""
        super().resume_writing()
        self._disarm(stall=True)

    def _refuse_now(self, refusal: HeadRefusal) -> None:
        """Say why and close: nothing behind a refused head is read as a request."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if self.pipeline or (cycle.more_body and cycle.response_started):
                self.transport.abort()
                return
            if not cycle.more_body:
                # The request before this one is still being answered: the connection ends with its answer.
                cycle.keep_alive = False
                return
        body = error_body(refusal.status, refusal.code, refusal.message)
        lines = [
            STATUS_LINE[refusal.status],
            b"content-type: application/json\r\n",
            b"x-kt-request-id: " + uuid7().encode() + b"\r\n",
            b"x-should-retry: false\r\nconnection: close\r\ncontent-length: "
            + str(len(body)).encode()
            + b"\r\n\r\n",
            body,
        ]
        self.transport.write(b"".join(lines))
        self.transport.close()

    def _keep_reading(self) -> None:
        self.flow.resume_reading()

    def _arm_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(self.limits.header_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self.transport.is_closing():
            return
        if self._head_bytes:
            self._refuse_now(_LATE)
        else:
            self.transport.close()

    def _disarm(self, *, head: bool = False, stall: bool = False) -> None:
        if head and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
        if stall and self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None
