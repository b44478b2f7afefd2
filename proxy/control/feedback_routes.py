"""Judgements of answers, given by people and evaluators."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.base.times import rfc3339
from proxy.control.auth import caller
from proxy.control.hub import Hub
from proxy.control.problems import ApiError, json_body, json_response
from proxy.events.errors import StoreError
from proxy.events.feedback import COMMENT_LIMIT, LABEL_LIMIT, Feedback

KEY_LIMIT = 200
"""Longest Idempotency-Key, in characters."""
_SAID = ("score", "label", "comment")


def feedback_json(feedback: Feedback) -> dict[str, Any]:
    """`feedback` as the API shows it."""
    return {
        "id": feedback.id,
        "event_id": feedback.event_id,
        "score": feedback.score,
        "label": feedback.label,
        "comment": feedback.comment,
        "who": feedback.who,
        "given": rfc3339(feedback.given_ms),
    }


class FeedbackRoutes:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/v1/events/{id}/feedback", self.of_event, methods=["POST"]),
            Route("/v1/feedback", self.by_id, methods=["POST"]),
        ]

    async def of_event(self, request: Request) -> Response:
        """What is said of the event in the path."""
        return await self._keep(request, await json_body(request), request.path_params["id"], ())

    async def by_id(self, request: Request) -> Response:
        """What is said of the event that the body names: by `event_id` or `request_id`, which are the same."""
        body = await json_body(request)
        names = [name for name in ("event_id", "request_id") if name in body]
        if len(names) != 1 or not isinstance(body[names[0]], str):
            raise ApiError(400, "bad_field", "name the event by event_id or request_id, a text", "event_id")
        return await self._keep(request, body, body[names[0]], tuple(names))

    async def _keep(
        self, request: Request, body: Mapping[str, Any], event_id: str, names: tuple[str, ...]
    ) -> Response:
        for name in body:
            if name not in (*_SAID, *names):
                raise ApiError(400, "bad_field", f"unknown field; known are {', '.join(_SAID)}", name)
        given = Feedback(
            event_id,
            self._hub.clock_ms(),
            caller(request).name,
            _score(body.get("score")),
            _text(body, "label", LABEL_LIMIT),
            _text(body, "comment", COMMENT_LIMIT),
            idempotency_key(request),
        )
        if given.score is None and given.label is None and given.comment is None:
            raise ApiError(400, "bad_field", "say something: score (0 to 1), label or comment", "score")
        try:
            kept = await self._hub.store.give_feedback(given)
        except StoreError as error:
            raise ApiError(503, "store", str(error)) from None
        if kept is None:
            raise ApiError(404, "not_found", "there is no event of that id", "id")
        if not kept.feedback.says_as(given):
            raise ApiError(
                409, "conflict", "this Idempotency-Key was used for other feedback", "idempotency-key"
            )
        return json_response(feedback_json(kept.feedback), 201 if kept.is_new else 200)


def _score(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise ApiError(400, "bad_field", "score must be a number from 0 (bad) to 1 (good)", "score")
    return float(value)


def _text(body: Mapping[str, Any], name: str, limit: int) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 1 <= len(value) <= limit or "\x00" in value:
        raise ApiError(400, "bad_field", f"{name} must be a text of 1 to {limit:,} characters", name)
    return value


def idempotency_key(request: Request) -> str:
    """The request's Idempotency-Key. Raises ApiError (428)."""
    key = request.headers.get("idempotency-key", "")
    if not 1 <= len(key) <= KEY_LIMIT:
        raise ApiError(
            428,
            "no_key",
            f"send Idempotency-Key: a text of your own, at most {KEY_LIMIT} characters, the same when you repeat it",
            "idempotency-key",
        )
    return key
