"""In front of every route: browsers of other sites, tokens, roles. A route that is added later stands behind it too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from proxy.control.errors import ApiError
from proxy.control.tokens import Principal, Tokens
from proxy.gateway.guard import Headers, check_browser

OPEN_PATHS = frozenset({"/healthz", "/readyz"})
READING = frozenset({"GET", "HEAD"})
_READING_POSTS = frozenset({"/v1/policy/lint", "/v1/policy/diff"})
"""They change nothing, so a viewer may use them."""
_LONGEST_TOKEN = 4096

_UNAUTHORISED = ApiError(
    401, "unauthorized", "a token is needed: send it as Authorization: Bearer TOKEN (kt token prints it)"
)
_READ_ONLY = ApiError(403, "read_only", "this token may read but not change anything")
_NOT_JSON = ApiError(415, "not_json", "send the body as Content-Type: application/json")


class Door:
    """ASGI middleware. Puts the `Principal` into the scope."""

    def __init__(self, app: Any, tokens: Tokens, allowed_hosts: Callable[[], Iterable[str]]) -> None:
        self._app = app
        self._tokens = tokens
        self._allowed_hosts = allowed_hosts

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let the request in, or say why not."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
            return
        body = refusal.body()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    def _refusal(self, scope: Any) -> ApiError | None:
        headers: Headers = scope["headers"]
        foreign = check_browser(headers, self._allowed_hosts())
        if foreign is not None:
            return ApiError(foreign.status, foreign.code, foreign.message)
        path, method = scope["path"], scope["method"]
        if path in OPEN_PATHS:
            return None
        principal = self._principal(headers)
        if principal is None:
            return _UNAUTHORISED
        scope["principal"] = principal
        if method in READING:
            return None
        if not principal.may_change and path not in _READING_POSTS:
            return _READ_ONLY
        return None if _is_json(headers) else _NOT_JSON

    def _principal(self, headers: Headers) -> Principal | None:
        values = [value for name, value in headers if name == b"authorization"]
        if len(values) != 1 or len(values[0]) > _LONGEST_TOKEN:
            return None
        scheme, _, token = values[0].partition(b" ")
        return self._tokens.principal(token.strip()) if scheme.lower() == b"bearer" else None


def _is_json(headers: Headers) -> bool:
    """A page of another site cannot send this type without asking first, and is never allowed to."""
    kinds = [value.partition(b";")[0].strip().lower() for name, value in headers if name == b"content-type"]
    return kinds == [b"application/json"]
