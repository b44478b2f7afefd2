"""Which dialect the client speaks, which the target, and what lies between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from proxy.gateway.exchange import Exchange
from proxy.gateway.streams import ChatStream, OpaqueStream, Stream
from proxy.policy.facts import GENERATION, Endpoint
from proxy.upstream.targets import Target
from proxy.upstream.transport import Call
from proxy.wire.chat import ParsedRequest
from proxy.wire.errors import ReportedError, RequestError, error_body, error_frame, read_error
from proxy.wire.stream_tap import read_answer
from proxy.wire.usage import Usage

Dialect = Literal["openai", "anthropic"]


@dataclass(frozen=True, slots=True)
class Outbound:
    """One request as it goes to one target."""

    call: Call
    dialect: Dialect
    hides_usage: bool = False
    """It asks for a usage frame that the client did not ask for."""
    dropped: tuple[str, ...] = ()
    """Parameters of the client that this target's dialect cannot carry."""


def client_dialect(endpoint: Endpoint) -> Dialect:
    """The dialect of who asks there."""
    return "anthropic" if endpoint == "messages" else "openai"


def outbound_dialect(endpoint: Endpoint, target: Target) -> Dialect:
    """The dialect in which `target` is asked."""
    return "anthropic" if endpoint == "messages" and target.provider == "anthropic" else "openai"


def translated(parsed: ParsedRequest, dialect: Dialect, model: str) -> tuple[bytes, tuple[str, ...]]:
    """The request in another dialect, and the parameters that it cannot carry. Raises RequestError (400)."""
    raise RequestError(400, "unsupported_endpoint", "this endpoint is not translated")


def error_of_stream(dialect: Dialect, status: int, error: dict[str, Any]) -> bytes:
    """The body of the answer that a stream beginning with `error` should have been, in the same dialect."""
    if dialect == "anthropic":
        return msgspec.json.encode({"type": "error", "error": error})
    return msgspec.json.encode({"error": error})


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole answer as the client gets it, and what it says about itself."""

    status: int
    body: bytes
    usage: Usage | None = None
    finish_reason: str | None = None
    upstream_model: str | None = None
    error: ReportedError | None = None
    response_id: str | None = None
    """Of a stored response (the responses endpoint)."""


def read_whole(exchange: Exchange, out: Outbound, status: int, body: bytes) -> Whole:
    """The answer for the client, from the body an upstream gave."""
    if status >= 400:
        return Whole(status, body, error=read_error(body))
    found = read_answer(body, generates=exchange.endpoint in GENERATION)
    made = _response_id(body) if exchange.endpoint == "responses" else None
    return Whole(status, body, found.usage, found.finish_reason, found.model, found.error, made)


class _Identified(msgspec.Struct):
    id: str | None = None


_IDENTIFIED = msgspec.json.Decoder(_Identified)


def _response_id(body: bytes) -> str | None:
    try:
        return _IDENTIFIED.decode(body).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def open_stream(exchange: Exchange, out: Outbound) -> Stream:
    """What carries the stream of an upstream to the client."""
    if exchange.endpoint in ("chat", "completions"):
        return ChatStream(hides_usage=out.hides_usage)
    return OpaqueStream()


def keepalive_frame(endpoint: Endpoint) -> bytes:
    """What says nothing, in the client's dialect."""
    return b'event: ping\ndata: {"type": "ping"}\n\n' if endpoint == "messages" else b": keepalive\n\n"


def error_body_for(exchange: Exchange | None, error: RequestError) -> bytes:
    """The body that says `error` to who asks."""
    return error_body(error.status, error.code, error.message, error.param)


def error_frame_for(endpoint: Endpoint, error: RequestError) -> bytes:
    """The frame that says `error` inside a stream."""
    return error_frame(error.status, error.code, error.message)
