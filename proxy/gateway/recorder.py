"""From an exchange to its one event."""

from __future__ import annotations

import time

from proxy.base.sanitise import sanitise
from proxy.events.event import Bodies, Event, Outcome
from proxy.gateway.exchange import Exchange
from proxy.gateway.runtime import Runtime
from proxy.policy.facts import GENERATION
from proxy.policy.recorded import DECIDED, kept_facts
from proxy.wire.token_estimate import estimated

_MESSAGE_LIMIT = 500
_CUT_SHORT = frozenset({"client_cancelled", "truncated"})
_CODE_LIMIT = 64
_KEY_HEADERS = frozenset({b"authorization", b"x-api-key", b"api-key", b"x-kt-key", b"cookie"})
_SHORTEST_KEY = 8
"""What is shorter is no secret, and may be a part of any word."""


def record(
    runtime: Runtime,
    exchange: Exchange,
    status: int,
    outcome: Outcome,
    error: str | None = None,
    message: str | None = None,
) -> None:
    """Append the event of `exchange`; a second call does nothing. Call it before the last bytes are sent."""
    if not exchange.recorded:
        exchange.recorded = True
        if exchange.client_left:
            # The answer may have been read to its end all the same, for its usage.
            status, outcome, error, message = 499, "client_cancelled", "client_cancelled", None
        event = event_of(exchange, status, outcome, error, message)
        event.bodies = _bodies(exchange)
        runtime.recorder.append(event)


def _bodies(exchange: Exchange) -> Bodies | None:
    """What came and what went, as far as it is kept; None: bodies are not kept."""
    asked, answered = exchange.asked, exchange.answered
    if asked is None or answered is None:
        return None
    for side in (asked, answered):
        if side.content_type is not None:
            side.content_type = sanitise(side.content_type, _CODE_LIMIT * 2)
    return Bodies(
        asked.body() if exchange.body_read else None,
        answered.body() if answered.size or answered.content_type is not None else None,
    )


def event_of(
    exchange: Exchange, status: int, outcome: Outcome, error: str | None, message: str | None
) -> Event:
    """The event that `exchange` is, ended now."""
    now = time.perf_counter()
    parsed, first = exchange.parsed, exchange.first_token
    event = Event(
        id=exchange.id,
        timestamp_ms=exchange.arrived_ns // 1_000_000,
        endpoint=exchange.endpoint,
        requested_model=parsed.model if parsed else "",
        model=parsed.model if parsed else "",
        decision="block" if outcome == "blocked" else "allow",
        status=status,
        outcome=outcome,
        latency_ms=round((now - exchange.started) * 1e3, 3),
        stream=parsed.stream if parsed else False,
        error=sanitise(_redacted(error, exchange), _CODE_LIMIT) if error else None,
        error_message=sanitise(_redacted(message, exchange), _MESSAGE_LIMIT) if message else None,
        ttft_ms=round((first - exchange.started) * 1e3, 3) if first is not None else None,
        overhead_us=exchange.overhead_us,
        upstream_model=exchange.upstream_model,
        finish_reason=exchange.finish_reason,
        attempts=exchange.attempts,
        dropped_params=[sanitise(name, _CODE_LIMIT) for name in exchange.dropped_params],
        key=exchange.key,
        trace=_trace_of(exchange),
    )
    if exchange.target is not None:
        event.provider, event.target = exchange.target.provider, exchange.target.id
    log = exchange.attempt_log
    if len(log) > 1 or (log and log[0]["reason"] is not None):
        event.attempt_log = log
    if exchange.snapshot is not None:
        event.config_version = exchange.snapshot.plan.version
    _add_decision(event, exchange)
    _add_facts(event, exchange)
    _add_usage(event, exchange)
    return event


def _trace_of(exchange: Exchange) -> str | None:
    context = exchange.trace_context()
    return str(context) if context is not None else None


def _redacted(text: str, exchange: Exchange) -> str:
    """`text` without our own key and those the client sent, should an upstream repeat what it was sent."""
    secret = exchange.target.secret if exchange.target is not None else None
    keys = [] if secret is None else [secret.reveal()]
    keys += [
        value.decode("latin-1").rpartition(" ")[2] for name, value in exchange.headers if name in _KEY_HEADERS
    ]
    for key in keys:
        if len(key) >= _SHORTEST_KEY:
            text = text.replace(key, "***")
    return text


def _add_decision(event: Event, exchange: Exchange) -> None:
    decision = exchange.decision
    if decision is None:
        return
    event.model = exchange.model or decision.model
    event.decision = decision.action
    event.policies_triggered = list(decision.triggered)
    event.severity = decision.severity
    if decision.assignment is not None:
        chosen = decision.assignment
        event.split, event.ab_tag, event.phase = chosen.split, chosen.tag, chosen.phase
        event.salt, event.unit_kind, event.unit_digest = chosen.salt, chosen.unit_kind, chosen.unit_digest


def _add_facts(event: Event, exchange: Exchange) -> None:
    facts, snapshot = exchange.facts, exchange.snapshot
    if facts is None or snapshot is None:
        return
    event.draw = facts.draw
    assigned = {event.unit_kind: event.unit_digest} if event.unit_kind and event.unit_digest else {}
    event.facts = kept_facts(facts, snapshot.plan, assigned)
    if exchange.decision is not None and exchange.decision.model != event.model:
        event.facts[DECIDED] = exchange.decision.model
    if exchange.filled_max_tokens is not None:
        event.facts["filled_max_tokens"] = exchange.filled_max_tokens
    kept_metadata = event.facts.get("metadata", {})
    event.request_metadata = {name: value for name, value in kept_metadata.items() if value is not None}


def _add_usage(event: Event, exchange: Exchange) -> None:
    """Unknown stays unknown: an answer without usage is never free."""
    if not exchange.went_upstream or exchange.target is None or exchange.snapshot is None:
        return
    usage, is_estimate = exchange.usage, False
    if event.outcome in _CUT_SHORT and (usage is None or exchange.cut_short):
        chars = exchange.facts.prompt_chars if exchange.facts is not None else None
        usage = estimated(chars, exchange.spoken.chars, usage)
        is_estimate = usage is not None
    if usage is not None and usage.input_tokens == usage.output_tokens == 0 and event.endpoint in GENERATION:
        usage = None  # a prompt is never nothing: some servers report zeros where they did not count
    if usage is None:
        event.usage_status, event.cost_status = "unknown", "unpriced"
        return
    event.usage_status = "estimated" if is_estimate else "reported" if usage.reported else "unknown"
    event.input_tokens, event.output_tokens = usage.input_tokens, usage.output_tokens
    event.cached_tokens, event.cache_write_tokens = usage.cached_tokens, usage.cache_write_tokens
    event.reasoning_tokens = usage.reasoning_tokens
    book, target = exchange.snapshot.book, exchange.target
    quote = book.quote(target.provider, event.model, target.spec)
    event.cost_nanos, event.cost_status, event.price_source = book.cost(quote, usage, is_estimate)


class RefusalSampler:
    """Lets through `per_second` events of each reason; a flood of refusals must not fill the store."""

    def __init__(self, per_second: int = 10) -> None:
        self._per_second = per_second
        self._second: dict[str, tuple[int, int]] = {}
        self.skipped: dict[str, int] = {}
        """By reason: events that were not recorded."""

    def admit(self, reason: str) -> bool:
        """Whether a refusal for `reason` is to be recorded. Reasons are our own codes, so there are few."""
        second = int(time.monotonic())
        began, count = self._second.get(reason, (second, 0))
        count = count + 1 if began == second else 1
        self._second[reason] = (second, count)
        if count <= self._per_second:
            return True
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
        return False
