"""From a decided request to an answer that can be relayed.

Which targets, in which order, which failures are absorbed. Nothing has been sent to the client meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from proxy.base.sanitise import sanitise
from proxy.gateway.dialects import Outbound, error_of_stream
from proxy.gateway.exchange import Exchange
from proxy.gateway.outbound import build_outbound
from proxy.gateway.peek import peek
from proxy.gateway.routes import COUNT_TOKENS
from proxy.gateway.runtime import Runtime
from proxy.policy.facts import Decision
from proxy.upstream.retry import Failure, Itinerary, of_error, of_status
from proxy.upstream.targets import Target
from proxy.upstream.transport import Answer, UpstreamError
from proxy.wire.chat import ParsedRequest
from proxy.wire.errors import RequestError
from proxy.wire.limit_names import OTHER, refused_name, with_limit_name

WHOLE_LIMIT = 16 * 1024 * 1024
"""A whole answer up to this size is read before it is sent, so that one that breaks off is a clean error."""
_ERROR_BODY = 1024 * 1024
"""A larger error is not passed on."""
_USAGE_WORDS = (b"stream_options", b"include_usage")
_REASON_LIMIT = 200


class Stop(msgspec.Struct, frozen=True):
    """A target, and the model it is asked for."""

    target: Target
    model: str


class Dispatched(msgspec.Struct, frozen=True):
    """An answer to relay."""

    answer: Answer
    out: Outbound
    body: bytes | None = None
    """All of it, when it was read to its end."""
    exhausted: bool = False
    """An error that was tried again in vain: the client need not try once more."""
    response_id: str | None = None
    """Of a stored response, when the beginning of its stream says so."""


class _Outcome(msgspec.Struct, frozen=True):
    """How one attempt ended: an answer, a failure that has an answer, or a failure without one."""

    failure: Failure | None
    sent: Dispatched | None = None
    error: UpstreamError | None = None
    began: bool = False
    """The answer broke off after it had begun."""


class _BufferedAnswer:
    """An answer whose beginning was read already."""

    def __init__(
        self,
        answer: Answer,
        read: bytes,
        status: int | None = None,
        headers: Sequence[tuple[str, str]] | None = None,
    ) -> None:
        self._answer = answer
        self._read = read
        self._ended = status is not None
        self.status = answer.status if status is None else status
        self.headers = answer.headers if headers is None else headers

    async def chunk(self) -> bytes:
        """What was read, then the rest."""
        if self._read:
            read, self._read = self._read, b""
            return read
        return b"" if self._ended else await self._answer.chunk()

    def close(self) -> None:
        """See Answer."""
        self._answer.close()


def choose_stops(exchange: Exchange, decision: Decision) -> tuple[list[Stop], list[Stop]]:
    """Usable targets of the decided model, in order, and those of the models to fall back to.

    Raises RequestError (404, 503, 400).
    """
    snapshot = exchange.snapshot
    if snapshot is None:
        raise RequestError(503, "no_policy", "the gateway runs no policy yet")
    named = decision.assignment.target if decision.assignment is not None else None
    if decision.assignment is not None and decision.assignment.model != decision.model:
        named = None  # a later policy sent the request elsewhere
    found = snapshot.routes.for_model(decision.model, named)
    if not found:
        message = f"no target of this gateway serves the model {decision.model!r}"
        raise RequestError(404, "model_not_found", message, param="model")
    usable = [target for target in found if target.unavailable_reason is None]
    if not usable:
        raise RequestError(503, "target_unavailable", found[0].unavailable_reason or "no target can be used")
    primary = [Stop(target, decision.model) for target in usable if _carries(exchange, target)]
    if not primary:
        message = (
            f"the model {decision.model!r} is served by {usable[0].id}, whose vendor has no {exchange.path}"
        )
        raise RequestError(400, "unsupported_endpoint", message)
    others = snapshot.fallback_models.get(decision.model, ())
    fallback = [
        Stop(target, model)
        for model in others
        for target in snapshot.routes.for_model(model)
        if target.unavailable_reason is None and _carries(exchange, target)
    ]
    return primary, fallback


def _carries(exchange: Exchange, target: Target) -> bool:
    if exchange.path == COUNT_TOKENS and target.provider != "anthropic":
        return False  # only the vendor of a tokeniser can count with it
    return target.carries(exchange.endpoint)


async def dispatch(
    runtime: Runtime, exchange: Exchange, parsed: ParsedRequest, decision: Decision
) -> Dispatched:
    """Send until an answer comes, within the rules of `runtime.retry_rules`.

    The last upstream error is an answer too. Raises RequestError (404, 503, 400, 401, 502, 504).
    """
    primary, fallback = choose_stops(exchange, decision)
    made_by = _maker(runtime, parsed)
    if made_by is not None and any(stop.target.id == made_by for stop in primary):
        # What is stored there is known nowhere else.
        primary, fallback = [stop for stop in primary if stop.target.id == made_by], []
    return await _Attempts(runtime, exchange, parsed).run(primary, fallback)


def _maker(runtime: Runtime, parsed: ParsedRequest) -> str | None:
    """The target that made the stored response this request goes on from, as far as that is remembered."""
    previous = parsed.previous_response_id
    return runtime.stored_responses.get(previous) if previous is not None else None


class _Attempts:
    """The attempts of one request."""

    def __init__(self, runtime: Runtime, exchange: Exchange, parsed: ParsedRequest) -> None:
        self._runtime = runtime
        self._exchange = exchange
        self._parsed = parsed
        self._reused = False

    async def run(self, primary: list[Stop], fallback: list[Stop]) -> Dispatched:
        """All of them."""
        runtime, exchange = self._runtime, self._exchange
        primary, fallback = self._admitted(primary), self._admitted(fallback)
        stops = [*primary, *fallback]
        at = stops[0]
        asked = set[str]()
        trip: Itinerary | None = None
        runtime.retry_budget.deposit()
        while True:
            outcome = await self._at(at)
            if outcome.failure is None and outcome.sent is not None:
                return outcome.sent
            failure = outcome.failure or Failure("final", "unknown")
            trip = trip or Itinerary(len(primary), len(fallback), runtime.retry_rules)
            step = trip.after(failure, exchange.attempts, asyncio.get_running_loop().time())
            asked.add(at.target.id)
            if (
                step is not None
                and stops[step.stop].target.id in asked
                and not runtime.retry_budget.withdraw()
            ):
                step = None
            if step is None:
                return self._last(outcome, failure)
            if outcome.sent is not None:
                outcome.sent.answer.close()
            if step.wait_s:
                await asyncio.sleep(step.wait_s)
            at = stops[step.stop]

    def _admitted(self, stops: list[Stop]) -> list[Stop]:
        if len(stops) < 2:
            return stops
        usable = self._runtime.breakers.usable([stop.target.fingerprint for stop in stops])
        return [stops[place] for place in usable]

    def _last(self, outcome: _Outcome, failure: Failure) -> Dispatched:
        """The client gets the last failure: as it came, or in our words when nothing came."""
        if outcome.sent is not None and failure.status is not None and failure.status >= 400:
            # A pause that was too long for us to wait for may suit the client.
            patient = (failure.retry_after_s or 0) > self._runtime.retry_rules.retry_after_cap_s
            tired = failure.remedy != "final" and not patient
            return msgspec.structs.replace(outcome.sent, exhausted=tired)
        if outcome.sent is not None:
            outcome.sent.answer.close()
            target = self._exchange.target
            name = target.id if target is not None else "the upstream"
            message = f"{name} answered with a redirect, which is not followed"
            raise RequestError(502, "upstream_unreachable", message)
        message = outcome.error.message if outcome.error is not None else "no upstream answered"
        if outcome.error is not None and outcome.error.kind == "timeout":
            raise RequestError(504, "upstream_timeout", message)
        raise RequestError(502, "upstream_broke_off" if outcome.began else "upstream_unreachable", message)

    async def _at(self, stop: Stop) -> _Outcome:
        """One target, and what its breaker learns from it."""
        runtime, exchange = self._runtime, self._exchange
        exchange.target, exchange.model = stop.target, stop.model
        breakers = runtime.breakers
        breaker = breakers.of(stop.target.fingerprint)
        probe = breaker.begin(breakers.clock())
        result: Literal["ok", "failed", "neither"] = "neither"
        try:
            outcome = await self._send(stop)
            failure = outcome.failure
            result = "ok" if failure is None else "failed" if failure.blames_target else "neither"
            if failure is not None and failure.status == 429 and failure.retry_after_s:
                breaker.rest(
                    breakers.clock() + min(failure.retry_after_s, runtime.retry_rules.retry_after_cap_s)
                )
        finally:
            breaker.end(breakers.clock(), result, probe=probe)
        return outcome

    async def _send(self, stop: Stop) -> _Outcome:
        """One target.

        Again at once on a connection that was dead already, and without asking for usage where that is
        refused.
        """
        runtime, exchange = self._runtime, self._exchange
        while True:
            out = build_outbound(runtime, exchange, self._parsed, stop.target, stop.model)
            exchange.dropped_params = out.dropped
            exchange.attempts += 1
            exchange.mark_sent()
            started = time.perf_counter()
            before, exchange.went_upstream = exchange.went_upstream, True
            try:
                answer = await runtime.transport.send(out.call)
            except UpstreamError as error:
                exchange.went_upstream = before or error.kind not in ("refused", "connect", "stale")
                outcome = self._broken(stop, error, began=False)
                self._log(stop, started, outcome)
                if error.kind == "stale" and not self._spent():
                    continue
                return outcome
            except asyncio.CancelledError:
                self._log_left(stop, started)
                raise
            outcome, ask_again = await self._read(stop, answer, out)
            self._log(stop, started, outcome)
            if not ask_again:
                return outcome

    def _spent(self) -> bool:
        return self._exchange.attempts >= self._runtime.retry_rules.max_attempts

    async def _read(self, stop: Stop, answer: Answer, out: Outbound) -> tuple[_Outcome, bool]:
        """As much of the answer as may still change what is done; True: the same again without usage."""
        try:
            if not 200 <= answer.status <= 599:
                text = f"{stop.target.id} answered with the status {answer.status}"
                raise UpstreamError("protocol", text)
            if answer.status >= 300:
                return await self._read_error(answer, out)
            if is_event_stream(answer):
                return await self._read_stream(stop, answer, out), False
            return await self._read_whole(answer, out), False
        except UpstreamError as error:
            answer.close()
            return self._broken(stop, error, began=error.kind != "protocol"), False
        except BaseException:
            answer.close()
            raise

    async def _read_error(self, answer: Answer, out: Outbound) -> tuple[_Outcome, bool]:
        body, ended = await _beginning(answer, _ERROR_BODY)
        if not ended:
            raise UpstreamError("protocol", f"the upstream's error is larger than {_ERROR_BODY} bytes")
        learned = self._learned(out, body) if answer.status in (400, 422) and not self._spent() else None
        if learned is not None:
            answer.close()
            return _Outcome(Failure("again", learned, answer.status, 0.0, False)), True
        failure = of_status(answer.status, dict(answer.headers), body)
        return _Outcome(failure, Dispatched(answer, out, body)), False

    def _learned(self, out: Outbound, body: bytes) -> str | None:
        """What this refusal teaches about the upstream, in a word, so that the request can be sent in another form."""
        url, model = str(out.call.url), self._exchange.model or ""
        if out.hides_usage and any(word in body for word in _USAGE_WORDS):
            self._runtime.never_ask_usage(url, model)
            return "usage_refused"
        if out.dialect != "openai" or not out.call.url.path.endswith("/chat/completions"):
            return None
        refused = refused_name(body)
        if refused is None or with_limit_name(out.call.body, OTHER[refused]) == out.call.body:
            return None
        return "limit_renamed" if self._runtime.learn_limit_name(url, model, OTHER[refused]) else None

    async def _read_whole(self, answer: Answer, out: Outbound) -> _Outcome:
        if self._exchange.endpoint == "audio" and not _is_json(answer):
            return _Outcome(None, Dispatched(answer, out))  # speech is played while it comes
        body, ended = await _beginning(answer, WHOLE_LIMIT)
        if ended:
            return _Outcome(None, Dispatched(answer, out, body))
        return _Outcome(None, Dispatched(_BufferedAnswer(answer, body), out))

    async def _read_stream(self, stop: Stop, answer: Answer, out: Outbound) -> _Outcome:
        """A stream that begins with an error, or says nothing at all, is a failure with a status."""
        found = await peek(answer, self._runtime.peek_s)
        if found.error is not None:
            headers = [header for header in answer.headers if header[0] not in _OF_THE_STREAM]
            body = error_of_stream(out.dialect, found.status, found.error)
            answer_of_ours = _BufferedAnswer(answer, b"", found.status, [*headers, _JSON])
            failure = of_status(found.status, dict(headers), body)
            return _Outcome(failure, Dispatched(answer_of_ours, out, body))
        if found.ended and not found.said:
            raise UpstreamError("reset", f"{stop.target.id} ended its stream before it said anything")
        buffered = _BufferedAnswer(answer, found.read)
        return _Outcome(None, Dispatched(buffered, out, response_id=found.response_id))

    def _broken(self, stop: Stop, error: UpstreamError, *, began: bool) -> _Outcome:
        failure = of_error(error.kind, retry_on_timeout=stop.target.spec.retry_on_timeout)
        return _Outcome(failure, error=error, began=began)

    def _log(self, stop: Stop, started: float, outcome: _Outcome) -> None:
        failure, error = outcome.failure, outcome.error
        status = failure.status if failure is not None else 200
        if failure is None and outcome.sent is not None:
            status = outcome.sent.answer.status
        entry: dict[str, Any] = {
            "target": stop.target.id,
            "model": stop.model,
            "status": status,
            "error": sanitise(error.message, _REASON_LIMIT) if error is not None else None,
            "at_ms": round((started - self._exchange.started) * 1e3, 1),
            "ms": round((time.perf_counter() - started) * 1e3, 1),
            "reason": failure.reason if failure is not None else None,
        }
        self._exchange.attempt_log.append(entry)

    def _log_left(self, stop: Stop, started: float) -> None:
        entry: dict[str, Any] = {
            "target": stop.target.id,
            "model": stop.model,
            "status": None,
            "error": None,
            "at_ms": round((started - self._exchange.started) * 1e3, 1),
            "ms": round((time.perf_counter() - started) * 1e3, 1),
            "reason": "cancelled",
        }
        self._exchange.attempt_log.append(entry)


_OF_THE_STREAM = frozenset({"content-type", "content-encoding"})
_JSON = ("content-type", "application/json")


def is_event_stream(answer: Answer) -> bool:
    """Whether the answer is a stream of events that can be read."""
    headers = dict(answer.headers)
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "text/event-stream" and headers.get("content-encoding", "identity") == "identity"


def _is_json(answer: Answer) -> bool:
    return "json" in dict(answer.headers).get("content-type", "")


async def _beginning(answer: Answer, limit: int) -> tuple[bytes, bool]:
    """The first `limit` bytes and what came with them, and whether that was all."""
    first = await answer.chunk()
    if not first:
        return b"", True
    chunk = await answer.chunk()
    if not chunk:
        return first, True
    read = bytearray(first)
    while chunk:
        read += chunk
        if len(read) > limit:
            return bytes(read), False
        chunk = await answer.chunk()
    return bytes(read), True
