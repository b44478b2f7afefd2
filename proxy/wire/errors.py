"""Errors in the OpenAI and the Anthropic dialect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "invalid_request_error",
    414: "invalid_request_error",
    415: "invalid_request_error",
    417: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
    501: "not_implemented_error",
    502: "upstream_error",
    503: "service_unavailable_error",
    504: "timeout_error",
}
_ANTHROPIC_TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""https://docs.anthropic.com/en/api/errors"""


class RequestError(Exception):
    """A request that is answered with an error of ours: one sentence, a short code, where it lies."""

    def __init__(self, status: int, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.param = param


def envelope(status: int, code: str | None, message: str, param: str | None = None) -> dict[str, Any]:
    """The body of an OpenAI error, as a value."""
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_body(status: int, code: str | None, message: str, param: str | None = None) -> bytes:
    """The body of an OpenAI error, as JSON."""
    return msgspec.json.encode(envelope(status, code, message, param))


def error_frame(status: int, code: str, message: str) -> bytes:
    """An error inside a stream: one data frame. No `[DONE]` follows it, for the answer is not complete."""
    return b"data: " + error_body(status, code, message) + b"\n\n"


def anthropic_kind(status: int) -> str:
    """The type of an Anthropic error with that status."""
    return _ANTHROPIC_TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")


def anthropic_error_body(
    kind: str, message: str, *, request_id: str | None = None, extra: Mapping[str, Any] | None = None
) -> bytes:
    """The body of an Anthropic error, as JSON. `extra`: further fields of the error object."""
    value: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": message, **(extra or {})}}
    if request_id is not None:
        value["request_id"] = request_id
    return msgspec.json.encode(value)


def anthropic_error_frame(kind: str, message: str, *, request_id: str | None = None) -> bytes:
    """An error inside a stream of messages: the event `error`. Nothing follows it."""
    return b"event: error\ndata: " + anthropic_error_body(kind, message, request_id=request_id) + b"\n\n"


@dataclass(frozen=True, slots=True)
class ReportedError:
    """What an upstream's error body says."""

    code: str | None
    message: str | None


def reported_error(value: object) -> ReportedError | None:
    """What `{"error": ...}` (an object, or a bare string) of an upstream says; None when it is no error."""
    if not isinstance(value, dict) or not value.get("error"):
        return None
    error = value["error"]
    if isinstance(error, str):
        return ReportedError(None, error)
    if not isinstance(error, dict):
        return ReportedError(None, None)
    code = next((error[name] for name in ("code", "type") if isinstance(error.get(name), str)), None)
    message = error.get("message")
    return ReportedError(code, message if isinstance(message, str) else None)


def read_error(body: bytes) -> ReportedError | None:
    """Like `reported_error`, from the bytes of an answer."""
    try:
        return reported_error(msgspec.json.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
