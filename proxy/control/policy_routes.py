"""What a policy text means: lint, difference, impact on recorded requests, and why a request went where it went."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.base.times import parse_moment
from proxy.base.worker import WorkerError
from proxy.control.explain_jobs import (
    RequestWanted,
    explain_event,
    explain_recorded,
    explain_under_draft,
    explain_under_plan,
    facts_of_body,
    version_line,
)
from proxy.control.hub import Hub
from proxy.control.jobs import (
    SHOW_KINDS,
    DraftError,
    ImpactWanted,
    Show,
    diff_json,
    impact,
    lint_json,
    lint_text,
    portable,
)
from proxy.control.problems import ApiError, json_body, json_response, refused_by_lint, text_field
from proxy.events.errors import StoreError
from proxy.events.recorded_requests import request_of
from proxy.policy.facts import Endpoint
from proxy.policy.lint import Surroundings
from proxy.wire.errors import RequestError

_LONG_LINES = 300
"""From here on lint and diff cost more than the loop may be held for."""
_MOST_REPLAYED = 100_000
_MOST_SHOWN = 1_000


class PolicyRoutes:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/v1/policy/lint", self.lint, methods=["POST"]),
            Route("/v1/policy/diff", self.diff, methods=["POST"]),
            Route("/v1/policy/impact", self.impact, methods=["POST"]),
            Route("/v1/policy/explain", self.explain, methods=["POST"]),
            Route("/v1/events/{id}/explain", self.explain_one, methods=["GET"]),
        ]

    async def lint(self, request: Request) -> Response:
        """What is wrong with a text; nothing is applied."""
        text = text_field(await json_body(request), "text")
        if _long(text):
            return json_response(await self._work(lint_text, text, self._surroundings()))
        result = await asyncio.to_thread(self._hub.config.lint, text)
        return json_response(lint_json(result))

    async def diff(self, request: Request) -> Response:
        """What differs between two texts, in lines and in values."""
        body = await json_body(request)
        a, b = text_field(body, "a"), text_field(body, "b")
        if _long(a) or _long(b):
            return json_response(await self._work(diff_json, a, b))
        return json_response(await asyncio.to_thread(diff_json, a, b))

    async def impact(self, request: Request) -> Response:
        """A draft replayed over recorded requests; nothing is applied."""
        wanted = _impact_wanted(await json_body(request), self._hub.clock_ms())
        store = self._hub.state_dir / "events.db"
        return json_response(await self._work(impact, store, wanted, self._surroundings()))

    async def explain(self, request: Request) -> Response:
        """Why a recorded request went where it went, or what would become of one that was not sent."""
        body = await json_body(request)
        _only(body, {"event", "request", "endpoint", "headers", "key", "text"})
        if "event" in body:
            return json_response(await self._explained(text_field(body, "event")))
        try:
            facts = facts_of_body(_request_wanted(body))
        except RequestError as error:
            raise ApiError(400, "bad_request", error.message, "request") from None
        if body.get("text") is not None:
            text = text_field(body, "text")
            return json_response(await self._work(explain_under_draft, text, facts, self._surroundings()))
        running = self._hub.config.running
        if running is None:
            raise ApiError(409, "no_policy", "no policy runs; send a text to explain it under")
        version = version_line(running.number, running.hash, running.applied_at_ms)
        return json_response(explain_under_plan(running.plan, facts, version))

    async def explain_one(self, request: Request) -> Response:
        """Why a recorded request went where it went, under the version that ran."""
        return json_response(await self._explained(request.path_params["id"]))

    async def _explained(self, event_id: str) -> dict[str, Any]:
        running = self._hub.config.running
        try:
            event = await self._hub.store.get(event_id)
        except StoreError as error:
            raise ApiError(503, "store", str(error)) from None
        if event is None:
            raise ApiError(404, "not_found", "there is no event of that id", "id")
        if running is not None and event.config_version == running.hash and event.facts:
            version = version_line(running.number, running.hash, running.applied_at_ms)
            return explain_recorded(running.plan, request_of(event), version)
        answer: dict[str, Any] = await self._work(explain_event, self._hub.state_dir, event_id)
        return answer

    def _surroundings(self) -> Surroundings:
        return portable(self._hub.config.surroundings())

    async def _work(self, job: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await self._hub.worker.run(job, *arguments)
        except DraftError as error:
            raise refused_by_lint(error.diagnostics) from None
        except StoreError as error:
            raise ApiError(503, "store", str(error)) from None
        except WorkerError as error:
            raise ApiError(503, "worker", str(error)) from None


def _long(text: str) -> bool:
    return text.count("\n") > _LONG_LINES


def _impact_wanted(body: Mapping[str, Any], now: int) -> ImpactWanted:
    _only(body, {"text", "last", "since", "show", "limit"})
    return ImpactWanted(
        text=text_field(dict(body), "text"),
        last=_whole(body, "last", 10_000, 1, _MOST_REPLAYED),
        since_ms=_since(body.get("since"), now),
        show=_show(body.get("show")),
        limit=_whole(body, "limit", 100, 0, _MOST_SHOWN),
    )


def _since(value: object, now: int) -> int | None:
    if value is None:
        return None
    try:
        return parse_moment(value if isinstance(value, str) else "", now)
    except (ValueError, OverflowError) as error:
        raise ApiError(400, "bad_field", f"since: {error}", "since") from None


def _show(value: object) -> Show:
    if value is None:
        return Show()
    if not isinstance(value, Mapping) or value.get("kind") not in SHOW_KINDS:
        kinds = ", ".join(SHOW_KINDS)
        raise ApiError(400, "bad_field", f"show must be null or name a kind: {kinds}", "show")
    _only(value, {"kind", "index", "name"}, "show.")
    index, name = value.get("index", 0), value.get("name", "")
    if isinstance(index, bool) or not isinstance(index, int) or index < 0:
        raise ApiError(400, "bad_field", "show.index must be a whole number of 0 or more", "show.index")
    if not isinstance(name, str):
        raise ApiError(400, "bad_field", "show.name must be a text", "show.name")
    return Show(value["kind"], index, name)


def _request_wanted(body: Mapping[str, Any]) -> RequestWanted:
    wanted, headers = body.get("request"), body.get("headers") or {}
    endpoint, key = body.get("endpoint", "chat"), body.get("key")
    if not isinstance(wanted, dict):
        raise ApiError(
            400, "bad_field", "send event (an id) or request (a body as a client sends it)", "request"
        )
    if endpoint not in get_args(Endpoint):
        raise ApiError(
            400, "bad_field", f"endpoint must be one of {', '.join(get_args(Endpoint))}", "endpoint"
        )
    if not isinstance(headers, dict) or not all(isinstance(value, str) for value in headers.values()):
        raise ApiError(400, "bad_field", "headers must map names to texts", "headers")
    if key is not None and not isinstance(key, str):
        raise ApiError(400, "bad_field", "key must be the name of a client key", "key")
    return RequestWanted(wanted, cast(Endpoint, endpoint), headers, key)


def _whole(body: Mapping[str, Any], name: str, default: int, least: int, most: int) -> int:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ApiError(400, "bad_field", f"{name} must be a whole number from {least} to {most}", name)
    return value


def _only(body: Mapping[str, Any], known: set[str], prefix: str = "") -> None:
    unknown = sorted(body.keys() - known)
    if unknown:
        raise ApiError(400, "bad_field", f"unknown field {prefix}{unknown[0]}", f"{prefix}{unknown[0]}")
