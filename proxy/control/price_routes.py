"""What models cost, which have no price, and costs of recorded requests at prices that came later."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.base.money import to_decimal_string
from proxy.base.sanitise import sanitise
from proxy.base.times import parse_moment
from proxy.control.body_fields import condition, flag, moment, only
from proxy.control.feedback_routes import idempotency_key
from proxy.control.hub import Hub
from proxy.control.once import Once
from proxy.control.problems import ApiError, json_body, json_response
from proxy.events.repricing import Repriced, Repricing

WITHIN_S = 5.0
"""How long one call works at most; one that did not get through says from where to go on."""
_FIELDS = ("since", "until", "filter", "all", "after_seq", "dry_run")


class PriceRoutes:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._once: Once[Repriced] = Once("repricing")

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/v1/prices", self.prices, methods=["GET"]),
            Route("/v1/prices/reprice", self.reprice, methods=["POST"]),
        ]

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

    async def reprice(self, request: Request) -> Response:
        """Price recorded requests at what runs now for a few seconds, the oldest first; with `dry_run`, only tell."""
        body = await json_body(request)
        repricing, dry_run = read_repricing(body, self._hub.clock_ms()), flag(body, "dry_run")
        prices = self._hub.data_plane.late_prices()
        if prices is None:
            raise ApiError(409, "conflict", "no policy version runs, so there are no prices")

        def work() -> Awaitable[Repriced]:
            return self._hub.store.reprice(repricing, prices, WITHIN_S, dry_run=dry_run)

        done = await (work() if dry_run else self._once.run(idempotency_key(request), body, work))
        return json_response(repriced_json(done))


def read_repricing(body: Mapping[str, Any], now_ms: int) -> Repricing:
    """Which requests are to be priced. Raises ApiError (400)."""
    only(body, _FIELDS)
    after = body.get("after_seq", 0)
    if isinstance(after, bool) or not isinstance(after, int) or not 0 <= after < 2**63:
        raise ApiError(400, "bad_field", "after_seq must be the next_seq of an earlier answer", "after_seq")
    return Repricing(
        since_ms=moment(body, "since", now_ms),
        until_ms=moment(body, "until", now_ms),
        where=condition(body, now_ms),
        every=flag(body, "all"),
        after_seq=after,
    )


def repriced_json(done: Repriced) -> dict[str, Any]:
    """What a call did, or would do; dollars as decimal strings."""
    return {
        "changed": done.changed,
        "before": to_decimal_string(done.before),
        "after": to_decimal_string(done.after),
        "unpriced": done.unpriced,
        "unclear": done.unclear,
        "next_seq": done.next_seq,
    }
