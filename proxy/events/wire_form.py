"""An event as the Events API shows it: JSON and CSV."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.base.money import to_decimal_string
from proxy.base.times import rfc3339
from proxy.events.event import Event


def event_json(event: Event, unknown_null: bool = False) -> dict[str, Any]:
    """`event` in the form of the Events API.

    `latency_ms`, `cost`, `input_tokens`, `output_tokens` and `model` are never null, so that arithmetic over
    any list of events works. A request that never went upstream has true zeros; an unknown figure is 0 as well
    and says so in `cost_status: unpriced` or `usage_status: unknown`. With `unknown_null` it is null instead.
    """
    return {
        "id": event.id,
        "seq": event.seq,
        "timestamp": rfc3339(event.timestamp_ms),
        "request_id": event.id,
        "endpoint": event.endpoint,
        "model": event.model,
        "requested_model": event.requested_model,
        "upstream_model": event.upstream_model,
        "provider": event.provider,
        "target": event.target,
        "decision": event.decision,
        "status": event.status,
        "outcome": event.outcome,
        "error": event.error,
        "error_message": event.error_message,
        "stream": event.stream,
        "latency_ms": round(event.latency_ms, 3),
        "ttft_ms": None if event.ttft_ms is None else round(event.ttft_ms, 3),
        "overhead_us": event.overhead_us,
        "cost": _cost(event, unknown_null),
        "cost_status": event.cost_status,
        "price_source": event.price_source,
        "input_tokens": _tokens(event, event.input_tokens, unknown_null),
        "output_tokens": _tokens(event, event.output_tokens, unknown_null),
        "cached_tokens": event.cached_tokens,
        "cache_write_tokens": event.cache_write_tokens,
        "reasoning_tokens": event.reasoning_tokens,
        "usage_status": event.usage_status,
        "finish_reason": event.finish_reason,
        "policies_triggered": list(event.policies_triggered),
        "severity": event.severity,
        "quality_score": event.quality_score,
        "key": event.key,
        "attempt": event.attempts,
        "attempts": event.attempts,
        "config_version": event.config_version,
        "trace": event.trace,
        "metadata": {
            "ab_tag": event.ab_tag,
            "experiment": event.split,
            "phase": event.phase,
            "unit_kind": event.unit_kind,
            "unit_digest": event.unit_digest,
            "salt": event.salt,
            "request": dict(event.request_metadata),
            "dropped_params": list(event.dropped_params),
        },
    }


def _cost(event: Event, unknown_null: bool) -> str | None:
    if event.cost_nanos is not None:
        return to_decimal_string(event.cost_nanos)
    return None if unknown_null and event.cost_status != "none" else "0"


def _tokens(event: Event, number: int | None, unknown_null: bool) -> int | None:
    if number is not None:
        return number
    return None if unknown_null and event.usage_status != "none" else 0


Cell = str | int | float | bool | None

_COLUMNS: tuple[tuple[str, Callable[[Event], Cell]], ...] = (
    ("seq", lambda event: event.seq),
    ("id", lambda event: event.id),
    ("timestamp", lambda event: rfc3339(event.timestamp_ms)),
    ("endpoint", lambda event: event.endpoint),
    ("model", lambda event: event.model),
    ("requested_model", lambda event: event.requested_model),
    ("upstream_model", lambda event: event.upstream_model),
    ("provider", lambda event: event.provider),
    ("target", lambda event: event.target),
    ("decision", lambda event: event.decision),
    ("status", lambda event: event.status),
    ("outcome", lambda event: event.outcome),
    ("error", lambda event: event.error),
    ("error_message", lambda event: event.error_message),
    ("stream", lambda event: event.stream),
    ("latency_ms", lambda event: round(event.latency_ms, 3)),
    ("ttft_ms", lambda event: None if event.ttft_ms is None else round(event.ttft_ms, 3)),
    ("overhead_us", lambda event: event.overhead_us),
    (
        "cost",
        lambda event: None if event.cost_nanos is None else Number(to_decimal_string(event.cost_nanos)),
    ),
    ("cost_status", lambda event: event.cost_status),
    ("price_source", lambda event: event.price_source),
    ("input_tokens", lambda event: event.input_tokens),
    ("output_tokens", lambda event: event.output_tokens),
    ("cached_tokens", lambda event: event.cached_tokens),
    ("cache_write_tokens", lambda event: event.cache_write_tokens),
    ("reasoning_tokens", lambda event: event.reasoning_tokens),
    ("usage_status", lambda event: event.usage_status),
    ("finish_reason", lambda event: event.finish_reason),
    ("policies_triggered", lambda event: ";".join(event.policies_triggered)),
    ("severity", lambda event: event.severity),
    ("quality_score", lambda event: event.quality_score),
    ("key", lambda event: event.key),
    ("attempts", lambda event: event.attempts),
    ("config_version", lambda event: event.config_version),
    ("ab_tag", lambda event: event.ab_tag),
    ("experiment", lambda event: event.split),
    ("phase", lambda event: event.phase),
    ("unit_kind", lambda event: event.unit_kind),
    ("unit_digest", lambda event: event.unit_digest),
    ("salt", lambda event: event.salt),
    ("trace", lambda event: event.trace),
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Number(str):
    """A number written by us as text: not a text from outside, so never a formula."""

    __slots__ = ()


def csv_header() -> str:
    """The first line of the CSV form, with its CRLF."""
    return ",".join(name for name, _ in _COLUMNS) + "\r\n"


def csv_row(event: Event) -> str:
    """`event` as one CSV record (RFC 4180), with its CRLF. What is unknown or does not apply stays empty.

    A text that a spreadsheet would run as a formula gets an apostrophe in front; numbers never do.
    """
    return ",".join(csv_cell(value(event)) for _, value in _COLUMNS) + "\r\n"


def csv_cell(value: Cell) -> str:
    """`value` as one CSV cell: quoted where it must be, and no text of it a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Number)):
        return str(value)
    text = f"'{value}" if value.startswith(_FORMULA) else value
    if any(mark in text for mark in ',"\r\n'):
        return '"' + text.replace('"', '""') + '"'
    return text
