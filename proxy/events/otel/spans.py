"""Spans of a request: what they are called, when they were, what they tell. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from proxy.events.event import Event
from proxy.events.otel.child import Place
from proxy.events.totals_families import operation_name, provider_name

Attribute = str | bool | int | float | list[str]
_MS = 1_000_000
_FAILED = frozenset({"error", "truncated"})


@dataclass(frozen=True, slots=True)
class Span:
    """One span. Times: nanoseconds since 1970 (UTC). `failed`: the code of its error when its status is one."""

    name: str
    kind: Literal["server", "client"]
    start_ns: int
    end_ns: int
    attributes: dict[str, Attribute]
    failed: str | None = None


def spans_of(event: Event, places: Mapping[str, Place]) -> tuple[Span, list[Span]]:
    """The span of the request as its client saw it, and one for each request sent upstream for it.

    Tokens and cost are told by the first alone, so that sums over all spans count them once.
    """
    start = event.timestamp_ms * _MS
    end = start + round(event.latency_ms * _MS)
    failed = (event.error or event.outcome) if event.outcome in _FAILED else None
    request = Span(_name(event, event.model), "server", start, end, _request_attributes(event), failed)
    return request, [
        _attempt(event, entry, number, places, start, end) for number, entry in enumerate(_entries(event), 1)
    ]


def _name(event: Event, model: str) -> str:
    operation = operation_name(event.endpoint)
    return f"{operation} {model}" if model else operation


def _request_attributes(event: Event) -> dict[str, Attribute]:
    finish = [event.finish_reason] if event.finish_reason is not None else None
    max_tokens = event.facts.get("max_tokens")
    values: dict[str, Attribute | None] = {
        "gen_ai.operation.name": operation_name(event.endpoint),
        "gen_ai.provider.name": provider_name(event.provider),
        "gen_ai.request.model": event.model or None,
        "gen_ai.request.stream": event.stream or None,
        "gen_ai.request.max_tokens": max_tokens if isinstance(max_tokens, int) else None,
        "gen_ai.response.model": event.upstream_model,
        "gen_ai.response.finish_reasons": finish,
        "gen_ai.response.time_to_first_chunk": None if event.ttft_ms is None else event.ttft_ms / 1e3,
        "gen_ai.usage.input_tokens": event.input_tokens,
        "gen_ai.usage.output_tokens": event.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": event.cached_tokens,
        "gen_ai.usage.cache_creation.input_tokens": event.cache_write_tokens,
        "gen_ai.usage.reasoning.output_tokens": event.reasoning_tokens,
        "http.response.status_code": event.status,
        "error.type": _error_type(event),
        "ktui.request.id": event.id,
        "ktui.endpoint": event.endpoint,
        "ktui.requested_model": event.requested_model or None,
        "ktui.target": event.target,
        "ktui.decision": event.decision,
        "ktui.outcome": event.outcome,
        "ktui.policies": list(event.policies_triggered) or None,
        "ktui.policy_version": event.config_version or None,
        "ktui.split": event.split,
        "ktui.variant": event.ab_tag,
        "ktui.phase": event.phase,
        "ktui.key": event.key,
        "ktui.attempts": event.attempts,
        "ktui.overhead": None if event.overhead_us is None else event.overhead_us / 1e6,
        "ktui.usage_status": event.usage_status,
        "ktui.cost_status": event.cost_status,
        "ktui.cost": None if event.cost_nanos is None else event.cost_nanos / 1e9,
    }
    return _known(values)


def _error_type(event: Event) -> str | None:
    if event.error is not None:
        return event.error
    return event.outcome if event.outcome != "ok" else None


def _entries(event: Event) -> list[dict[str, Any]]:
    """The attempts; the only one that was answered is not logged."""
    if event.attempt_log or not event.attempts:
        return event.attempt_log
    at_ms = (event.overhead_us or 0) / 1e3
    status = event.status if event.outcome != "client_cancelled" else None
    return [{"target": event.target, "model": event.model, "status": status, "at_ms": at_ms, "reason": None}]


def _attempt(
    event: Event, entry: Mapping[str, Any], number: int, places: Mapping[str, Place], start: int, end: int
) -> Span:
    began = min(end, start + round(float(entry.get("at_ms") or 0.0) * _MS))
    reason = entry.get("reason")
    # What is logged of an answer is when it began; it ended with the request.
    over = end if reason is None else min(end, began + round(float(entry.get("ms") or 0.0) * _MS))
    target, model = str(entry.get("target")), str(entry.get("model") or "")
    place = places.get(target)
    same = target == event.target
    values: dict[str, Attribute | None] = {
        "gen_ai.operation.name": operation_name(event.endpoint),
        "gen_ai.provider.name": provider_name(
            place.provider if place is not None else event.provider if same else None
        ),
        "gen_ai.request.model": model or None,
        "server.address": place.host if place is not None else None,
        "server.port": place.port if place is not None else None,
        "http.response.status_code": entry.get("status"),
        "http.request.resend_count": number - 1 or None,
        "error.type": reason,
        "ktui.target": target,
    }
    return Span(_name(event, model), "client", began, over, _known(values), reason)


def _known(values: Mapping[str, Attribute | None]) -> dict[str, Attribute]:
    return {name: value for name, value in values.items() if value is not None}
