"""Which dialect the client speaks, which the target, and what lies between them."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.gateway.exchange import Exchange
from proxy.gateway.streams import ChatStream, NativeStream, OpaqueStream
from proxy.policy.facts import GENERATION, Endpoint
from proxy.upstream.targets import Target
from proxy.upstream.transport import Call
from proxy.wire.errors import (
    ReportedError,
    RequestError,
    anthropic_error_body,
    anthropic_error_frame,
    anthropic_kind,
    error_body,
    error_frame,
    read_error,
)
from proxy.wire.json_values import load_object
from proxy.wire.native_taps import MessagesTap, NativeTap, ResponsesTap, read_message, read_response
from proxy.wire.stream_tap import WholeAnswer as Seen
from proxy.wire.stream_tap import read_answer
from proxy.wire.transcode import stream_transcoder, translate_answer
from proxy.wire.translation import Dialect, StreamTranscoder, WholeAnswer

_CONVERSATIONS: frozenset[Endpoint] = frozenset({"chat", "messages"})
"""What Anthropic is asked for at its own endpoint."""


class Outbound(msgspec.Struct, frozen=True):
    """One request as it goes to one target."""

    call: Call
    dialect: Dialect
    hides_usage: bool = False
    """It asks for a usage frame that the client did not ask for."""
    dropped: tuple[str, ...] = ()
    """Parameters of the client that this target's dialect cannot carry."""
    json_tool: bool = False
    """The form of the answer is asked for by a tool of ours."""


def client_dialect(endpoint: Endpoint) -> Dialect:
    """The dialect of who asks there."""
    return "anthropic" if endpoint == "messages" else "openai"


def outbound_dialect(endpoint: Endpoint, target: Target) -> Dialect:
    """The dialect in which `target` is asked."""
    return "anthropic" if endpoint in _CONVERSATIONS and target.provider == "anthropic" else "openai"


def error_of_stream(dialect: Dialect, status: int, error: dict[str, Any]) -> bytes:
    """The body of the answer that a stream beginning with `error` should have been, in the same dialect."""
    if dialect == "anthropic":
        return msgspec.json.encode({"type": "error", "error": error})
    return msgspec.json.encode({"error": error})


def read_whole(exchange: Exchange, out: Outbound, status: int, body: bytes) -> WholeAnswer:
    """The answer for the client, from the body an upstream gave. Raises RequestError (502)."""
    endpoint, parsed = exchange.endpoint, exchange.parsed
    if parsed is not None and out.dialect != client_dialect(endpoint):
        created = exchange.arrived_ns // 10**9
        return translate_answer(endpoint, status, body, parsed, created, json_tool=out.json_tool)
    if status >= 400:
        return WholeAnswer(status, body, error=read_error(body))
    found: NativeTap | Seen
    if endpoint == "messages":
        found = read_message(body)
    elif endpoint == "responses":
        found = read_response(body)
    else:
        found = read_answer(body, generates=endpoint in GENERATION)
    error = found.error
    if error is None and found.model is None and endpoint in GENERATION and load_object(body) is None:
        error = ReportedError("invalid_answer", "what the upstream answered is no JSON object")
    return WholeAnswer(status, body, found.usage, found.finish_reason, found.model, error)


class _Identified(msgspec.Struct):
    id: str | None = None


_IDENTIFIED = msgspec.json.Decoder(_Identified)


def response_id(exchange: Exchange, body: bytes) -> str | None:
    """The id of the stored response that `body` is; None when it is none."""
    if exchange.endpoint != "responses":
        return None
    try:
        return _IDENTIFIED.decode(body).id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def open_stream(exchange: Exchange, out: Outbound) -> StreamTranscoder:
    """What carries the stream of an upstream to the client."""
    if exchange.parsed is not None and out.dialect != client_dialect(exchange.endpoint):
        return stream_transcoder(
            exchange.endpoint, exchange.parsed, exchange.arrived_ns // 10**9, json_tool=out.json_tool
        )
    if exchange.endpoint in ("chat", "completions"):
        return ChatStream(hides_usage=out.hides_usage)
    if exchange.endpoint == "messages":
        return NativeStream(MessagesTap())
    return NativeStream(ResponsesTap()) if exchange.endpoint == "responses" else OpaqueStream()


def keepalive_frame(endpoint: Endpoint) -> bytes:
    """What says nothing, in the client's dialect."""
    return b'event: ping\ndata: {"type": "ping"}\n\n' if endpoint == "messages" else b": keepalive\n\n"


def error_body_for(exchange: Exchange | None, error: RequestError) -> bytes:
    """The body that says `error` to who asks."""
    if exchange is not None and client_dialect(exchange.endpoint) == "anthropic":
        kind, extra = anthropic_kind(error.status), {"code": error.code}
        return anthropic_error_body(kind, error.message, request_id=exchange.id, extra=extra)
    return error_body(error.status, error.code, error.message, error.param)


def error_frame_for(endpoint: Endpoint, error: RequestError) -> bytes:
    """The frame that says `error` inside a stream. Nothing follows it, for the answer is not complete."""
    if endpoint == "messages":
        return anthropic_error_frame(anthropic_kind(error.status), error.message)
    if endpoint == "responses":
        told = {"code": error.code, "message": error.message, "param": None}
        # The `error` object is what makes the official clients raise.
        value = {"type": "error", **told, "error": told}
        return b"event: error\ndata: " + msgspec.json.encode(value) + b"\n\n"
    return error_frame(error.status, error.code, error.message)
