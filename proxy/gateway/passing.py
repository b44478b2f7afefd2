"""Requests that name no model: stored responses, and the routes a target passes through. No policy, no event."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, unquote_plus

from yarl import URL

from proxy.gateway.conversation import Send
from proxy.gateway.exchange import Exchange
from proxy.gateway.outbound import CONNECT_S, FIRST_BYTE_WHOLE_S, IDLE_S, upstream_headers
from proxy.gateway.relay import relayed_headers
from proxy.gateway.routes import Place, passing_target
from proxy.gateway.runtime import Runtime
from proxy.upstream.targets import Target
from proxy.upstream.transport import Answer, Call, UpstreamError
from proxy.wire.errors import RequestError
from proxy.wire.translation import Dialect

_QUERY = re.compile(r"[!-\"$-~]*\Z")
"""Visible ASCII without `#`, which would end it."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
_OPENAI_FAMILY = frozenset({"openai", "azure-openai", "openai-compatible"})


def target_of(runtime: Runtime, exchange: Exchange, place: Place) -> Target | None:
    """The target a request without a model goes to; None: the gateway does not serve it.

    A stored response is at the target that made it. Of one that was made before this process began, only
    where there is one place it can be is that place known.
    """
    snapshot = exchange.snapshot
    if snapshot is None:
        return None
    targets = snapshot.routes.targets
    response = place.stored_response
    if response is not None:
        made_by = runtime.stored_responses.get(response)
        if made_by is not None and (known := snapshot.routes.get(made_by)) is not None:
            return known
    passing = passing_target(targets, place.below)
    if passing is None and response is not None:
        family = [
            target
            for target in targets
            if target.provider in _OPENAI_FAMILY and target.unavailable_reason is None
        ]
        passing = family[0] if len(family) == 1 else None
    return passing


class PassThrough:
    """One request, handed on as it is: method, query, body; status, headers and body of the answer."""

    def __init__(self, runtime: Runtime, exchange: Exchange, target: Target) -> None:
        self._runtime = runtime
        self._exchange = exchange
        self._target = target

    async def run(
        self, below: str, scope: Any, body: bytes, send: Send, finishing: Callable[[], None]
    ) -> None:
        """Send and relay. Raises RequestError as long as nothing was sent."""
        answer = await self._send_upstream(below, scope, body)
        try:
            if not 200 <= answer.status <= 599 or 300 <= answer.status < 400:
                text = f"{self._target.id} answered with the status {answer.status}, which is not passed on"
                raise RequestError(502, "upstream_unreachable", text)
            await self._relay(answer, send, finishing)
        finally:
            answer.close()

    async def _send_upstream(self, below: str, scope: Any, body: bytes) -> Answer:
        target, exchange = self._target, self._exchange
        if scope["method"] not in _METHODS:
            raise RequestError(405, "method_not_allowed", "this method is not passed on")
        if target.unavailable_reason is not None:
            raise RequestError(503, "target_unavailable", target.unavailable_reason)
        dialect: Dialect = "anthropic" if target.provider == "anthropic" else "openai"
        headers = upstream_headers(self._runtime, exchange, target, dialect)
        timeouts = target.spec.timeouts
        call = Call(
            url=_with_query(target.url(_path(below), ""), scope["query_string"]),
            headers=headers if body else [pair for pair in headers if pair[0] != "content-type"],
            body=body,
            method=scope["method"],
            connect_s=timeouts.connect_s or CONNECT_S,
            first_byte_s=timeouts.first_byte_s or FIRST_BYTE_WHOLE_S,
            idle_s=timeouts.idle_s or IDLE_S,
            proxy=target.spec.proxy,
            ca_file=target.spec.ca_file,
            allow_link_local=target.spec.allow_link_local,
        )
        try:
            try:
                return await self._runtime.transport.send(call)
            except UpstreamError as error:
                if error.kind != "stale":
                    raise
                return await self._runtime.transport.send(call)
        except UpstreamError as error:
            if error.kind == "timeout":
                raise RequestError(504, "upstream_timeout", error.message) from None
            raise RequestError(502, "upstream_unreachable", error.message) from None

    async def _relay(self, answer: Answer, send: Send, finishing: Callable[[], None]) -> None:
        """A chunk is sent when the next one has come, so that the last can be told from the others."""
        try:
            chunk = await answer.chunk()
        except UpstreamError as error:
            raise RequestError(502, "upstream_broke_off", error.message) from None
        headers = [*relayed_headers(answer), *self._exchange.minted_headers()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        while chunk:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            try:
                chunk = await answer.chunk()
            except UpstreamError:
                return  # an answer left unfinished cuts the connection: there is no other way to say it
        finishing()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _path(below: str) -> str:
    """`below`, quoted segment by segment. Raises RequestError (404) for one that would climb."""
    segments = below.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        raise RequestError(404, "unknown_route", "this path is not served by the gateway")
    return "/".join(quote(segment, safe="-._~!$&'()*+,;=:@") for segment in segments)


def _with_query(url: URL, query: bytes) -> URL:
    """`url` with the client's query; what the target itself says (Azure's api-version) stands."""
    text = query.decode("latin-1")
    if not _QUERY.match(text):
        raise RequestError(400, "bad_query", "the query of the address is not valid")
    own = url.query
    parts = [part for part in text.split("&") if part and unquote_plus(part.partition("=")[0]) not in own]
    if not parts:
        return url
    mark = "&" if url.query_string else "?"
    return URL(f"{url}{mark}{'&'.join(parts)}", encoded=True)
