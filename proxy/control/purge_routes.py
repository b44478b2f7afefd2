"""Deleting events, or only their bodies, on request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.control.body_fields import condition, flag, moment, only
from proxy.control.feedback_routes import idempotency_key
from proxy.control.hub import Hub
from proxy.control.once import Once
from proxy.control.problems import ApiError, json_body, json_response
from proxy.events.errors import StoreError
from proxy.events.purge import Amount, Purge, Purged

WITHIN_S = 5.0
"""How long one call removes at most; one that has not removed all says so and is sent again."""
_FIELDS = ("what", "before", "filter", "dry_run")


def read_purge(body: Mapping[str, Any], now_ms: int) -> Purge:
    """What is to be removed. Raises ApiError (400)."""
    only(body, _FIELDS)
    what = body.get("what")
    if what != "events" and what != "bodies":
        raise ApiError(400, "bad_field", "say what is to go: events or bodies", "what")
    return Purge(what, moment(body, "before", now_ms), condition(body, now_ms))


def purged_json(removed: Amount, more: bool, traces: bool) -> dict[str, Any]:
    """What a call removed, or would remove."""
    return {"events": removed.events, "bodies": removed.bodies, "more": more, "traces": traces}


class PurgeRoutes:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._once: Once[Purged] = Once("purge")

    def routes(self) -> list[Route]:
        """All of them."""
        return [Route("/v1/events/purge", self.purge, methods=["POST"])]

    async def purge(self, request: Request) -> Response:
        """Remove events or their bodies for a few seconds, the oldest first; with `dry_run`, only count them."""
        body = await json_body(request)
        purge = read_purge(body, self._hub.clock_ms())
        dry_run = flag(body, "dry_run")
        try:
            if dry_run:
                return json_response(purged_json(await self._hub.store.count_purge(purge), False, False))
            store = self._hub.store
            purged = await self._once.run(
                idempotency_key(request), body, lambda: store.purge(purge, WITHIN_S)
            )
        except StoreError as error:
            raise ApiError(503, "store", str(error)) from None
        return json_response(purged_json(purged.removed, purged.more, purged.traces))
