"""Checks of targets: addresses, secrets, models, and what the vendor says of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import SplitResult, urlsplit

from proxy.policy.check import Context
from proxy.policy.checks_policies import _picks
from proxy.policy.diagnostics import Diagnostic
from proxy.policy.document import Path, has_unprintable, shown
from proxy.policy.targets import (
    AZURE_ENDPOINT_ENV,
    AZURE_VERSION_ENV,
    DEFAULT_BASE_URL,
    TargetEntry,
    TargetSpec,
)

_METADATA_HOSTS = frozenset(
    {"metadata.google.internal", "metadata", "instance-data", "metadata.azure.internal"}
)
_METADATA_ADDRESSES = frozenset({ip_address("100.100.100.200"), ip_address("fd00:ec2::254")})
_DEPLOYMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_SECRET_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "proxy-authorization", "cookie"})
_FRAMING_HEADERS = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer"}
)


def duplicate_ids(context: Context) -> Iterable[Diagnostic]:
    """Targets are told apart by id."""
    seen: set[str] = set()
    for entry in context.file.entries:
        if entry.id in seen:
            message = f"a target called {shown(entry.id)} is there already"
            yield context.report("duplicate-id", "error", message, (*entry.path, "id"))
        seen.add(entry.id)


def some_target(context: Context) -> Iterable[Diagnostic]:
    """An empty list of targets serves nothing; leaving it out means the vendors' own endpoints."""
    if context.complete and context.file.names_targets and not context.file.targets:
        message = "targets is empty: every request would be answered 404; remove it to use the vendors' own"
        yield context.report("no-targets", "warning", message, ("providers", "targets"), key=True)


def base_urls(context: Context) -> Iterable[Diagnostic]:
    """An address a key may be sent to."""
    for entry in context.file.entries:
        for key in ("base_url", "proxy"):
            url = getattr(entry, key)
            if url is None:
                continue
            place = (*entry.path, key)
            problem = _url_error(url)
            if problem is not None:
                yield context.report("bad-url", "error", f"{key} {problem}", place)
            elif _is_plain(url):
                message = f"{key} is plain http: keys and prompts would cross the network readable"
                yield context.report("plain-http", "warning", message, place)


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
    return _host_error(parts)


def _host_error(parts: SplitResult) -> str | None:
    host = (parts.hostname or "").rstrip(".").lower()
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


def secrets_present(context: Context) -> Iterable[Diagnostic]:
    """A variable that is not set: the target is unavailable."""
    for entry in context.file.entries:
        secret = entry.secret
        if (
            entry.secret_key_ref is not None
            and entry.detail is not None
            and entry.detail.secret_key_ref is not None
        ):
            message = "secret_key_ref stands both below provider and beside it; keep one"
            yield context.report("two-secrets", "error", message, (*entry.path, "secret_key_ref"), key=True)
        if secret is not None and secret.env is not None and not context.surroundings.env.get(secret.env):
            message = f"{secret.env} is not set: requests for {shown(entry.id)} would be answered 503"
            yield context.report("env-not-set", "warning", message, (*secret.path, "env"))
    yield from _default_secrets(context)
    for key in context.file.gateway.client_keys:
        variable = key.secret_key_ref.env if key.secret_key_ref is not None else None
        if (
            key.secret_key_ref is not None
            and variable is not None
            and not context.surroundings.env.get(variable)
        ):
            message = f"{variable} is not set: the key {shown(key.name)} opens nothing"
            yield context.report("env-not-set", "warning", message, (*key.secret_key_ref.path, "env"))


def _default_secrets(context: Context) -> Iterable[Diagnostic]:
    for entry, target in context.file.written:
        variable = target.secret_env
        if entry.secret is None and variable is not None and not context.surroundings.env.get(variable):
            message = f"{variable} is not set: requests for {shown(entry.id)} would be answered 503"
            yield context.report("env-not-set", "warning", message, (*entry.path, "id"))


def served_models(context: Context) -> Iterable[Diagnostic]:
    """A target that serves nothing, or whose models cannot be known."""
    for entry, target in context.file.written:
        if target.models:
            continue
        if target.provider == "openai-compatible":
            message = (
                f"{shown(entry.id)} needs models: what an openai-compatible endpoint serves cannot be known"
            )
            yield context.report("models-missing", "error", message, (*entry.path, "id"))
        else:
            message = f"{shown(entry.id)} has no deployments, so it serves no model"
            yield context.report("serves-nothing", "warning", message, (*entry.path, "id"))
    for entry, target in context.file.written:
        if target.provider == "openai-compatible" and target.base_url is None:
            message = f"{shown(entry.id)} needs base_url"
            yield context.report("base-url-missing", "error", message, (*entry.path, "id"))


def azure_settings(context: Context) -> Iterable[Diagnostic]:
    """Azure takes its endpoint and version from the file or the environment."""
    env = context.surroundings.env
    for entry, target in context.file.written:
        if target.provider != "azure-openai":
            if entry.deployments:
                message = "deployments mean something to azure-openai only"
                yield context.report("azure-only", "error", message, (*entry.path, "deployments"), key=True)
            continue
        if target.base_url is None and not env.get(AZURE_ENDPOINT_ENV):
            message = f"{shown(entry.id)} has no base_url and {AZURE_ENDPOINT_ENV} is not set: answered 503"
            yield context.report("no-endpoint", "warning", message, (*entry.path, "id"))
        versioned = (target.base_url or "").rstrip("/").endswith("/openai/v1")
        if target.api_version is None and target.models and not versioned and not env.get(AZURE_VERSION_ENV):
            message = f"{shown(entry.id)} has no api_version and {AZURE_VERSION_ENV} is not set: answered 503"
            yield context.report("no-api-version", "warning", message, (*entry.path, "id"))
        for model, deployment in target.deployments.items():
            if not _DEPLOYMENT.match(deployment):
                message = f"the deployment {shown(deployment)} may hold letters, digits, - _ and . only"
                yield context.report(
                    "bad-deployment", "error", message, _deployment_place(entry, model, context)
                )
        if target.api_version is not None and not _DEPLOYMENT.match(target.api_version):
            message = "api_version may hold letters, digits, - _ and . only"
            yield context.report("bad-value", "error", message, (*entry.path, "api_version"))


def _deployment_place(entry: TargetEntry, model: str, context: Context) -> Path:
    path = (*entry.path, "deployments")
    return (*path, model) if context.document.find((*path, model)) is not None else path


def extra_headers(context: Context) -> Iterable[Diagnostic]:
    """Headers that would carry a secret in the file or break the framing."""
    for entry in context.file.entries:
        for name, value in (entry.headers or {}).items():
            written = next((key for key in _keys(context, entry) if key.lower() == name), name)
            place = (*entry.path, "headers", written)
            if name in _SECRET_HEADERS:
                message = f"{name} carries a secret; write secret_key_ref: {{env: NAME}} instead"
                yield context.report("literal-secret", "error", message, place, key=True)
            elif name in _FRAMING_HEADERS:
                yield context.report("bad-header", "error", f"{name} belongs to the gateway", place, key=True)
            elif not value.isascii() or has_unprintable(value):
                yield context.report("bad-header", "error", f"the value of {name} must be plain ASCII", place)


def _keys(context: Context, entry: TargetEntry) -> list[str]:
    node = context.document.find((*entry.path, "headers"))
    return [item.key.value for item in getattr(node, "entries", ())]


def retired_models(context: Context) -> Iterable[Diagnostic]:
    """A model its vendor has switched off, on the vendor's own endpoint."""
    if not context.complete:
        return
    for policy in context.file.policies:
        for model, place in _picks(policy) if policy.enabled else ():
            day = context.surroundings.retired.get(model)
            if day is None or day > context.surroundings.today:
                continue
            if any(_is_vendors(target) and target.serves(model) for target in context.targets):
                message = f"{shown(model)} was retired by its vendor on {day.isoformat()}: requests will fail"
                yield context.report("model-retired", "warning", message, place)


def _is_vendors(target: TargetSpec) -> bool:
    default = DEFAULT_BASE_URL.get(target.provider)
    if target.base_url is None:
        return default is not None
    return default is not None and urlsplit(target.base_url).hostname == urlsplit(default).hostname


CHECKS: tuple[Callable[[Context], Iterable[Diagnostic]], ...] = (
    duplicate_ids,
    some_target,
    base_urls,
    secrets_present,
    served_models,
    azure_settings,
    extra_headers,
    retired_models,
)
