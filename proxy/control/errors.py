"""Errors of the control API: `{"error": {"code", "message", "where"}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class ApiError(Exception):
    """An answer that says no: status, short code, one sentence, and where the fault lies."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        where: str | None = None,
        further: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.where = where
        self.further = further or {}
        """More keys of the answer, beside `error`."""

    def body(self) -> bytes:
        """The answer's JSON."""
        error = {"code": self.code, "message": self.message, "where": self.where}
        return msgspec.json.encode({"error": error, **self.further})


def bad_request(message: str, where: str | None = None) -> ApiError:
    """400 with a sentence."""
    return ApiError(400, "bad_request", message, where)


def not_found(message: str) -> ApiError:
    """404 with a sentence."""
    return ApiError(404, "not_found", message)
