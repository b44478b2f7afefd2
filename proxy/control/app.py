"""The control API as one ASGI application."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy.control.auth import Guard, Token
from proxy.control.body_routes import BodyRoutes
from proxy.control.config_routes import ConfigRoutes
from proxy.control.cost_routes import CostRoutes
from proxy.control.event_routes import EventRoutes
from proxy.control.exposition_routes import ExpositionRoutes
from proxy.control.feedback_routes import FeedbackRoutes
from proxy.control.hub import Hub
from proxy.control.metrics_routes import MetricsRoutes
from proxy.control.moment import moment_of
from proxy.control.openapi import document
from proxy.control.past import past_of
from proxy.control.policy_routes import PolicyRoutes
from proxy.control.price_routes import PriceRoutes
from proxy.control.problems import ApiError, json_response
from proxy.control.purge_routes import PurgeRoutes
from proxy.control.screen_stream import ScreenStream
from proxy.control.search_routes import SearchRoutes
from proxy.control.status import status, status_then, targets
from proxy.events.errors import StoreError


def routes(hub: Hub) -> list[Route]:
    """Every route there is."""

    async def healthz(request: Request) -> Response:
        """200 while the process answers."""
        return json_response({"status": "ok"})

    async def readyz(request: Request) -> Response:
        """200 when requests can be served, else 503."""
        ready = hub.info.state == "serving"
        return json_response({"status": "ready" if ready else "not ready"}, 200 if ready else 503)

    async def get_status(request: Request) -> Response:
        """The whole state of the gateway."""
        at = moment_of(request, hub)
        return json_response(status(hub) if at is None else status_then(hub, await past_of(hub, at)))

    async def get_targets(request: Request) -> Response:
        """Targets, and whether each can be used."""
        return json_response({"targets": targets(hub)})

    async def get_models(request: Request) -> Response:
        """The names a client may ask for."""
        return json_response({"models": list(hub.data_plane.models())})

    async def openapi(request: Request) -> Response:
        """This API, described to machines."""
        return json_response(document(table, hub.info.version))

    table = [
        Route("/healthz", healthz, methods=["GET"]),
        Route("/readyz", readyz, methods=["GET"]),
        Route("/v1/status", get_status, methods=["GET"]),
        Route("/v1/targets", get_targets, methods=["GET"]),
        Route("/v1/models", get_models, methods=["GET"]),
        *ExpositionRoutes(hub).routes(),
        *MetricsRoutes(hub).routes(),
        Route("/v1/stream", ScreenStream(hub).__call__, methods=["GET"]),
        *ConfigRoutes(hub).routes(),
        *SearchRoutes(hub).routes(),
        *EventRoutes(hub).routes(),
        *BodyRoutes(hub).routes(),
        *PurgeRoutes(hub).routes(),
        *FeedbackRoutes(hub).routes(),
        *PolicyRoutes(hub).routes(),
        *PriceRoutes(hub).routes(),
        *CostRoutes(hub).routes(),
        Route("/v1/openapi.json", openapi, methods=["GET"]),
    ]
    return table


async def _api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _store_error(request: Request, error: Exception) -> Response:
    return ApiError(503, "store", str(error)).response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
    message = f"{request.method} {request.url.path} is not a route of the control API"
    return ApiError(error.status_code, code, message).response()


async def _fault(request: Request, error: Exception) -> Response:
    return ApiError(500, "internal", "the gateway met a fault of its own; its log says more").response()


def control_app(hub: Hub, tokens: tuple[Token, ...], *, off_loopback: bool = False) -> ASGIApp:
    """The application, guarded. `off_loopback`: other machines may address it, by address."""
    app = Starlette(
        routes=routes(hub),
        exception_handlers={
            ApiError: _api_error,
            StoreError: _store_error,
            HTTPException: _http_error,
            Exception: _fault,
        },
    )
    return Guard(app, tokens, off_loopback=off_loopback)
