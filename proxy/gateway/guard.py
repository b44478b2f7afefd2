"""What a request's head must look like, on either listener, before anything routes it. Pure.

The HTTP parser below is strict about framing; this looks at what it lets through.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Headers = Sequence[tuple[bytes, bytes]]
"""Names in lower case."""

_HOST = re.compile(rb"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?\Z")
_ENCODINGS = frozenset({b"", b"identity", b"gzip"})
_LENGTH = re.compile(rb"[0-9]{1,18}\Z")
_LOOKED_AT = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"content-encoding",
        b"expect",
        b"upgrade",
        b"origin",
        b"sec-fetch-site",
    }
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a listener takes. Times in seconds."""

    url_bytes: int = 8 * 1024
    header_count: int = 100
    header_bytes: int = 32 * 1024
    body_bytes: int = 32 * 1024 * 1024
    connections: int = 4096
    header_s: float = 10.0
    """From the connection (or the first byte of a further request) to the end of the head."""
    body_s: float = 60.0
    """From the end of the head to the end of the body."""
    write_stall_s: float = 60.0
    """A client that takes nothing for so long is cut off."""
    keep_alive_s: int = 30


@dataclass(frozen=True, slots=True)
class HeadRefusal:
    """Why a request goes no further."""

    status: int
    code: str
    message: str


def check_head(method: str, version: str, url: bytes, headers: Headers, limits: Limits) -> HeadRefusal | None:
    """The first reason to refuse the request; None when there is none."""
    if len(url) > limits.url_bytes:
        return HeadRefusal(
            414, "url_too_long", f"the address of the request is longer than {limits.url_bytes} bytes"
        )
    size = sum(len(name) + len(value) + 4 for name, value in headers)
    if len(headers) > limits.header_count or size > limits.header_bytes:
        message = f"more than {limits.header_count} headers or {limits.header_bytes} bytes of headers"
        return HeadRefusal(431, "headers_too_large", message)
    if version not in ("1.0", "1.1"):
        return HeadRefusal(400, "bad_version", "only HTTP/1.1 is spoken here")
    if method not in _METHODS:
        return HeadRefusal(405, "method_not_allowed", "this method is not allowed")
    if not url.startswith(b"/"):
        return HeadRefusal(
            400, "bad_target", "the request must name a path, not an address: this is no forward proxy"
        )
    found = _looked_at(headers)
    return _check_host(found) or _check_framing(version, found, limits)


_Found = Mapping[bytes, Sequence[bytes]]


def _looked_at(headers: Headers) -> _Found:
    """The values of the headers that are looked at here, by name, from one walk over all of them."""
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if name in _LOOKED_AT:
            found.setdefault(name, []).append(value)
    return found


def _check_host(found: _Found) -> HeadRefusal | None:
    hosts = found.get(b"host", ())
    if len(hosts) != 1:
        message = (
            "the request has no Host header" if not hosts else "the request has more than one Host header"
        )
        return HeadRefusal(400, "bad_host", message)
    if not _HOST.match(hosts[0]):
        return HeadRefusal(400, "bad_host", "the Host header is not a host name with an optional port")
    return None


def _check_framing(version: str, found: _Found, limits: Limits) -> HeadRefusal | None:
    lengths = found.get(b"content-length", ())
    codings = found.get(b"transfer-encoding", ())
    if codings and (
        lengths or version == "1.0" or len(codings) > 1 or codings[0].strip().lower() != b"chunked"
    ):
        return HeadRefusal(
            400, "bad_framing", "where the body ends cannot be told: Transfer-Encoding must be chunked, alone"
        )
    if len(lengths) > 1 or (lengths and not _LENGTH.match(lengths[0])):
        return HeadRefusal(400, "bad_framing", "Content-Length must stand once, as a number")
    if lengths and int(lengths[0]) > limits.body_bytes:
        return HeadRefusal(413, "body_too_large", f"the body is larger than {limits.body_bytes} bytes")
    encodings = found.get(b"content-encoding", ())
    if len(encodings) > 1 or any(value.strip().lower() not in _ENCODINGS for value in encodings):
        return HeadRefusal(
            415, "unsupported_encoding", "a compressed request body is taken as gzip only: send it plain"
        )
    if any(value.strip().lower() != b"100-continue" for value in found.get(b"expect", ())):
        return HeadRefusal(417, "unsupported_expectation", "the only expectation met is 100-continue")
    if any(value.strip().lower() == b"websocket" for value in found.get(b"upgrade", ())):
        return HeadRefusal(
            501, "websocket_unsupported", "WebSocket is not spoken here: use plain HTTP with SSE streams"
        )
    return None


def hostname(headers: Headers) -> str:
    """The host a request is addressed to, in lower case and without its port; "" when it has none."""
    for name, value in headers:
        if name == b"host":
            text = value.decode("latin-1").lower()
            return text[1:].partition("]")[0] if text.startswith("[") else text.partition(":")[0]
    return ""


def is_local_name(host: str) -> bool:
    """Whether no page from elsewhere can be served under this name: a loopback name, or an address itself."""
    return (
        host == "localhost" or host.endswith(".localhost") or ":" in host or host.replace(".", "").isdigit()
    )


def check_browser(headers: Headers, allowed_hosts: Iterable[str]) -> HeadRefusal | None:
    """Refuse what only a page of another site sends: a foreign name for this host, or a foreign origin."""
    host = hostname(headers)
    if not is_local_name(host) and host not in allowed_hosts:
        message = (
            "the Host header names a host this gateway does not answer for: add it to gateway.allow_hosts"
        )
        return HeadRefusal(403, "host_not_allowed", message)
    found = _looked_at(headers)
    origin = next(iter(found.get(b"origin", ())), None)
    if origin is not None and origin.partition(b"://")[2].lower() != found[b"host"][0].lower():
        return HeadRefusal(403, "origin_not_allowed", "a page of another site may not use this gateway")
    if any(value.strip().lower() == b"cross-site" for value in found.get(b"sec-fetch-site", ())):
        return HeadRefusal(403, "origin_not_allowed", "a page of another site may not use this gateway")
    return None
