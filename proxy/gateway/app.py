"""The data plane as an ASGI application: routes, and the life of one request."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import msgspec

from proxy.events.event import Outcome
from proxy.gateway.admission import (
    ClientGoneError,
    Receive,
    check_key_allows,
    facts_of,
    find_key,
    read_body,
)
from proxy.gateway.dispatch import came_from_here, dispatch
from proxy.gateway.exchange import Exchange
from proxy.gateway.guard import check_browser
from proxy.gateway.recorder import RefusalSampler, record
from proxy.gateway.relay import Relay
from proxy.gateway.runtime import NamedKey, Runtime
from proxy.policy.facts import Decision, Endpoint
from proxy.wire.chat import ParsedRequest, read_request
from proxy.wire.errors import RequestError, error_body, error_frame

_LOG = logging.getLogger("proxy.gateway")
_LOG.addHandler(logging.NullHandler())

Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

INFERENCE: Mapping[str, Endpoint] = {
    "/v1/chat/completions": "chat",
    "/v1/completions": "completions",
    "/v1/embeddings": "embeddings",
    "/v1/moderations": "moderations",
}
_LIVE = frozenset({"/", "/health", "/healthz"})
_DRAIN_S = 30.0
"""With `on_disconnect: drain`: how long an answer nobody waits for is still read, for its exact usage."""
_LEFTOVER_BYTES = 1024 * 1024
_LEFTOVER_S = 1.0
_SAMPLED = frozenset({401, 404, 405, 429})
_BLOCKING = frozenset(
    {"invalid_api_key", "model_not_allowed", "policy_blocked", "host_not_allowed", "origin_not_allowed"}
)
_RETRY_AFTER = b"1"


class DataPlane:
    """What clients speak to. One instance for each runtime; all state is there."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.sampler = RefusalSampler()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        path = _normalised(scope["path"])
        endpoint = INFERENCE.get(path)
        if endpoint is not None:
            await self._inference(Exchange(endpoint, scope["headers"]), scope["method"], receive, send)
        elif path in _LIVE or path == "/readyz":
            await self._health(path, scope["method"], send)
        else:
            await self._listing(path, scope, send)

    # Routes without a model.

    async def _health(self, path: str, method: str, send: Send) -> None:
        runtime = self.runtime
        status, word = 200, "ok"
        if path == "/readyz":
            ready = runtime.snapshot is not None and not runtime.draining
            status, word = (200, "ready") if ready else (503, "draining" if runtime.draining else "not ready")
        if method not in ("GET", "HEAD"):
            error = RequestError(405, "method_not_allowed", f"{path} is read with GET")
            await _send_error(send, error, [(b"allow", b"GET, HEAD")])
            return
        await _send_json(send, status, msgspec.json.encode({"status": word}), [])

    async def _listing(self, path: str, scope: Scope, send: Send) -> None:
        """`/v1/models`, and every path that is not served."""
        exchange = Exchange("chat", scope["headers"], snapshot=self.runtime.snapshot)
        try:
            self._admit(exchange)
            body = self._models(path, scope["method"], exchange.client_key)
        except RequestError as error:
            await _send_error(send, error, exchange.minted_headers())
            return
        await _send_json(send, 200, body, exchange.minted_headers())

    def _models(self, path: str, method: str, key: NamedKey | None) -> bytes:
        listing = path == "/v1/models"
        if not listing and not path.startswith("/v1/models/"):
            raise RequestError(404, "unknown_route", "this path is not served by the gateway")
        if method not in ("GET", "HEAD"):
            raise RequestError(405, "method_not_allowed", "models are read with GET")
        snapshot = self.runtime.snapshot
        if snapshot is None:
            raise RequestError(503, "no_policy", "the gateway runs no policy yet")
        if listing:
            entries = [_model_entry(name, owner) for name, owner in snapshot.models if _may_ask(key, name)]
            return msgspec.json.encode({"object": "list", "data": entries})
        wanted = path.removeprefix("/v1/models/")
        served = snapshot.routes.for_model(wanted)
        owner = dict(snapshot.models).get(wanted) or (served[0].provider if served else None)
        if owner is None or not _may_ask(key, wanted):
            message = f"no target of this gateway serves the model {wanted!r}"
            raise RequestError(404, "model_not_found", message, param="model")
        return msgspec.json.encode(_model_entry(wanted, owner))

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

    # Routes with a model.

    async def _inference(self, exchange: Exchange, method: str, receive: Receive, send: Send) -> None:
        runtime = self.runtime
        runtime.in_flight += 1
        exchange.snapshot = runtime.snapshot
        conversation = _Conversation(exchange, send)
        watch = _ClientWatch(exchange, receive)
        try:
            parsed = await self._accept(exchange, method, receive)
            watch.start(drains=exchange.snapshot is not None and exchange.snapshot.on_disconnect == "drain")
            decision = self._decide(exchange, parsed)
            sent = await dispatch(runtime, exchange, parsed, decision)
            await Relay(runtime, exchange, sent, conversation.send, watch.finish).run()
        except RequestError as error:
            watch.finish()
            await self._refuse(exchange, conversation, receive, error)
        except ClientGoneError:
            record(runtime, exchange, 499, "client_cancelled", "client_cancelled")
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

    async def _accept(self, exchange: Exchange, method: str, receive: Receive) -> ParsedRequest:
        """Who asks, is there room, what is asked. Raises RequestError and ClientGoneError."""
        runtime = self.runtime
        if runtime.in_flight > runtime.max_in_flight:
            raise RequestError(
                503, "overloaded", f"{runtime.max_in_flight} requests are under way; try again"
            )
        if method != "POST":
            raise RequestError(405, "method_not_allowed", "this path is used with POST")
        self._admit(exchange)
        if exchange.snapshot is None:
            raise RequestError(503, "no_policy", "the gateway runs no policy yet")
        for name, value in exchange.headers:
            if name == b"content-type" and value[:10].lower() == b"multipart/":
                raise RequestError(415, "unsupported_content_type", "this path takes a JSON body")
        body = await read_body(receive, runtime.max_body, runtime.body_s)
        exchange.body_read = True
        exchange.parsed = read_request(exchange.endpoint, body)
        return exchange.parsed

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
        self, exchange: Exchange, conversation: _Conversation, receive: Receive, error: RequestError
    ) -> None:
        """Record and answer an error of ours."""
        if error.status in _SAMPLED and not self.sampler.admit(error.code):
            exchange.recorded = True
        outcome: Outcome = "blocked" if error.code in _BLOCKING else "error"
        record(self.runtime, exchange, error.status, outcome, error.code, error.message)
        extra = exchange.minted_headers()
        if error.code == "overloaded":
            extra.append((b"retry-after", _RETRY_AFTER))
        if error.status == 405:
            extra.append((b"allow", b"POST"))
        if error.code == "body_timeout":
            extra.append((b"connection", b"close"))
        elif not exchange.body_read:
            extra += await _leftover(exchange, receive)
        await conversation.fail(error, extra)

    async def _cancelled(self, exchange: Exchange, conversation: _Conversation) -> None:
        """The client left, or the gateway stops."""
        task = asyncio.current_task()
        if task is not None:
            task.uncancel()
        if exchange.client_left:
            record(self.runtime, exchange, 499, "client_cancelled", "client_cancelled")
            return
        message = "the gateway stopped before the answer was complete"
        if conversation.started:
            record(self.runtime, exchange, 200, "truncated", "gateway_stopped", message)
        else:
            record(self.runtime, exchange, 503, "error", "gateway_stopped", message)
        await conversation.fail(RequestError(503, "gateway_stopped", message), exchange.minted_headers())


class _Conversation:
    """What was said to the client so far, so that an error is said where it still can be."""

    def __init__(self, exchange: Exchange, send: Send) -> None:
        self._exchange = exchange
        self._send = send
        self.started = False
        self._streams = False
        self._ended = False

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """Hand one message over."""
        if message["type"] == "http.response.start":
            self.started = True
            self._streams = any(name == b"x-accel-buffering" for name, _ in message["headers"])
        elif not message.get("more_body"):
            self._ended = True
        await self._send(message)

    async def fail(self, error: RequestError, extra: list[tuple[bytes, bytes]]) -> None:
        """Say `error`.

        As the answer, or inside the stream that began. Of a whole answer that began nothing can be said.
        """
        if self._ended:
            return
        if not self.started:
            await _send_error(self.send, error, extra)
        elif self._streams:
            frame = error_frame(error.status, error.code, error.message)
            await self.send({"type": "http.response.body", "body": frame, "more_body": False})


class _ClientWatch:
    """Notices that the client left while its answer is under way, and cancels the work."""

    def __init__(self, exchange: Exchange, receive: Receive) -> None:
        self._exchange = exchange
        self._receive = receive
        self._serving = asyncio.current_task()
        self._watching: asyncio.Task[None] | None = None
        self._finishing = False
        self._drain: asyncio.TimerHandle | None = None

    def start(self, *, drains: bool) -> None:
        """Begin, once the body has been read. `drains`: go on for a while without the client."""
        self._watching = asyncio.create_task(self._watch(drains))

    def finish(self) -> None:
        """The last bytes are on their way: a client that leaves now, left well."""
        self._finishing = True

    def stop(self) -> None:
        """Stop watching."""
        if self._watching is not None:
            self._watching.cancel()
        if self._drain is not None:
            self._drain.cancel()

    async def _watch(self, drains: bool) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if self._finishing:
            return
        self._exchange.client_left = True
        if drains:
            self._drain = asyncio.get_running_loop().call_later(_DRAIN_S, self._cut)
        else:
            self._cut()

    def _cut(self) -> None:
        if self._serving is not None and not self._finishing:
            self._serving.cancel()


async def _leftover(exchange: Exchange, receive: Receive) -> list[tuple[bytes, bytes]]:
    """Read what is left of a body that was refused unread, within bounds; the headers that are to be added.

    Closing on unread bytes would reset the connection under the answer. When too much is left, it is closed.
    """
    close = [(b"connection", b"close")]
    if any(name == b"expect" for name, _ in exchange.headers):
        return close
    size = 0
    try:
        async with asyncio.timeout(_LEFTOVER_S):
            while size <= _LEFTOVER_BYTES:
                message = await receive()
                size += len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return []
    except TimeoutError:
        return close
    return close


def _normalised(path: str) -> str:
    """`path` without doubled or trailing slashes."""
    if "//" not in path and (not path.endswith("/") or path == "/"):
        return path
    return "/" + "/".join(part for part in path.split("/") if part)


def _may_ask(key: NamedKey | None, model: str) -> bool:
    return key is None or key.allows(model)


def _model_entry(name: str, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": owner}


async def _send_error(send: Send, error: RequestError, extra: list[tuple[bytes, bytes]]) -> None:
    body = error_body(error.status, error.code, error.message, error.param)
    # "overloaded" is the one refusal that the same request can outlive.
    retry = [] if error.code == "overloaded" else [(b"x-should-retry", b"false")]
    await _send_json(send, error.status, body, [*extra, *retry])


async def _send_json(send: Send, status: int, body: bytes, extra: list[tuple[bytes, bytes]]) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body)), *extra]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
