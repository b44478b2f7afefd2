"""The bodies of one request. They hold what people wrote, so reading them takes an operator's token."""

from __future__ import annotations

import base64
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.base.times import rfc3339
from proxy.control.auth import caller
from proxy.control.hub import Hub
from proxy.control.problems import ApiError, json_response
from proxy.events.bodies import FoundBodies
from proxy.events.errors import StoreError
from proxy.events.event import Body


def body_json(body: Body | None) -> dict[str, Any] | None:
    """One side as the API shows it: `text` where it is Unicode (but for a character cut in two), else `base64`."""
    if body is None:
        return None
    text = _text(body)
    shown = {"base64": base64.b64encode(body.data).decode()} if text is None else {"text": text}
    return {
        **shown,
        "bytes": body.size,
        "truncated": body.truncated,
        "content_type": body.content_type,
    }


def _text(body: Body) -> str | None:
    try:
        return body.data.decode()
    except UnicodeDecodeError as error:
        if body.truncated and error.start >= len(body.data) - 3:
            return body.data[: error.start].decode()
        return None


def bodies_json(found: FoundBodies) -> dict[str, Any]:
    """Both sides. Raises ApiError (404) that says why there is neither."""
    if found.bodies is None:
        raise ApiError(404, "no_bodies", why_none(found), "id")
    return {"request": body_json(found.bodies.request), "response": body_json(found.bodies.response)}


def why_none(found: FoundBodies) -> str:
    """Why an event has no bodies, in one sentence."""
    when = f" on {rfc3339(found.gone_ms)}" if found.gone_ms is not None else ""
    match found.gone:
        case "purged":
            return f"the bodies of this request were purged{when}"
        case "age":
            return (
                f"the bodies of this request were as old as bodies get, and went{when} (events.bodies.keep)"
            )
        case "size":
            return f"the bodies of this request made room for newer ones{when}"
        case None:
            return "no bodies were kept of this request; events: {bodies: true} in the policy file keeps those to come"


class BodyRoutes:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """All of them."""
        return [Route("/v1/events/{id}/body", self.body, methods=["GET"])]

    async def body(self, request: Request) -> Response:
        """What was asked and answered, word for word, as far as it was kept. Needs an operator's token."""
        if caller(request).role != "operator":
            message = "this token may read events, but not what people wrote in them: bodies take an operator's token"
            raise ApiError(403, "operators_only", message, "authorization")
        try:
            found = await self._hub.store.bodies_of(request.path_params["id"])
        except StoreError as error:
            raise ApiError(503, "store", str(error)) from None
        if found is None:
            raise ApiError(404, "not_found", "there is no event of that id", "id")
        return json_response(bodies_json(found))
