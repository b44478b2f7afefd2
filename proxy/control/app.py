"""The ASGI application of the control API."""

from __future__ import annotations

import logging
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.control import routes_config, routes_events, routes_state
from proxy.control.context import Control
from proxy.control.door import Door
from proxy.control.errors import ApiError
from proxy.events.errors import StoreError

ROUTES: list[Route] = [*routes_state.ROUTES, *routes_config.ROUTES, *routes_events.ROUTES]
"""Every route; the reference in docs/api.md lists exactly these."""

logger = logging.getLogger(__name__)


def control_app(control: Control) -> Any:
    """The application of one gateway. Nothing gets past its door without a token but the health routes."""
    app = Starlette(
        routes=ROUTES,
        exception_handlers={
            ApiError: _api_error,
            StoreError: _store_error,
            HTTPException: _http_error,
            Exception: _unexpected,
        },
    )
    app.router.redirect_slashes = False
    app.state.control = control
    return Door(_Quiet(app), control.tokens, control.allowed_hosts)


class _Quiet:
    """Starlette raises unexpected errors again after they are answered; they are logged already."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        started = False

        async def sending(message: Any) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            logger.exception("%s %s failed", scope["method"], scope["path"].encode("unicode_escape").decode())
            if started:
                # The head is out: the answer must break off, not look complete.
                raise


def _reply(error: ApiError, headers: dict[str, str] | None = None) -> Response:
    return Response(error.body(), error.status, headers, media_type="application/json")


async def _api_error(_: Request, error: Exception) -> Response:
    return _reply(error) if isinstance(error, ApiError) else await _unexpected(_, error)


async def _store_error(_: Request, error: Exception) -> Response:
    return _reply(ApiError(503, "store", str(error)))


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    if status == 404:
        return _reply(ApiError(404, "not_found", "there is no such route; docs/api.md lists them"))
    if status == 405:
        allowed = headers.get("Allow", "")
        return _reply(ApiError(405, "method_not_allowed", f"this route takes {allowed}"), headers)
    return _reply(ApiError(status, "bad_request", "the request cannot be understood"), headers)


async def _unexpected(_: Request, error: Exception) -> Response:
    return _reply(
        ApiError(500, "internal", f"the gateway failed on this ({type(error).__name__}); its log says more")
    )
