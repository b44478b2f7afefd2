"""What models cost, and which have no price."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.base.sanitise import sanitise
from proxy.base.times import parse_moment
from proxy.control.hub import Hub
from proxy.control.problems import ApiError, json_response


class PriceRoutes:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """All of them."""
        return [Route("/v1/prices", self.prices, methods=["GET"])]

    async def prices(self, request: Request) -> Response:
        """Prices of the models that are served by name, and the requests since `since` that have no cost."""
        since = request.query_params.get("since", "24h")
        try:
            since_ms = parse_moment(since, self._hub.clock_ms())
        except (ValueError, OverflowError) as error:
            raise ApiError(400, "bad_parameter", f"since: {error}", "since") from None
        unpriced = await self._hub.store.unpriced(since_ms)
        return json_response(
            {
                "prices": [item.to_json() for item in self._hub.data_plane.prices()],
                "unpriced": [
                    {"target": sanitise(target, 128), "model": sanitise(model, 256), "requests": requests}
                    for target, model, requests in unpriced
                ],
            }
        )
