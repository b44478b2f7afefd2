"""Errors of the control API: `{"error": {"code", "message", "where"}}`."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from proxy.base.sanitise import sanitise
from proxy.control.status import errors_first
from proxy.policy.diagnostics import Diagnostic

MAX_BODY = 4 << 20


class ApiError(Exception):
    """Ends a request with `status` and one sentence."""

    def __init__(self, status: int, code: str, message: str, where: str | None = None, **extra: Any) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.where = where
        self.extra = extra

    def response(self) -> Response:
        """The answer."""
        error = {"code": self.code, "message": sanitise(self.message, 500), "where": self.where}
        return json_response({"error": error, **self.extra}, self.status)


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """`body` as JSON that no cache keeps."""
    return Response(
        msgspec.json.encode(body),
        status,
        {"Cache-Control": "no-store", **(headers or {})},
        media_type="application/json",
    )


async def json_body(request: Request) -> dict[str, Any]:
    """The request's JSON object. ApiError when it is none, too large, or not declared as JSON."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json":
        raise ApiError(
            415, "not_json", "send a JSON object with Content-Type: application/json", "content-type"
        )
    if request.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise ApiError(415, "not_json", "send the body plain: it is not inflated here", "content-encoding")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise ApiError(413, "too_large", "the body is larger than 4 MiB", "body")
        parts.append(part)
    try:
        body = msgspec.json.decode(b"".join(parts))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "bad_json", f"the body is not JSON: {error}", "body") from None
    if not isinstance(body, dict):
        raise ApiError(400, "bad_json", "the body must be a JSON object", "body")
    return body


def refused_by_lint(diagnostics: tuple[Diagnostic, ...]) -> ApiError:
    """The answer (422) to a text with errors, which it lists."""
    found = errors_first(diagnostics)
    first = found[0]
    place = f"line {first['line']}, column {first['column']}"
    message = f"the text has errors and was not applied; {place}: {first['message']}"
    return ApiError(422, "lint", message, first["path"], diagnostics=found)


def text_field(body: dict[str, Any], name: str, default: str | None = None) -> str:
    """A text of the body. ApiError when it is missing (and there is no default) or not text."""
    value = body.get(name, default)
    if not isinstance(value, str):
        raise ApiError(400, "bad_field", f"{name} must be a text", name)
    return value
