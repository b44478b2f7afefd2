"""Simulated vendors: real HTTP servers on loopback that speak OpenAI's wire, and Anthropic's messages."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from random import Random
from types import MappingProxyType
from typing import Any

from aiohttp import web

from ktui.demo import message_form
from ktui.demo.answer import Answer, Form
from ktui.demo.vendors import Course, Fault, VendorProfile, draw_course, weather
from ktui.demo.words import count_tokens, prompt_tokens
from proxy.base.secret import Secret

_FORMS: Mapping[str, Form] = MappingProxyType({"/v1/messages": "message", "/v1/responses": "response"})
_CREATED = 1_747_200_000
_MAX_BODY = 32 * 1024 * 1024


class _RefusedError(Exception):
    """A request the vendor turns down."""

    def __init__(
        self, status: int, type_: str, message: str, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.type, self.headers = status, type_, headers or {}

    def answer(self, *, native: bool = False) -> web.Response:
        error = {"message": str(self), "type": self.type, "param": None, "code": self.type}
        body = message_form.error(self.type, str(self)) if native else {"error": error}
        return web.json_response(body, status=self.status, headers=dict(self.headers))


class SimulatedVendor:
    """One vendor on a port of its own. `pace` 0 answers at once, 1 like the profile; `fault_rate` scales errors."""

    def __init__(
        self,
        profile: VendorProfile,
        *,
        key: Secret,
        seed: int | None = None,
        pace: float = 1.0,
        fault_rate: float = 1.0,
    ) -> None:
        self.profile = profile
        self.url = ""
        self._key = key
        self._random = Random(None if seed is None else f"{seed}:{profile.name}")
        self._pace = pace
        self._fault_rate = fault_rate
        self._served = 0
        self._runner: web.AppRunner | None = None

    async def start(self) -> str:
        """Listen on a free port of loopback; the base address."""
        app = web.Application(client_max_size=_MAX_BODY, middlewares=[self._guard])
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/messages", self._chat)
        app.router.add_post("/v1/responses", self._chat)
        app.router.add_post("/v1/embeddings", self._embeddings)
        app.router.add_get("/v1/models", self._models)
        runner = self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return self.url

    async def stop(self) -> None:
        """Close every connection."""
        if self._runner is not None:
            await self._runner.cleanup()

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self._served += 1
        try:
            given = request.headers.get("x-api-key") or request.headers.get("Authorization") or ""
            given = given.removeprefix("Bearer ")
            if not self._key.matches(given.encode()):
                raise _RefusedError(401, "invalid_api_key", "Incorrect API key provided.")
            answer: web.StreamResponse = await handler(request)
        except _RefusedError as error:
            return error.answer(native=_form(request) == "message")
        except web.HTTPNotFound:
            missing = _RefusedError(404, "not_found", f"This simulated vendor has no {request.path}.")
            return missing.answer(native=_form(request) == "message")
        return answer

    # -- routes

    async def _models(self, request: web.Request) -> web.Response:
        names = [*self.profile.models, *self.profile.embeddings]
        data = [
            {"id": name, "object": "model", "created": _CREATED, "owned_by": self.profile.name}
            for name in names
        ]
        return web.json_response({"object": "list", "data": data})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await _json(request)
        messages = _messages(body, "input" if _form(request) == "response" else "messages")
        limit = _limit(body)
        course = self._course(str(body.get("model")), limit)
        if course.fault is not None:
            await self._wait(course.ttft_s)
            raise _fault_answer(course.fault)
        answer = Answer(
            self._served, str(body["model"]), course, limit, prompt_tokens(messages), self._random
        )
        if body.get("stream") is True:
            return await self._stream(
                request, answer, answer.frames(_form(request), usage=_wants_usage(body))
            )
        await self._wait(course.ttft_s + course.gap_s * answer.tokens)
        return web.json_response(answer.whole(_form(request)), headers=_identity(answer))

    async def _stream(
        self, request: web.Request, answer: Answer, frames: Iterator[tuple[bytes, int]]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **_identity(answer)})
        await self._wait(answer.course.ttft_s)
        await response.prepare(request)
        try:
            for frame, tokens in frames:
                await self._wait(answer.course.gap_s * tokens * self._random.uniform(0.6, 1.4))
                await response.write(frame)
        except ConnectionResetError:
            return response  # The client left; there is nobody to tell.
        return response

    async def _embeddings(self, request: web.Request) -> web.Response:
        body = await _json(request)
        model = str(body.get("model"))
        if model not in self.profile.embeddings:
            raise _unknown_model(model)
        given = body.get("input")
        texts = [text for text in (given if isinstance(given, list) else [given]) if isinstance(text, str)]
        if not texts or (isinstance(given, list) and len(texts) != len(given)):
            raise _RefusedError(400, "invalid_request_error", "'input' must be a text or a list of texts.")
        size = body.get("dimensions")
        dimensions = size if isinstance(size, int) and size > 0 else self.profile.embeddings[model]
        packed = body.get("encoding_format") == "base64"
        await self._wait(0.08)
        data = [
            {"object": "embedding", "index": index, "embedding": _embedding(text, dimensions, packed)}
            for index, text in enumerate(texts)
        ]
        tokens = sum(count_tokens(text) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return web.json_response({"object": "list", "data": data, "model": model, "usage": usage})

    # -- parts

    def _course(self, model: str, limit: int | None) -> Course:
        profile = self.profile.models.get(model)
        if profile is None:
            raise _unknown_model(model)
        scaled = replace(
            profile,
            faults=tuple(replace(fault, rate=fault.rate * self._fault_rate) for fault in profile.faults),
        )
        return draw_course(scaled, self._random, limit, weather(self.profile.name, time.monotonic()))

    async def _wait(self, seconds: float) -> None:
        if self._pace > 0:
            await asyncio.sleep(seconds * self._pace)


def _form(request: web.Request) -> Form:
    return _FORMS.get(request.path, "chat")


def _messages(body: Mapping[str, Any], name: str) -> list[Any]:
    given = body.get(name)
    if name == "input" and isinstance(given, str) and given:
        return [{"role": "user", "content": given}]
    if not isinstance(given, list) or not given:
        raise _RefusedError(400, "invalid_request_error", f"'{name}' must be a list with a message in it.")
    return given


async def _json(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise _RefusedError(400, "invalid_request_error", "We could not parse the JSON body of your request.")
    return body


def _limit(body: Mapping[str, Any]) -> int | None:
    found = _first(body.get(name) for name in ("max_completion_tokens", "max_output_tokens", "max_tokens"))
    return max(1, found) if found is not None else None


def _first(values: Iterable[Any]) -> int | None:
    return next((value for value in values if isinstance(value, int) and not isinstance(value, bool)), None)


def _wants_usage(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _identity(answer: Answer) -> dict[str, str]:
    return {"x-request-id": answer.id.replace("chatcmpl-", "req_")}


def _unknown_model(model: str) -> _RefusedError:
    return _RefusedError(404, "model_not_found", f"The model {model!r} does not exist.")


def _fault_answer(fault: Fault) -> _RefusedError:
    headers = {"Retry-After": "1"} if fault.status in (429, 503, 529) else {}
    return _RefusedError(fault.status, fault.type, fault.message, headers)


def _embedding(text: str, dimensions: int, packed: bool) -> list[float] | str:
    """A unit-sized vector that is the same for the same text."""
    random = Random(text)
    scale = dimensions**-0.5
    vector = [random.uniform(-1.7, 1.7) * scale for _ in range(dimensions)]
    if packed:
        return base64.b64encode(struct.pack(f"<{dimensions}f", *vector)).decode()
    return vector
