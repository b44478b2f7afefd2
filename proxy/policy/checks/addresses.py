"""Addresses that keys and prompts may be sent to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

from proxy.policy.check import Context, Finding, check
from proxy.policy.checks.fixes import rewrite
from proxy.policy.document import Path, has_unprintable

_METADATA_HOSTS = frozenset(
    {"metadata.google.internal", "metadata", "instance-data", "metadata.azure.internal"}
)
_METADATA_ADDRESSES = frozenset({ip_address("100.100.100.200"), ip_address("fd00:ec2::254")})
_BARE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*\.)+[A-Za-z]{2,}(?:[:/].*)?\Z")
"""A host and path that only lacks its scheme."""


@check(
    "bad-url",
    "error",
    "An address that must not be called",
    why="""Keys and prompts are sent there, so it has to be a plain `http(s)` address: no user name, query or fragment, no
    `..`, no link-local address and no metadata service of a cloud, in whatever spelling.""",
    mend="Write the endpoint's address, such as `https://api.example.com/v1`.",
    bad="""
    providers:
      targets:
        - {id: openai, base_url: «api.example.com/v1»}
    policies:
      - {name: marked, type: log}
    """,
    good="""
    providers:
      targets:
        - {id: openai, base_url: "https://api.example.com/v1"}
    policies:
      - {name: marked, type: log}
    """,
)
def bad_url(context: Context) -> Iterable[Finding]:
    """An address a key may be sent to."""
    for key, url, place, allowed in _addresses(context):
        problem = _url_error(url) or (None if allowed else _host_error(url))
        if problem is not None:
            fix = None
            if _BARE.match(url) and _url_error(f"https://{url}") is None:
                fix = rewrite(context.document, "put https:// before it", {place: f"https://{url}"})
            yield Finding(f"{key} {problem}", place, fix=fix)


@check(
    "plain-http",
    "warning",
    "Plain http to another machine",
    why="Keys and prompts would cross the network readable by anyone on the way.",
    mend="Use https. Plain http to this machine itself (`localhost`) is fine.",
    bad="""
    providers:
      targets:
        - {id: openai, base_url: «"http://10.0.0.5:8000/v1"»}
    policies:
      - {name: marked, type: log}
    """,
    good="""
    providers:
      targets:
        - {id: openai, base_url: "https://10.0.0.5:8000/v1"}
    policies:
      - {name: marked, type: log}
    """,
)
def plain_http(context: Context) -> Iterable[Finding]:
    """http that leaves the machine."""
    for key, url, place, _ in _addresses(context):
        if _url_error(url) is None and _host_error(url) is None and _is_plain(url):
            fix = rewrite(context.document, "write https", {place: f"https{url[4:]}"})
            message = f"{key} is plain http: keys and prompts would cross the network readable"
            yield Finding(message, place, fix=fix)


@check(
    "link-local-allowed",
    "warning",
    "A target may call a link-local address",
    why="""`allow_link_local` lets requests out to the addresses where clouds hand out their machines' credentials. It is
    followed, but nobody should do it unseen.""",
    mend="Remove `allow_link_local` and use another address, unless this is meant.",
    bad="""
    providers:
      targets:
        - {id: openai, allow_link_local: true, base_url: «"http://169.254.10.1/v1"»}
    policies:
      - {name: marked, type: log}
    """,
    good="""
    providers:
      targets:
        - {id: openai, base_url: "http://127.0.0.1:8000/v1"}
    policies:
      - {name: marked, type: log}
    """,
)
def link_local_allowed(context: Context) -> Iterable[Finding]:
    """An address only let through because the target says so."""
    for key, url, place, allowed in _addresses(context):
        problem = _host_error(url) if allowed and _url_error(url) is None else None
        if problem is not None:
            yield Finding(f"{key} {problem}; allow_link_local lets it", place)


def _addresses(context: Context) -> Iterator[tuple[str, str, Path, bool]]:
    """Key, address, place, and whether link-local addresses are allowed there."""
    for entry in context.file.entries:
        for key in ("base_url", "proxy"):
            url = getattr(entry, key)
            if url is not None:
                yield key, url, (*entry.path, key), entry.allow_link_local


def _url_error(url: str) -> str | None:
    if has_unprintable(url) or " " in url or "\\" in url:
        return "must not contain spaces, backslashes or control characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is not a URL"
    if parts.scheme not in ("http", "https"):
        return "must start with https:// or http://"
    if not parts.hostname or port == 0:
        return "has no host"
    if parts.username is not None or parts.password is not None:
        return "must not carry a user name or password; use secret_key_ref"
    if "?" in url or "#" in url:
        return "must not have a query or fragment"
    if any(part in (".", "..") for part in parts.path.split("/")) or "%" in parts.netloc:
        return "must be a plain address without .. or escapes"
    return None


def _host_error(url: str) -> str | None:
    """Why the host of a well-formed address must not be called without saying so."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    if host in _METADATA_HOSTS:
        return "points at a cloud metadata service"
    address = _address(host)
    if address is None:
        return None
    if address in _METADATA_ADDRESSES:
        return "points at a cloud metadata service"
    if address.is_link_local:
        return "points at a link-local address"
    if address.is_multicast or address.is_unspecified:
        return "points at an address nothing can answer on"
    return None


def _address(host: str) -> IPv4Address | IPv6Address | None:
    """The address a host spells, in the loose forms resolvers take too (decimal, hex, short)."""
    try:
        address = ip_address(host)
    except ValueError:
        return _loose_ipv4(host)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _loose_ipv4(host: str) -> IPv4Address | None:
    try:
        parts = [
            int(part, 16 if part[:2] in ("0x", "0X") else 8 if part[:1] == "0" and part != "0" else 10)
            for part in host.split(".")
        ]
    except ValueError:
        return None
    if not 1 <= len(parts) <= 4 or any(part < 0 for part in parts) or any(part > 255 for part in parts[:-1]):
        return None
    tail_bytes = 5 - len(parts)
    if parts[-1] >= 256**tail_bytes:
        return None
    head = sum(part << (8 * (3 - index)) for index, part in enumerate(parts[:-1]))
    return IPv4Address(head + parts[-1])


def _is_plain(url: str) -> bool:
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    address = _address(host)
    loopback = (
        host == "localhost" or host.endswith(".localhost") or (address is not None and address.is_loopback)
    )
    return parts.scheme == "http" and not loopback
