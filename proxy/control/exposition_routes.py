"""`GET /metrics`: what Prometheus scrapes."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.control.auth import AT_HEADER
from proxy.control.exposition import figures, render
from proxy.control.hub import Hub
from proxy.control.moment import moment_of
from proxy.control.problems import ApiError
from proxy.events.errors import StoreError

_LONGEST_ACCEPT = 1_000


class ExpositionRoutes:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """All of them."""
        return [Route("/metrics", self.metrics, methods=["GET"])]

    async def metrics(self, request: Request) -> Response:
        """Counters, gauges and histograms in Prometheus' text format, or OpenMetrics."""
        if moment_of(request, self._hub) is not None:
            message = "counters are of now; /v1/metrics/summary answers for an earlier moment"
            raise ApiError(400, "bad_parameter", message, AT_HEADER)
        try:
            found = await figures(self._hub)
        except StoreError as error:
            raise ApiError(503, "store", str(error)) from None
        # Thousands of lines take a while to write; requests are answered meanwhile.
        text, kind = await asyncio.to_thread(
            render, found, request.headers.get("accept", "")[:_LONGEST_ACCEPT]
        )
        return Response(text, headers={"Cache-Control": "no-store", "Content-Type": kind})
