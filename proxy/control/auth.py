"""Who may use the control API, and from where."""

from __future__ import annotations

import ipaddress
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from proxy.base.sanitise import sanitise
from proxy.base.secret import Secret
from proxy.control.problems import ApiError

Role = Literal["viewer", "operator"]
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
AT_HEADER = "x-kt-at"
"""Names an earlier moment that a question is about."""
_LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})


@dataclass(frozen=True, slots=True)
class Token:
    """A token, the name it goes by and what it allows."""

    name: str
    role: Role
    secret: Secret


def load_tokens(state_dir: Path, env_token: str | None) -> tuple[Token, ...]:
    """The tokens of this state directory, the operator's first; one is made (mode 0600) when there is none.

    `env_token` (KT_API_TOKEN) is an operator beside them. Raises ValueError with one sentence when the file is not
    readable as tokens or others may read it.
    """
    path = state_dir / "tokens.json"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        pass
    else:
        with os.fdopen(descriptor, "w") as file:
            made = {"name": _user(), "role": "operator", "token": f"kt-{secrets.token_urlsafe(32)}"}
            json.dump({"tokens": [made]}, file)
    tokens = _read(path)
    if env_token:
        tokens = (Token(_user(), "operator", Secret(env_token)), *tokens)
    return tokens


def _read(path: Path) -> tuple[Token, ...]:
    if path.stat().st_mode & 0o077:
        raise ValueError(f"{path} can be read by others; run chmod 600 on it")
    try:
        entries = json.loads(path.read_text())["tokens"]
        tokens = tuple(
            Token(sanitise(entry["name"], 64), entry["role"], Secret(entry["token"])) for entry in entries
        )
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{path} is not readable as tokens; delete it and a new one is made") from None
    if not tokens or any(token.role not in ("viewer", "operator") or not token.secret for token in tokens):
        raise ValueError(f"{path} needs at least one token, each with the role viewer or operator")
    return tokens


def _user() -> str:
    return sanitise(os.environ.get("USER") or os.environ.get("LOGNAME") or "operator", 64)


class Guard:
    """ASGI middleware: Host and Origin against rebinding and pages, then the bearer token; the caller's name and
    role go into `scope["kt.token"]`."""

    def __init__(self, app: ASGIApp, tokens: tuple[Token, ...], *, off_loopback: bool = False) -> None:
        self._app = app
        self._tokens = tokens
        self._off_loopback = off_loopback

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except ApiError as error:
            await error.response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        self._check_place(headers)
        if scope["path"] in OPEN_PATHS:
            return
        token = self._token(headers)
        if token is None:
            raise ApiError(
                401,
                "unauthorized",
                "send Authorization: Bearer with the token of this gateway",
                "authorization",
            )
        if token.role == "viewer" and _changes(scope):
            raise ApiError(403, "read_only", "this token may only read", "authorization")
        if AT_HEADER in headers and _changes(scope):
            message = "this is an earlier moment: nothing can be changed in it"
            raise ApiError(409, "earlier_moment", message, AT_HEADER)
        scope["kt.token"] = token

    def _check_place(self, headers: Headers) -> None:
        if not self._is_ours(_hostname(headers.get("host", ""))):
            raise ApiError(403, "bad_host", "this host name is not one of the gateway's", "host")
        origin = headers.get("origin")
        if origin is not None and not self._is_ours(_hostname(origin.partition("://")[2])):
            raise ApiError(403, "bad_origin", "pages of other origins may not use the control API", "origin")
        if headers.get("sec-fetch-site") == "cross-site":
            raise ApiError(
                403, "bad_origin", "pages of other origins may not use the control API", "sec-fetch-site"
            )

    def _is_ours(self, host: str) -> bool:
        """Loopback's names; off loopback any address too: only a name can be rebound to another machine."""
        return host in _LOOPBACK_HOSTS or (self._off_loopback and _is_address(host))

    def _token(self, headers: Headers) -> Token | None:
        given = headers.getlist("authorization")
        if len(given) != 1 or given[0][:7].lower() != "bearer ":
            return None
        # Headers arrive as latin-1; the bytes are compared, so any character is safe.
        candidate = given[0][7:].strip().encode("latin-1", "replace")
        found = None
        for token in self._tokens:
            if token.secret.matches(candidate):
                found = token
        return found


def _changes(scope: Scope) -> bool:
    """Whether the request may change something: questions about a policy text carry it, so they are POSTs too."""
    return scope["method"] not in ("GET", "HEAD") and not scope["path"].startswith("/v1/policy/")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def _hostname(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.rpartition(":")[0].lower() if ":" in host else host.lower()


def caller(request: Request) -> Token:
    """The token the request came with."""
    token: Token = request.scope["kt.token"]
    return token
