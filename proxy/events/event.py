"""One request, as it is remembered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["ok", "error", "blocked", "client_cancelled", "truncated"]
CostStatus = Literal["priced", "unpriced", "estimated", "none"]
UsageStatus = Literal["reported", "estimated", "unknown", "none"]


@dataclass(frozen=True, slots=True)
class Body:
    """One side of a request, word for word as far as it was kept."""

    data: bytes
    size: int
    """Bytes there were in all."""
    content_type: str | None = None

    @property
    def truncated(self) -> bool:
        """Whether `data` is only the beginning."""
        return len(self.data) < self.size


@dataclass(frozen=True, slots=True)
class Bodies:
    """What the client sent and what it was sent; None: nothing came, or it was refused before it was read."""

    request: Body | None = None
    response: Body | None = None


@dataclass(slots=True)
class Event:
    """One row per request. `None` means unknown or does not apply; it is never written as 0.

    Times: `timestamp_ms` is arrival, wall clock, milliseconds since 1970 (UTC); durations are monotonic.
    Money: integer nano-dollars. Tokens: `input_tokens` includes cached ones.
    """

    id: str
    """UUIDv7; also `x-kt-request-id`."""
    timestamp_ms: int
    endpoint: str
    requested_model: str
    model: str
    """Policy-terms name sent upstream; for a refused request, the name it was refused under."""
    decision: str
    status: int
    """HTTP status to the client; 499 when it left."""
    outcome: Outcome
    latency_ms: float
    """Headers read -> last byte handed to the socket."""
    stream: bool = False
    error: str | None = None
    """Short code."""
    error_message: str | None = None
    ttft_ms: float | None = None
    """Headers read -> first content token (streams only)."""
    overhead_us: int | None = None
    """Microseconds this gateway spent before the upstream request was sent."""
    provider: str | None = None
    """Of the last attempt."""
    target: str | None = None
    upstream_model: str | None = None
    """As the vendor reported it."""
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_status: UsageStatus = "none"
    cost_nanos: int | None = None
    """At the prices that held when the answer ended. Later prices change it where `kt prices reprice` is run."""
    cost_status: CostStatus = "none"
    """`priced`, `estimated` (from estimated tokens), `unpriced` (not known: a price or the usage is missing) or `none`."""
    price_source: str | None = None
    """Where the price was found."""
    finish_reason: str | None = None
    policies_triggered: list[str] = field(default_factory=list)
    severity: str | None = None
    split: str | None = None
    ab_tag: str | None = None
    phase: str | None = None
    salt: str | None = None
    unit_kind: str | None = None
    unit_digest: str | None = None
    draw: int = 0
    config_version: str = ""
    """Hash of the text that decided."""
    attempts: int = 0
    """Requests sent upstream."""
    key: str | None = None
    quality_score: float | None = None
    """0 (bad) to 1 (good): the newest score given as feedback."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What a policy may ask for: max_tokens, prompt_chars, has_tools, has_images, the kept headers and metadata (null: not carried), and digests of the units."""
    request_metadata: dict[str, str] = field(default_factory=dict)
    """The kept part of the request's own metadata; shown as `metadata.request`."""
    dropped_params: list[str] = field(default_factory=list)
    """Parameters of the request that the target's dialect could not carry."""
    attempt_log: list[dict[str, Any]] = field(default_factory=list)
    """Each request sent upstream: target, model, status, error, at_ms (since arrival), ms, reason. Empty when the only one was answered."""
    trace: str | None = None
    """What the client's `traceparent` header said: `TRACE-PARENT-FLAGS` in hexadecimal."""
    seq: int = 0
    """Given by the store's writer at insertion; the only cursor. 0 before that."""
    bodies: Bodies | None = field(default=None, repr=False, compare=False)
    """On the way to the store only: what is read back has None, its bodies are asked for by id."""
