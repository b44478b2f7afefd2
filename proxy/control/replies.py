"""JSON answers, and the name of who asks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from proxy.control.context import Control
from proxy.control.tokens import Principal

_NO_STORE = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
SSE_HEADERS = {**_NO_STORE, "Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


def json_reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer in JSON."""
    return Response(
        msgspec.json.encode(body), status, {**_NO_STORE, **(headers or {})}, media_type="application/json"
    )


def control_of(request: Request) -> Control:
    """The gateway that this application is the API of."""
    control = request.app.state.control
    if not isinstance(control, Control):
        raise TypeError("the application was not made by control_app")
    return control


def who(request: Request) -> str:
    """Name of the principal that was let in."""
    principal = request.scope.get("principal")
    return principal.name if isinstance(principal, Principal) else ""
