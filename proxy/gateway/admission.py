"""Who asks, and what: client keys, the body, the facts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from proxy.gateway.exchange import Exchange, make_draw
from proxy.gateway.guard import Headers
from proxy.gateway.routes import COUNT_TOKENS
from proxy.gateway.runtime import NamedKey, Runtime, Snapshot
from proxy.policy.facts import RequestFacts
from proxy.policy.recorded import DEFAULT_UNIT_HEADERS
from proxy.wire.errors import RequestError

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_KEY_HEADERS = (b"x-kt-key", b"authorization", b"x-api-key", b"api-key")
_CREDENTIALS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-kt-key"}
)
_LONGEST_KEY = 4096
_LONGEST_HEADER = 1024


class ClientGoneError(Exception):
    """The client left before its request was complete."""


def find_key(runtime: Runtime, snapshot: Snapshot | None, headers: Headers) -> tuple[NamedKey, bytes] | None:
    """The client key shown and the header it came in; None when no key is needed.

    Raises RequestError (401), the same for a missing and for a wrong key.
    """
    known = runtime.handed_keys + (snapshot.client_keys if snapshot is not None else ())
    if not known and not (snapshot is not None and snapshot.keys_required):
        return None
    for header, candidate in _candidates(headers):
        found = _matching(known, candidate)
        if found is not None:
            return found, header
    message = "this gateway wants a client key: send it as Authorization: Bearer KEY"
    raise RequestError(401, "invalid_api_key", message)


def _candidates(headers: Headers) -> list[tuple[bytes, bytes]]:
    found = []
    for name, value in headers:
        if name in _KEY_HEADERS and len(value) <= _LONGEST_KEY:
            if name == b"authorization":
                scheme, _, value = value.partition(b" ")
                if scheme.lower() != b"bearer":
                    continue
            found.append((name, value.strip()))
    return found


def _matching(known: tuple[NamedKey, ...], candidate: bytes) -> NamedKey | None:
    """Every key is compared, so that the time taken tells nothing."""
    found = None
    for key in known:
        if key.secret.matches(candidate) and found is None:
            found = key
    return found


def check_key_allows(key: NamedKey | None, model: str) -> None:
    """Raises RequestError (403) when the holder of `key` may not ask for `model`."""
    if key is not None and not key.allows(model):
        message = f"the client key {key.name!r} may not ask for the model {model!r}"
        raise RequestError(403, "model_not_allowed", message, param="model")


async def read_body(receive: Receive, limit: int, within_s: float) -> bytes:
    """The request body. Raises RequestError (413, 408) and ClientGoneError."""
    message = await _first(receive, within_s)
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await _rest(receive, body, limit, within_s)
    if len(body) > limit:
        raise RequestError(413, "body_too_large", f"the body is larger than {limit} bytes")
    return body


async def _first(receive: Receive, within_s: float) -> MutableMapping[str, Any]:
    try:
        async with asyncio.timeout(within_s):
            message = await receive()
    except TimeoutError:
        raise _late(within_s) from None
    if message["type"] == "http.disconnect":
        raise ClientGoneError
    return message


async def _rest(receive: Receive, first: bytes, limit: int, within_s: float) -> bytes:
    parts, size = [first], len(first)
    try:
        async with asyncio.timeout(within_s):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > limit:
                    break
                more = bool(message.get("more_body"))
    except TimeoutError:
        raise _late(within_s) from None
    return b"".join(parts)


def _late(within_s: float) -> RequestError:
    return RequestError(408, "body_timeout", f"the body did not come within {within_s:g} s")


def facts_of(exchange: Exchange, snapshot: Snapshot) -> RequestFacts:
    """What the plan decides from. Only headers that it, or any first split, asks for are read."""
    parsed = exchange.parsed
    if parsed is None:
        raise ValueError("facts are made of a request that was read")
    plan = snapshot.plan
    wanted = plan.kept_headers | plan.unit_headers | DEFAULT_UNIT_HEADERS
    return RequestFacts(
        endpoint="count_tokens" if exchange.path == COUNT_TOKENS else exchange.endpoint,
        requested_model=parsed.model,
        arrived=exchange.arrived,
        draw=make_draw(),
        max_tokens=parsed.max_tokens,
        prompt_chars=parsed.prompt_chars,
        stream=parsed.stream,
        has_tools=parsed.has_tools,
        has_images=parsed.has_images,
        user=parsed.user,
        safety_identifier=parsed.safety_identifier,
        key=exchange.key,
        headers=_wanted_headers(exchange.headers, wanted - _CREDENTIALS),
        metadata=parsed.metadata,
    )


def _wanted_headers(headers: Headers, wanted: frozenset[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name = raw_name.decode("latin-1")
        if name in wanted and name not in found:
            found[name] = raw_value[:_LONGEST_HEADER].decode("utf-8", "replace")
    return found
