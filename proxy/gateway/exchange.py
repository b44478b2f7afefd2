"""One request on its way through the gateway: what is known of it so far."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from proxy.base.ids import uuid7
from proxy.base.sanitise import header_value
from proxy.base.trace_context import TraceContext, read_header
from proxy.events.bodies import Capture
from proxy.gateway.guard import Headers
from proxy.gateway.runtime import NamedKey, Snapshot
from proxy.policy.facts import Decision, Endpoint, RequestFacts
from proxy.policy.recorded import arrival
from proxy.upstream.targets import Target
from proxy.wire.chat import ParsedRequest
from proxy.wire.token_estimate import Spoken
from proxy.wire.usage import Usage

_POLICY_LIMIT = 512


@dataclass(slots=True)
class Exchange:
    """State of one request. Times of `started` and `first_token` are `perf_counter` seconds."""

    endpoint: Endpoint
    headers: Headers
    arrived_ns: int = field(default_factory=time.time_ns)
    started: float = field(default_factory=time.perf_counter)
    id: str = ""
    snapshot: Snapshot | None = None
    client_key: NamedKey | None = None
    key_header: bytes | None = None
    """Header the client key came in; it never goes upstream."""
    parsed: ParsedRequest | None = None
    facts: RequestFacts | None = None
    decision: Decision | None = None
    path: str = "chat/completions"
    """What is asked for, below the version of the API, as the client's dialect names it."""
    content_type: str = "application/json"
    """Of the request body."""
    target: Target | None = None
    """Of the last attempt."""
    model: str | None = None
    """Policy-terms name of the model of the last attempt."""
    attempts: int = 0
    attempt_log: list[dict[str, Any]] = field(default_factory=list)
    """Every attempt that was made, the last one too."""
    dropped_params: tuple[str, ...] = ()
    """Parameters of the request that the target's dialect cannot carry."""
    filled_max_tokens: int | None = None
    """The limit that was chosen for a request without one, where the target's dialect demands it."""
    overhead_us: int | None = None
    first_token: float | None = None
    usage: Usage | None = None
    spoken: Spoken = field(default_factory=Spoken)
    """What of a streamed answer went to the client."""
    finish_reason: str | None = None
    upstream_model: str | None = None
    went_upstream: bool = False
    """An upstream took the request and may have worked on it."""
    body_read: bool = False
    """The whole request body came."""
    client_left: bool = False
    """The client left before its answer was complete."""
    cut_short: bool = False
    """A stream was left before its end: what it reported of its usage may be an early figure."""
    recorded: bool = False
    asked: Capture | None = None
    """The body that came; None: bodies are not kept."""
    answered: Capture | None = None
    """The body that goes to the client; None: bodies are not kept."""

    def __post_init__(self) -> None:
        if not self.id:
            self.id = uuid7(self.arrived_ns // 1_000_000)

    def keep_bodies(self) -> None:
        """Hold what is asked and answered from now on, if the version that runs says so."""
        if self.snapshot is not None and self.snapshot.body_bytes and not self.recorded:
            self.asked = Capture(self.snapshot.body_bytes)
            self.answered = Capture(self.snapshot.body_bytes)

    @property
    def key(self) -> str | None:
        """Name of the client key."""
        return self.client_key.name if self.client_key is not None else None

    @property
    def arrived(self) -> datetime:
        """Wall clock of arrival, UTC, in the milliseconds that the event keeps: a replay sees the same moment."""
        return arrival(self.arrived_ns // 1_000_000)

    def trace_context(self) -> TraceContext | None:
        """The span of the client that the request belongs to; None when it named none, or several."""
        named = [value for name, value in self.headers if name == b"traceparent"]
        return read_header(named[0]) if len(named) == 1 else None

    def mark_sent(self) -> None:
        """The first request upstream is about to leave: until now the time was ours."""
        if self.overhead_us is None:
            self.overhead_us = int((time.perf_counter() - self.started) * 1e6)

    def minted_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that tell the client what happened."""
        spent = self.overhead_us
        if spent is None:
            spent = int((time.perf_counter() - self.started) * 1e6)
        headers = [(b"x-kt-request-id", self.id.encode()), (b"x-kt-overhead-us", b"%d" % spent)]
        decision = self.decision
        if self.dropped_params:
            names = ",".join(header_value(name) for name in self.dropped_params)
            headers.append((b"x-kt-dropped-params", names[:_POLICY_LIMIT].encode()))
        if decision is not None:
            headers.append((b"x-kt-model", header_value(self.model or decision.model).encode()))
            headers.append((b"x-kt-decision", decision.action.encode()))
            if decision.assignment is not None:
                headers.append((b"x-kt-variant", header_value(decision.assignment.tag).encode()))
            if decision.triggered:
                policies = ",".join(header_value(name) for name in decision.triggered)
                headers.append((b"x-kt-policy", policies[:_POLICY_LIMIT].encode()))
        return headers


def make_draw() -> int:
    """64 random bits: the unit of last resort."""
    return int.from_bytes(os.urandom(8), "big")
