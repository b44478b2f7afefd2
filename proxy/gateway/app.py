"""The data plane as an ASGI application: routes, and the life of one request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from proxy.events.event import Outcome
from proxy.gateway import listing
from proxy.gateway.admission import (
    ClientGoneError,
    Receive,
    check_key_allows,
    facts_of,
    find_key,
    read_body,
)
from proxy.gateway.compressed import plain_body
from proxy.gateway.conversation import ClientWatch, Conversation, Send, leftover, send_error, send_json
from proxy.gateway.dispatch import dispatch
from proxy.gateway.exchange import Exchange
from proxy.gateway.guard import check_browser
from proxy.gateway.outbound import came_from_here
from proxy.gateway.passing import PassThrough, target_of
from proxy.gateway.presence import EXTENSION
from proxy.gateway.reading import check_content_type, header_text, read_inference
from proxy.gateway.recorder import RefusalSampler, record
from proxy.gateway.relay import Relay
from proxy.gateway.routes import COUNT_TOKENS, Place, find_place, normalised, passing_target
from proxy.gateway.runtime import Runtime
from proxy.policy.facts import Decision
from proxy.upstream.targets import Target
from proxy.wire.chat import ParsedRequest
from proxy.wire.errors import RequestError

_LOG = logging.getLogger("proxy.gateway")
_LOG.addHandler(logging.NullHandler())

Scope = MutableMapping[str, Any]

_SAMPLED = frozenset({401, 404, 405, 429})
_BLOCKING = frozenset(
    {"invalid_api_key", "model_not_allowed", "policy_blocked", "host_not_allowed", "origin_not_allowed"}
)
_RETRY_AFTER = b"1"
_NOWHERE = Place("")


class DataPlane:
    """What clients speak to. One instance for each runtime; all state is there."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.sampler = RefusalSampler()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        path = normalised(scope["path"])
        if path in listing.LIVE or path == listing.READY:
            await self._health(path, scope["method"], send)
            return
        place = find_place(path) or _NOWHERE
        endpoint, snapshot = place.endpoint, self.runtime.snapshot
        exchange = Exchange(
            endpoint or place.dialect_endpoint,
            scope["headers"],
            path=place.below or "chat/completions",
            snapshot=snapshot,
        )
        if endpoint is not None and (scope["method"] == "POST" or not self._passes(place)):
            # Counting tokens generates nothing: it is routed like a request, but it is none.
            exchange.recorded = place.below == COUNT_TOKENS
            exchange.keep_bodies()
            work = partial(self._inference, exchange, place, scope, receive)
            await self._serve(exchange, work, scope, receive, send)
            return
        exchange.recorded = True
        target = self._target(exchange, place, scope["method"])
        if target is None:
            await self._listing(exchange, place, scope["method"], send)
        else:
            work = partial(self._hand_on, exchange, place, target, scope, receive)
            await self._serve(exchange, work, scope, receive, send)

    # Routes without a model.

    async def _health(self, path: str, method: str, send: Send) -> None:
        try:
            status, body = listing.health(self.runtime, path, method)
        except RequestError as error:
            await send_error(send, None, error, [(b"allow", b"GET, HEAD")])
            return
        await send_json(send, status, body, [])

    async def _listing(self, exchange: Exchange, place: Place, method: str, send: Send) -> None:
        """The models, and every path that is not served."""
        try:
            self._admit(exchange)
            body = listing.models(self.runtime, place.below, method, exchange.client_key)
        except RequestError as error:
            await send_error(send, exchange, error, exchange.minted_headers())
            return
        await send_json(send, 200, body, exchange.minted_headers())

    def _passes(self, place: Place) -> bool:
        snapshot = self.runtime.snapshot
        return snapshot is not None and passing_target(snapshot.routes.targets, place.below) is not None

    def _target(self, exchange: Exchange, place: Place, method: str) -> Target | None:
        """Who answers a request without a model; None: the gateway itself. Its own models come first."""
        own = place.below == "models" or place.below.startswith("models/")
        if not place.below or (own and method in ("GET", "HEAD")):
            return None
        return target_of(self.runtime, exchange, place)

    async def _hand_on(
        self,
        exchange: Exchange,
        place: Place,
        target: Target,
        scope: Scope,
        receive: Receive,
        conversation: Conversation,
        watch: ClientWatch,
    ) -> None:
        runtime = self.runtime
        self._check_room()
        self._admit(exchange)
        body = await read_body(receive, runtime.max_body, runtime.body_s)
        exchange.body_read = True
        body = await plain_body(exchange.headers, body, runtime.max_body)
        exchange.content_type = header_text(exchange.headers, b"content-type") or "application/octet-stream"
        watch.start(drains=False)
        passing = PassThrough(runtime, exchange, target)
        await passing.run(place.below, scope, body, conversation.send, watch.finish)

    # Routes with a model.

    async def _inference(
        self,
        exchange: Exchange,
        place: Place,
        scope: Scope,
        receive: Receive,
        conversation: Conversation,
        watch: ClientWatch,
    ) -> None:
        runtime = self.runtime
        body = await self._accept(exchange, scope["method"], receive)
        try:
            parsed = exchange.parsed = read_inference(exchange, place.deployment, body)
        except RequestError as error:
            target = self._without_model(exchange, place, error)
            if target is None:
                raise
            exchange.recorded = True
            watch.start(drains=False)
            passing = PassThrough(runtime, exchange, target)
            await passing.run(place.below, scope, body, conversation.send, watch.finish)
            return
        watch.start(drains=exchange.snapshot is not None and exchange.snapshot.on_disconnect == "drain")
        decision = self._decide(exchange, parsed)
        sent = await dispatch(runtime, exchange, parsed, decision)
        await Relay(runtime, exchange, sent, conversation.send, watch.finish).run()

    async def _serve(
        self,
        exchange: Exchange,
        work: Callable[[Conversation, ClientWatch], Awaitable[None]],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Do `work` for one client; however it ends, the client is told and the request recorded once."""
        runtime = self.runtime
        runtime.in_flight += 1
        conversation = Conversation(exchange, send)
        watch = ClientWatch(exchange, scope["extensions"][EXTENSION])
        try:
            async with asyncio.timeout(runtime.total_s):
                await work(conversation, watch)
        except RequestError as error:
            watch.finish()
            await self._refuse(exchange, conversation, receive, error)
        except ClientGoneError:
            record(runtime, exchange, 499, "client_cancelled", "client_cancelled")
        except TimeoutError:
            watch.finish()
            message = f"the answer took longer than {runtime.total_s:g} s"
            await self._cut_short(exchange, conversation, RequestError(504, "request_timeout", message))
        except asyncio.CancelledError:
            await self._cancelled(exchange, conversation)
        except Exception:  # noqa: BLE001 - one request fails, is recorded and says so; the listener goes on
            _LOG.exception("request %s failed", exchange.id)
            watch.finish()
            fault = RequestError(
                500, "internal_error", "the gateway failed on this request; its log says why"
            )
            await self._refuse(exchange, conversation, receive, fault)
        finally:
            watch.stop()
            runtime.in_flight -= 1

    def _check_room(self) -> None:
        """Raises RequestError (503)."""
        limit = self.runtime.max_in_flight
        if self.runtime.in_flight > limit:
            raise RequestError(503, "overloaded", f"{limit} requests are under way; try again")

    def _admit(self, exchange: Exchange) -> None:
        """Raises RequestError (403, 401, 508)."""
        snapshot = exchange.snapshot
        allowed = self.runtime.own_hosts | (snapshot.allow_hosts if snapshot is not None else frozenset())
        found = find_key(self.runtime, snapshot, exchange.headers)
        if found is not None:
            exchange.client_key, exchange.key_header = found
        else:
            # Without keys, being on this machine is all it takes; a web page must not be able to borrow that.
            refusal = check_browser(exchange.headers, allowed)
            if refusal is not None:
                raise RequestError(refusal.status, refusal.code, refusal.message)
        if came_from_here(exchange.headers, self.runtime.instance):
            message = "this request came from this gateway: a target's base_url leads back to it"
            raise RequestError(508, "loop_detected", message)

    def _without_model(self, exchange: Exchange, place: Place, error: RequestError) -> Target | None:
        """Who takes a request that names no model: a response may be made from a template of the vendor's."""
        key, snapshot = exchange.client_key, exchange.snapshot
        if place.endpoint != "responses" or error.code != "missing_model" or snapshot is None:
            return None
        if key is not None and key.allowed_models is not None:
            return None  # its holder may not ask for just any model
        return passing_target(snapshot.routes.targets, place.below)

    async def _accept(self, exchange: Exchange, method: str, receive: Receive) -> bytes:
        """Who asks, is there room, the body. Raises RequestError and ClientGoneError."""
        runtime = self.runtime
        self._check_room()
        if method != "POST":
            raise RequestError(405, "method_not_allowed", "this path is used with POST")
        self._admit(exchange)
        if exchange.snapshot is None:
            raise RequestError(503, "no_policy", "the gateway runs no policy yet")
        check_content_type(exchange)
        body = await read_body(receive, runtime.max_body, runtime.body_s)
        exchange.body_read = True
        body = await plain_body(exchange.headers, body, runtime.max_body)
        if exchange.asked is not None:
            exchange.asked.content_type = header_text(exchange.headers, b"content-type")
            exchange.asked.add(body)
        return body

    def _decide(self, exchange: Exchange, parsed: ParsedRequest) -> Decision:
        """Raises RequestError (403) for a refused request."""
        snapshot = exchange.snapshot
        if snapshot is None:
            raise RequestError(503, "no_policy", "the gateway runs no policy yet")
        check_key_allows(exchange.client_key, parsed.model)
        exchange.facts = facts_of(exchange, snapshot)
        decision = exchange.decision = snapshot.plan.decide(exchange.facts)
        if decision.refusal is not None:
            refusal = decision.refusal
            raise RequestError(403, "policy_blocked", f"refused: {refusal.message}")
        return decision

    async def _refuse(
        self, exchange: Exchange, conversation: Conversation, receive: Receive, error: RequestError
    ) -> None:
        """Record and answer an error of ours."""
        if error.status in _SAMPLED and not self.sampler.admit(error.code):
            exchange.recorded = True
        outcome: Outcome = "blocked" if error.code in _BLOCKING else "error"
        conversation.note_failure(error)
        record(self.runtime, exchange, error.status, outcome, error.code, error.message)
        extra = exchange.minted_headers()
        if error.code == "overloaded":
            extra.append((b"retry-after", _RETRY_AFTER))
        if error.status == 405:
            extra.append((b"allow", b"POST"))
        if error.code == "body_timeout":
            extra.append((b"connection", b"close"))
        elif not exchange.body_read:
            extra += await leftover(exchange, receive)
        await conversation.fail(error, extra)

    async def _cancelled(self, exchange: Exchange, conversation: Conversation) -> None:
        """The client left, or the gateway stops."""
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        if exchange.client_left:
            record(self.runtime, exchange, 499, "client_cancelled", "client_cancelled")
            return
        message = "the gateway stopped before the answer was complete"
        await self._cut_short(exchange, conversation, RequestError(503, "gateway_stopped", message))

    async def _cut_short(self, exchange: Exchange, conversation: Conversation, error: RequestError) -> None:
        """An answer of which nothing more comes, whether it began or not."""
        conversation.note_failure(error)
        if conversation.started:
            record(self.runtime, exchange, 200, "truncated", error.code, error.message)
        else:
            record(self.runtime, exchange, error.status, "error", error.code, error.message)
        await conversation.fail(error, exchange.minted_headers())
