"""What one attempt sends upstream: address, body and headers. No request content chooses host or credential."""

from __future__ import annotations

import re
from collections.abc import Sequence

from proxy.gateway.dialects import Outbound, client_dialect, outbound_dialect
from proxy.gateway.exchange import Exchange
from proxy.gateway.guard import Headers
from proxy.gateway.runtime import Runtime, Traces
from proxy.upstream.targets import Target
from proxy.upstream.transport import Call
from proxy.wire.chat import ParsedRequest
from proxy.wire.errors import RequestError
from proxy.wire.json_scan import Span, ask_usage, splice
from proxy.wire.limit_names import with_limit_name
from proxy.wire.parsed import model_edit
from proxy.wire.transcode import translate_request
from proxy.wire.translation import Dialect
from proxy.wire.unsigned_thinking import drop_unsigned

Edit = tuple[Span, bytes]
FIRST_BYTE_STREAM_S = 120.0
FIRST_BYTE_WHOLE_S = 600.0
IDLE_S = 120.0
CONNECT_S = 5.0
ANTHROPIC_VERSION = "2023-06-01"
_FORWARDED = frozenset(
    {b"accept", b"anthropic-version", b"anthropic-beta", b"traceparent", b"tracestate", b"idempotency-key"}
)
_KEYS = frozenset({b"authorization", b"api-key", b"x-api-key"})
_PRINTABLE = re.compile(rb"[\x20-\x7e]*\Z")


def build_outbound(
    runtime: Runtime, exchange: Exchange, parsed: ParsedRequest, target: Target, model: str
) -> Outbound:
    """What is sent to `target` for `model`. Raises RequestError (400, 401)."""
    dialect = outbound_dialect(exchange.endpoint, target)
    same = client_dialect(exchange.endpoint) == dialect
    path = exchange.path if same else ("messages" if dialect == "anthropic" else "chat/completions")
    url = target.url(path, model)
    hides_usage = json_tool = False
    dropped: tuple[str, ...] = ()
    if same:
        unsigned = drop_unsigned(parsed) if exchange.endpoint == "messages" else None
        dropped = ("messages.thinking",) if unsigned is not None else ()
        body, hides_usage = _spliced(runtime, exchange, parsed, target, model, str(url), unsigned)
    else:
        # A messages client always gets usage, so the wish for it is ours, should the upstream refuse it.
        hides_usage = (
            parsed.stream and exchange.endpoint == "messages" and runtime.asks_usage(str(url), model)
        )
        translated = translate_request(
            exchange.endpoint,
            parsed,
            dialect,
            target.body_model(model),
            known_as=model,
            ask_usage=hides_usage,
        )
        body, dropped, json_tool = translated.body, translated.dropped, translated.json_tool
        exchange.filled_max_tokens = translated.filled_max_tokens
    if runtime.limit_names and (name := runtime.limit_names.get((str(url), model))) is not None:
        body = with_limit_name(body, name)
    timeouts = target.spec.timeouts
    first_byte = FIRST_BYTE_STREAM_S if parsed.stream else FIRST_BYTE_WHOLE_S
    call = Call(
        url=url,
        headers=upstream_headers(runtime, exchange, target, dialect),
        body=body,
        connect_s=timeouts.connect_s or CONNECT_S,
        first_byte_s=timeouts.first_byte_s or first_byte,
        idle_s=timeouts.idle_s or IDLE_S,
        proxy=target.spec.proxy,
        ca_file=target.spec.ca_file,
        allow_link_local=target.spec.allow_link_local,
    )
    return Outbound(call, dialect, hides_usage, dropped, json_tool)


def _spliced(
    runtime: Runtime,
    exchange: Exchange,
    parsed: ParsedRequest,
    target: Target,
    model: str,
    url: str,
    more: Edit | None,
) -> tuple[bytes, bool]:
    """The client's own bytes but for the model, the wish for usage and `more`; whether that wish is ours."""
    edits = [] if more is None else [more]
    name = target.body_model(model, exchange.path)
    # A form may have another model than the path, or none: in it the name is always written.
    if name != parsed.model or parsed.form_model is not None:
        edits.append(model_edit(parsed, name))
    hides_usage = False
    if (
        parsed.stream
        and not parsed.asks_usage
        and exchange.endpoint in ("chat", "completions")
        and runtime.asks_usage(url, model)
    ):
        edit = ask_usage(parsed.scan)
        if edit is not None:
            edits.append(edit)
            hides_usage = True
    return splice(parsed.body, edits) if edits else parsed.body, hides_usage


def upstream_headers(
    runtime: Runtime, exchange: Exchange, target: Target, dialect: Dialect
) -> list[tuple[str, str]]:
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
        ("content-type", exchange.content_type),
        ("accept-encoding", "identity"),
        ("user-agent", "ktui"),
        ("via", _via(exchange.headers, runtime.instance)),
        *target.spec.headers.items(),
        *_credentials(exchange, target, dialect),
    ]
    if runtime.traces is not None and not exchange.recorded:
        own += _trace_headers(runtime.traces, exchange, headers)
    ours = {name.lower() for name, _ in own}
    kept = [header for header in headers if header[0] not in ours]
    if dialect == "anthropic" and all(name.lower() != "anthropic-version" for name, _ in (*kept, *own)):
        own.append(("anthropic-version", ANTHROPIC_VERSION))
    return kept + own


def _trace_headers(traces: Traces, exchange: Exchange, kept: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The span of this attempt in place of the client's; its vendors' state goes with it, but never alone."""
    parent = exchange.trace_context()
    header = traces.outgoing(parent, exchange.id, exchange.attempts + 1)
    if header is None:
        return []
    if parent is None:
        kept[:] = [pair for pair in kept if pair[0] != "tracestate"]
    return [("traceparent", header)]


def _credentials(exchange: Exchange, target: Target, dialect: Dialect) -> Sequence[tuple[str, str]]:
    """Our key, or, where the target passes the caller's own, that one.

    The key that opened this gateway never.
    """
    if target.auth != "passthrough":
        header = target.auth_header(native=dialect == "anthropic")
        return [header] if header is not None else []
    for name, value in exchange.headers:
        if name in _KEYS and name != exchange.key_header and _PRINTABLE.match(value):
            shown = name.decode("ascii"), value.decode("ascii")
            same = client_dialect(exchange.endpoint) == dialect
            return [shown if same and dialect == "anthropic" else _in_style(*shown, target, dialect)]
    message = f"the target {target.id} passes the caller's own key on, and the request has none"
    raise RequestError(401, "missing_upstream_key", message)


def _in_style(name: str, value: str, target: Target, dialect: Dialect) -> tuple[str, str]:
    """The caller's key in a header that the target reads; as it came where the target reads that one."""
    if dialect == "anthropic":
        return "x-api-key", value[7:].strip() if value[:7].lower() == "bearer " else value
    if target.provider == "azure-openai":
        return (name, value) if name == "authorization" else ("api-key", value)
    return (name, value) if name == "authorization" else ("authorization", f"Bearer {value}")


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
