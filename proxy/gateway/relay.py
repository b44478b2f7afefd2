"""An upstream's answer on its way to the client: whole, or frame by frame as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from proxy.gateway.dispatch import Dispatched, redact
from proxy.gateway.exchange import Exchange
from proxy.gateway.recorder import record
from proxy.gateway.runtime import Runtime
from proxy.upstream.transport import Answer, UpstreamError
from proxy.wire.errors import RequestError, error_frame, read_error
from proxy.wire.sse import Frame, SseReader
from proxy.wire.stream_tap import StreamTap, read_answer

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_WHOLE_LIMIT = 16 * 1024 * 1024
"""A whole answer up to this size is read before it is sent, so that one that breaks off is a clean error."""
_RELAYED = frozenset(
    {
        "content-type",
        "content-encoding",
        "retry-after",
        "retry-after-ms",
        "request-id",
        "x-request-id",
        "x-should-retry",
        "apim-request-id",
    }
)
_RELAYED_PREFIXES = ("x-ratelimit-", "anthropic-ratelimit-", "openai-")
_DRAIN_S = 0.5
_BROKEN = "the upstream's answer broke off before its end"


def relayed_headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that the client gets: an allow-list, so nothing hop-by-hop and no cookie."""
    return [
        (name.encode("ascii", "ignore"), value.encode("latin-1"))
        for name, value in answer.headers
        if (name in _RELAYED or name.startswith(_RELAYED_PREFIXES)) and value.isprintable()
    ]


def is_event_stream(answer: Answer) -> bool:
    """Whether the answer is a stream of events that can be read."""
    headers = dict(answer.headers)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "text/event-stream" and headers.get("content-encoding", "identity") == "identity"


class Relay:
    """Carries one answer to one client and records it before the last bytes go out."""

    def __init__(
        self,
        runtime: Runtime,
        exchange: Exchange,
        sent: Dispatched,
        send: Send,
        finishing: Callable[[], None],
    ) -> None:
        """`finishing` is called before the last message is handed over.

        From there on a client that leaves, left well.
        """
        self._runtime = runtime
        self._exchange = exchange
        self._answer = sent.answer
        self._hides_usage = sent.hides_usage
        self._send = send
        self._finishing = finishing
        self.started = False
        """The head of the answer went out."""

    async def run(self) -> None:
        """Relay to the end.

        Raises RequestError as long as nothing was sent; from then on errors go in-band.
        """
        self._exchange.went_upstream = self._answer.status < 400
        try:
            if self._answer.status < 300 and is_event_stream(self._answer):
                await self._stream()
            else:
                await self._whole()
        finally:
            self._answer.close()

    async def _start(self, extra: list[tuple[bytes, bytes]]) -> None:
        self.started = True
        headers = [*relayed_headers(self._answer), *extra, *self._exchange.minted_headers()]
        await self._send({"type": "http.response.start", "status": self._answer.status, "headers": headers})

    async def _body(self, data: bytes, *, more: bool) -> None:
        if not more:
            self._finishing()
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    # Whole answers.

    async def _whole(self) -> None:
        body = bytearray()
        try:
            while chunk := await self._answer.chunk():
                body += chunk
                if len(body) > _WHOLE_LIMIT:
                    await self._large(bytes(body))
                    return
        except UpstreamError as error:
            status = 504 if error.kind == "timeout" else 502
            code = "upstream_timeout" if error.kind == "timeout" else "upstream_broke_off"
            raise RequestError(status, code, error.message) from None
        data = bytes(body)
        if self._answer.status >= 400:
            data = redact(data, self._exchange.target)
            self._record_error(data)
        else:
            self._record_whole(data)
        await self._start([(b"content-length", b"%d" % len(data))])
        await self._body(data, more=False)

    def _record_whole(self, data: bytes) -> None:
        exchange = self._exchange
        found = read_answer(data, generates=exchange.endpoint in ("chat", "completions"))
        exchange.usage, exchange.finish_reason, exchange.upstream_model = (
            found.usage,
            found.finish_reason,
            found.model,
        )
        if found.error is not None:
            code = found.error.code or "upstream_error"
            record(self._runtime, exchange, self._answer.status, "error", code, found.error.message)
        else:
            record(self._runtime, exchange, self._answer.status, "ok")

    def _record_error(self, data: bytes) -> None:
        status = self._answer.status
        found = read_error(data)
        code = (found.code if found else None) or f"upstream_{status}"
        record(self._runtime, self._exchange, status, "error", code, found.message if found else None)

    async def _large(self, beginning: bytes) -> None:
        """Too large to hold: passed on as it comes, its usage unknown."""
        await self._start([])
        await self._body(beginning, more=True)
        try:
            while chunk := await self._answer.chunk():
                await self._body(chunk, more=True)
        except UpstreamError as error:
            record(
                self._runtime,
                self._exchange,
                self._answer.status,
                "truncated",
                "upstream_broke_off",
                error.message,
            )
            return  # an answer left unfinished cuts the connection: there is no in-band way to say it
        record(self._runtime, self._exchange, self._answer.status, "ok")
        await self._body(b"", more=False)

    # Streams.

    async def _stream(self) -> None:
        await self._start([(b"cache-control", b"no-cache, no-transform"), (b"x-accel-buffering", b"no")])
        reader, tap = SseReader(), StreamTap()
        failure: UpstreamError | None = None
        try:
            while not tap.done and (chunk := await self._answer.chunk()):
                kept = self._kept(reader.feed(chunk), tap)
                if tap.done:
                    self._record_stream(tap, None)
                if kept or tap.done:
                    await self._body(kept, more=not tap.done)
        except UpstreamError as error:
            failure = error
        if tap.done:
            await self._drain()
            return
        await self._end(reader, tap, failure)

    def _kept(self, frames: list[Frame], tap: StreamTap) -> bytes:
        """The bytes of `frames` that the client gets: all but the usage it did not ask for."""
        hides = self._hides_usage
        kept = [frame.raw for frame in frames if not (tap.see(frame) and hides)]
        exchange = self._exchange
        if tap.content and exchange.first_token is None:
            exchange.first_token = time.perf_counter()
        return kept[0] if len(kept) == 1 else b"".join(kept)

    async def _end(self, reader: SseReader, tap: StreamTap, failure: UpstreamError | None) -> None:
        """The upstream ended without `[DONE]`."""
        rest = reader.finish()
        tail = b""
        if rest is not None and (failure is None or tap.complete):
            tail = self._kept([rest], tap)
        if tap.error is None and not tap.complete and not reader.gave_up:
            code = (
                "upstream_timeout"
                if failure is not None and failure.kind == "timeout"
                else "stream_truncated"
            )
            # An unfinished frame is left out: the client would take it for the beginning of this one.
            tail = error_frame(502, code, failure.message if failure is not None else _BROKEN)
            self._record_stream(tap, code, failure.message if failure is not None else _BROKEN)
        else:
            self._record_stream(tap, None)
        await self._body(tail, more=False)

    def _record_stream(self, tap: StreamTap, truncated: str | None, message: str | None = None) -> None:
        exchange = self._exchange
        exchange.usage, exchange.finish_reason, exchange.upstream_model = (
            tap.usage,
            tap.finish_reason,
            tap.model,
        )
        status = self._answer.status
        if tap.error is not None:
            code = tap.error.code or "upstream_error"
            record(self._runtime, exchange, status, "error", code, tap.error.message)
        elif truncated is not None:
            record(self._runtime, exchange, status, "truncated", truncated, message)
        else:
            record(self._runtime, exchange, status, "ok")

    async def _drain(self) -> None:
        """Read what little stands behind `[DONE]`, so that the connection can be used again."""
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._answer.chunk()
        except (UpstreamError, TimeoutError):
            return  # the client has its answer; only the connection is lost
