"""An upstream's answer on its way to the client: whole, or frame by frame as it comes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from proxy.gateway.dialects import (
    client_dialect,
    error_frame_for,
    keepalive_frame,
    open_stream,
    read_whole,
    response_id,
)
from proxy.gateway.dispatch import Dispatched, is_event_stream
from proxy.gateway.exchange import Exchange
from proxy.gateway.outbound import redact
from proxy.gateway.recorder import record
from proxy.gateway.runtime import Runtime
from proxy.upstream.transport import Answer, UpstreamError
from proxy.wire.errors import RequestError
from proxy.wire.translation import StreamTranscoder, TruncatedError

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_RELAYED = frozenset(
    {
        "content-type",
        "content-encoding",
        "content-disposition",
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
_COMMENT = b": keepalive\n\n"
_NOISE_BYTES = 256
_NOISE = (b":", b"event: ping", b"event:ping")


def relayed_headers(answer: Answer) -> list[tuple[bytes, bytes]]:
    """The headers of an answer that the client gets: an allow-list, so nothing hop-by-hop and no cookie."""
    return [
        (name.encode("ascii", "ignore"), value.encode("latin-1"))
        for name, value in answer.headers
        if (name in _RELAYED or name.startswith(_RELAYED_PREFIXES)) and value.isprintable()
    ]


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
        self._sent = sent
        self._answer = sent.answer
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
            if self._sent.body is not None:
                await self._whole(self._sent.body)
            elif self._answer.status < 300 and is_event_stream(self._answer):
                await self._stream()
            elif self._translated:
                raise RequestError(
                    502, "upstream_unreadable", "what the upstream answered is too large to translate"
                )
            else:
                await self._as_it_comes()
        finally:
            self._answer.close()

    @property
    def _translated(self) -> bool:
        return self._sent.out.dialect != client_dialect(self._exchange.endpoint)

    async def _start(self, extra: list[tuple[bytes, bytes]], status: int | None = None) -> None:
        self.started = True
        relayed = relayed_headers(self._answer)
        if self._translated and not is_event_stream(self._answer):
            relayed = [header for header in relayed if not header[0].startswith(b"content-")]
            relayed.append((b"content-type", b"application/json"))
        headers = [*relayed, *extra, *self._exchange.minted_headers()]
        if self._sent.exhausted:
            headers = [header for header in headers if header[0] != b"x-should-retry"]
            headers.append((b"x-should-retry", b"false"))
        status = self._answer.status if status is None else status
        await self._send({"type": "http.response.start", "status": status, "headers": headers})

    async def _body(self, data: bytes, *, more: bool) -> None:
        if not more:
            self._finishing()
        await self._send({"type": "http.response.body", "body": data, "more_body": more})

    # Whole answers.

    async def _whole(self, data: bytes) -> None:
        exchange, status = self._exchange, self._answer.status
        data = redact(data, exchange.target)
        found = read_whole(exchange, self._sent.out, status, data)
        if status < 400:
            self._remember(response_id(exchange, data))
            exchange.usage, exchange.finish_reason = found.usage, found.finish_reason
            exchange.upstream_model = found.upstream_model
        self._note_answer(found.body)
        error = found.error
        if status < 400 and error is not None:
            self._blame()
        if status >= 400 or error is not None:
            code = (error.code if error else None) or (
                f"upstream_{status}" if status >= 400 else "upstream_error"
            )
            record(self._runtime, exchange, found.status, "error", code, error.message if error else None)
        else:
            record(self._runtime, exchange, found.status, "ok")
        await self._start([(b"content-length", b"%d" % len(found.body))], found.status)
        await self._body(found.body, more=False)

    def _note_answer(self, data: bytes) -> None:
        """Capture what will be sent once the event is recorded."""
        answered = self._exchange.answered
        if answered is not None:
            if answered.content_type is None:
                answered.content_type = self._content_type()
            answered.add(data)

    def _content_type(self) -> str | None:
        if self._translated and not is_event_stream(self._answer):
            return "application/json"
        return dict(self._answer.headers).get("content-type")

    def _remember(self, response_id: str | None) -> None:
        if response_id is not None and self._exchange.target is not None:
            self._runtime.remember_response(response_id, self._exchange.target.id)

    async def _as_it_comes(self) -> None:
        """Too large to hold, or to be used while it comes: passed on, its usage unknown."""
        status = self._answer.status
        await self._start([])
        try:
            while chunk := await self._answer.chunk():
                await self._body(chunk, more=True)
        except UpstreamError as error:
            record(self._runtime, self._exchange, status, "truncated", "upstream_broke_off", error.message)
            self._blame()
            return  # an answer left unfinished cuts the connection: there is no in-band way to say it
        if status < 400:
            record(self._runtime, self._exchange, status, "ok")
        else:
            record(self._runtime, self._exchange, status, "error", f"upstream_{status}")
        await self._body(b"", more=False)

    # Streams.

    async def _stream(self) -> None:
        stream = open_stream(self._exchange, self._sent.out)
        self._remember(self._sent.response_id)
        await self._start([(b"cache-control", b"no-cache, no-transform"), (b"x-accel-buffering", b"no")])
        snapshot = self._exchange.snapshot
        keepalive_s = snapshot.keepalive_s if snapshot is not None else 0.0
        self._exchange.cut_short = True
        silence = _Silence(keepalive_s, keepalive_frame(self._exchange.endpoint), self._body)
        clock = _Clock(self._sent.out.call.first_byte_s, self._sent.out.call.idle_s)
        failure: UpstreamError | None = None
        try:
            while not stream.done and (chunk := await self._next(stream)):
                clock.check(chunk)
                kept = stream.feed(chunk)
                if stream.error is not None:
                    kept = redact(kept, self._exchange.target)
                if stream.first_token:
                    self._note_tokens(stream, kept)
                if stream.done:
                    silence.stop()
                    self._note_answer(kept)
                    self._record_stream(stream)
                if kept or stream.done:
                    await silence.around(kept, more=not stream.done)
        except UpstreamError as error:
            failure = error
        finally:
            silence.stop()
        if stream.done:
            await self._drain()
        else:
            await self._end(stream, failure)

    async def _next(self, stream: StreamTranscoder) -> bytes:
        """The next chunk. Behind an error little comes, such as the usage, and no end need come."""
        if stream.error is None:
            return await self._answer.chunk()
        try:
            async with asyncio.timeout(_DRAIN_S):
                return await self._answer.chunk()
        except TimeoutError:
            return b""

    async def _end(self, stream: StreamTranscoder, failure: UpstreamError | None) -> None:
        """The upstream ended without saying so."""
        try:
            tail = stream.finish()
            if failure is not None and stream.error is None:
                raise TruncatedError  # it said why it ended, but not that this was all
        except TruncatedError:
            timed_out = failure is not None and failure.kind == "timeout"
            code = "upstream_timeout" if timed_out else "stream_truncated"
            message = failure.message if failure is not None else _BROKEN
            # An unfinished frame is left out: the client would take it for the beginning of this one.
            tail = error_frame_for(self._exchange.endpoint, RequestError(502, code, message))
            tail = redact(tail, self._exchange.target)
            self._note_answer(tail)
            self._record_stream(stream, code, message)
        else:
            tail = redact(tail, self._exchange.target)
            self._note_answer(tail)
            if stream.first_token and self._exchange.first_token is None:
                self._exchange.first_token = time.perf_counter()
            self._record_stream(stream)
        await self._body(tail, more=False)

    def _note_tokens(self, stream: StreamTranscoder, kept: bytes) -> None:
        """What would be known of the usage if the client left now."""
        exchange = self._exchange
        if exchange.first_token is None:
            exchange.first_token = time.perf_counter()
        exchange.spoken.add(kept)
        exchange.usage = stream.usage

    def _record_stream(
        self, stream: StreamTranscoder, truncated: str | None = None, message: str | None = None
    ) -> None:
        exchange, status = self._exchange, self._answer.status
        exchange.usage, exchange.finish_reason = stream.usage, stream.finish_reason
        exchange.upstream_model = stream.upstream_model
        exchange.cut_short = truncated is not None
        error = stream.error
        if error is not None:
            self._blame()
            record(self._runtime, exchange, status, "error", error.code or "upstream_error", error.message)
        elif truncated is not None:
            self._blame()
            record(self._runtime, exchange, status, "truncated", truncated, message)
        else:
            record(self._runtime, exchange, status, "ok")

    def _blame(self) -> None:
        """What began well and broke counts against the target too."""
        target, breakers = self._exchange.target, self._runtime.breakers
        if target is not None:
            breakers.of(target.fingerprint).end(breakers.clock(), "failed", probe=False)

    async def _drain(self) -> None:
        """Read what little stands behind the end, so that the connection can be used again."""
        try:
            async with asyncio.timeout(_DRAIN_S):
                await self._answer.chunk()
        except (UpstreamError, TimeoutError):
            return  # the client has its answer; only the connection is lost


class _Clock:
    """Comments and pings keep a connection alive, but they are no answer: the clocks run on over them."""

    __slots__ = ("_deadline", "_idle_s")

    def __init__(self, first_s: float, idle_s: float) -> None:
        self._idle_s = idle_s
        self._deadline = time.monotonic() + first_s

    def check(self, chunk: bytes) -> None:
        """A chunk came. Raises UpstreamError when only noise has come for too long."""
        now = time.monotonic()
        if len(chunk) > _NOISE_BYTES or not chunk.startswith(_NOISE):
            self._deadline = now + self._idle_s
        elif now > self._deadline:
            raise UpstreamError("timeout", "the upstream sent nothing but pings in time")


class _Silence:
    """Says something harmless to the client while the upstream is silent, so that nothing between them gives up."""

    def __init__(self, after_s: float, frame: bytes, send: Callable[..., Awaitable[None]]) -> None:
        self._after_s = after_s
        self._frame = frame
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._busy = False
        self._begun = False
        self._saying: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(after_s, self._look) if after_s else None

    async def around(self, data: bytes, *, more: bool) -> None:
        """Send `data`; meanwhile nothing else is said."""
        if self._saying is not None:
            await self._saying
        self._busy = self._begun = True
        try:
            await self._send(data, more=more)
        finally:
            self._busy = False
            self._last = self._loop.time()

    def stop(self) -> None:
        """Say nothing more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        silent = self._loop.time() - self._last
        if silent >= self._after_s and not self._busy:
            self._last = self._loop.time()
            self._saying = self._loop.create_task(self._say())
            silent = 0.0
        self._timer = self._loop.call_later(max(0.01, self._after_s - silent), self._look)

    async def _say(self) -> None:
        try:
            # The official Anthropic client takes nothing but comments before the first event.
            await self._send(self._frame if self._begun else _COMMENT, more=True)
        finally:
            self._saying = None
