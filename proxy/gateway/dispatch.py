"""From a decided request to an answer whose head has come.

Which target, what is sent there, which failures are absorbed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.gateway.exchange import Exchange
from proxy.gateway.guard import Headers
from proxy.gateway.runtime import Runtime
from proxy.policy.facts import Decision
from proxy.upstream.targets import Target
from proxy.upstream.transport import Answer, Call, UpstreamError
from proxy.wire.chat import ParsedRequest
from proxy.wire.errors import RequestError
from proxy.wire.json_scan import ask_usage, set_model, splice

MAX_ATTEMPTS = 3
FIRST_BYTE_STREAM_S = 120.0
FIRST_BYTE_WHOLE_S = 600.0
IDLE_S = 120.0
CONNECT_S = 5.0
_REFUSAL_BODY = 64 * 1024
"""How much of a 400 is read to see whether it is about `stream_options`."""
_FORWARDED = frozenset(
    {b"accept", b"anthropic-version", b"anthropic-beta", b"traceparent", b"tracestate", b"idempotency-key"}
)
_USAGE_WORDS = (b"stream_options", b"include_usage")
_PRINTABLE = re.compile(rb"[\x20-\x7e]*\Z")


@dataclass(frozen=True, slots=True)
class Dispatched:
    """An answer, and whether its usage frame is ours alone (the client did not ask for one)."""

    answer: Answer
    hides_usage: bool


class _BufferedAnswer:
    """An answer whose beginning was read already."""

    def __init__(self, answer: Answer, read: bytes) -> None:
        self._answer = answer
        self._read = read
        self.status = answer.status
        self.headers = answer.headers

    async def chunk(self) -> bytes:
        """What was read, then the rest."""
        if self._read:
            read, self._read = self._read, b""
            return read
        return await self._answer.chunk()

    def close(self) -> None:
        """See Answer."""
        self._answer.close()


def choose_targets(exchange: Exchange, decision: Decision) -> list[Target]:
    """Usable targets of the decided model, in order. Raises RequestError (404, 503, 400)."""
    if exchange.snapshot is None:
        raise RequestError(503, "no_policy", "the gateway runs no policy yet")
    named = decision.assignment.target if decision.assignment is not None else None
    if decision.assignment is not None and decision.assignment.model != decision.model:
        named = None  # a later policy sent the request elsewhere
    found = exchange.snapshot.routes.for_model(decision.model, named)
    if not found:
        message = f"no target of this gateway serves the model {decision.model!r}"
        raise RequestError(404, "model_not_found", message, param="model")
    usable = [target for target in found if target.unavailable_reason is None]
    if not usable:
        raise RequestError(503, "target_unavailable", found[0].unavailable_reason or "no target can be used")
    carrying = [target for target in usable if target.carries(exchange.endpoint)]
    if not carrying:
        message = (
            f"the model {decision.model!r} is served by {usable[0].id}, whose OpenAI-compatible endpoint "
            f"carries chat completions only, not {exchange.endpoint}"
        )
        raise RequestError(400, "unsupported_endpoint", message)
    return carrying


async def dispatch(
    runtime: Runtime, exchange: Exchange, parsed: ParsedRequest, decision: Decision
) -> Dispatched:
    """Send until an answer comes, MAX_ATTEMPTS times in all.

    Raises RequestError (404, 503, 400, 502, 504).
    """
    targets = choose_targets(exchange, decision)
    failure: UpstreamError | None = None
    for place, target in enumerate(targets):
        last = place + 1 == len(targets)
        try:
            sent = await _try_target(runtime, exchange, parsed, decision, target)
        except UpstreamError as error:
            failure = error
            # Sent in full and not answered: the upstream may be working on it, and would be paid twice.
            if error.kind == "timeout" and not target.spec.retry_on_timeout:
                break
        else:
            status = sent.answer.status
            if status < 300 or 400 <= status < 500 or (status >= 500 and (last or _spent(exchange))):
                return sent
            sent.answer.close()
            if status < 400:
                failure = UpstreamError(
                    "protocol", f"{target.id} answered with a redirect, which is not followed"
                )
        if _spent(exchange):
            break
    if failure is not None and failure.kind == "timeout":
        raise RequestError(504, "upstream_timeout", failure.message)
    raise RequestError(502, "upstream_unreachable", failure.message if failure else "no upstream answered")


def _spent(exchange: Exchange) -> bool:
    return exchange.attempts >= MAX_ATTEMPTS


async def _try_target(
    runtime: Runtime, exchange: Exchange, parsed: ParsedRequest, decision: Decision, target: Target
) -> Dispatched:
    """One target.

    Again on a connection that was dead already, and without asking for usage where that is refused.
    """
    exchange.target = target
    call, hides_usage = build_call(runtime, exchange, parsed, decision, target)
    while True:
        exchange.attempts += 1
        exchange.mark_sent()
        before, exchange.went_upstream = exchange.went_upstream, True
        try:
            answer = await runtime.transport.send(call)
        except UpstreamError as error:
            exchange.went_upstream = before or error.kind not in ("refused", "connect", "stale")
            if error.kind == "stale" and not _spent(exchange):
                continue
            raise
        if not 200 <= answer.status <= 599:
            answer.close()
            raise UpstreamError("protocol", f"{target.id} answered with the status {answer.status}")
        if not hides_usage or answer.status not in (400, 422) or _spent(exchange):
            return Dispatched(answer, hides_usage)
        body = await _beginning(answer)
        if not any(word in body for word in _USAGE_WORDS):
            return Dispatched(_BufferedAnswer(answer, body), hides_usage)
        answer.close()
        runtime.never_ask_usage(str(call.url), decision.model)
        call, hides_usage = build_call(runtime, exchange, parsed, decision, target)


async def _beginning(answer: Answer) -> bytes:
    read = bytearray()
    try:
        while len(read) < _REFUSAL_BODY and (chunk := await answer.chunk()):
            read += chunk
    except BaseException:
        answer.close()
        raise
    return bytes(read)


def build_call(
    runtime: Runtime, exchange: Exchange, parsed: ParsedRequest, decision: Decision, target: Target
) -> tuple[Call, bool]:
    """What is sent to `target`, and whether it asks for a usage frame that the client did not ask for."""
    url = target.url(exchange.endpoint, decision.model)
    edits = []
    model = target.body_model(decision.model)
    if model != parsed.model:
        edits.append(set_model(parsed.scan, model))
    hides_usage = False
    if (
        parsed.stream
        and not parsed.asks_usage
        and exchange.endpoint in ("chat", "completions")
        and runtime.asks_usage(str(url), decision.model)
    ):
        edit = ask_usage(parsed.scan)
        if edit is not None:
            edits.append(edit)
            hides_usage = True
    timeouts = target.spec.timeouts
    first_byte = FIRST_BYTE_STREAM_S if parsed.stream else FIRST_BYTE_WHOLE_S
    call = Call(
        url=url,
        headers=_headers(runtime, exchange, target),
        body=splice(parsed.body, edits) if edits else parsed.body,
        connect_s=timeouts.connect_s or CONNECT_S,
        first_byte_s=timeouts.first_byte_s or first_byte,
        idle_s=timeouts.idle_s or IDLE_S,
        proxy=target.spec.proxy,
        ca_file=target.spec.ca_file,
    )
    return call, hides_usage


def _headers(runtime: Runtime, exchange: Exchange, target: Target) -> list[tuple[str, str]]:
    """What goes upstream.

    Named headers of the client, then ours. What the client lists in Connection stays behind.
    """
    dropped = _listed_in_connection(exchange.headers)
    headers = [
        (name.decode("ascii"), value.decode("ascii"))
        for name, value in exchange.headers
        if (name in _FORWARDED or name.startswith(b"openai-"))
        and name not in dropped
        and _PRINTABLE.match(value)
    ]
    own = [
        ("content-type", "application/json"),
        ("accept-encoding", "identity"),
        ("user-agent", "ktui"),
        ("via", _via(exchange.headers, runtime.instance)),
        *target.spec.headers.items(),
        *_credentials(exchange, target),
    ]
    ours = {name.lower() for name, _ in own}
    return [header for header in headers if header[0] not in ours] + own


def _credentials(exchange: Exchange, target: Target) -> Sequence[tuple[str, str]]:
    """Our key, or, where the target passes the caller's own, that one.

    The key that opened this gateway never.
    """
    if target.auth != "passthrough":
        header = target.auth_header()
        return [header] if header is not None else []
    own = [
        (name.decode("ascii"), value.decode("ascii"))
        for name, value in exchange.headers
        if name in (b"authorization", b"api-key") and name != exchange.key_header and _PRINTABLE.match(value)
    ]
    if not own:
        message = f"the target {target.id} passes the caller's own key on, and the request has none"
        raise RequestError(401, "missing_upstream_key", message)
    return own[:1]


def _listed_in_connection(headers: Headers) -> frozenset[bytes]:
    return frozenset(
        word.strip().lower() for name, value in headers if name == b"connection" for word in value.split(b",")
    )


def _via(headers: Headers, instance: str) -> str:
    passed = [value.decode("ascii") for name, value in headers if name == b"via" and _PRINTABLE.match(value)]
    return ", ".join([*passed, f"1.1 {instance}"])[-1024:]


def came_from_here(headers: Headers, instance: str) -> bool:
    """Whether this gateway sent the request itself: one of its targets leads back to it."""
    mark = instance.encode()
    return any(name == b"via" and mark in value for name, value in headers)


def redact(body: bytes, target: Target | None) -> bytes:
    """`body` without our own key, should the upstream repeat it."""
    if target is None or target.secret is None:
        return body
    return body.replace(target.secret.reveal().encode(), b"***")
