"""Every column the event table can show: title, meaning, width, words, and what it is sorted by. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from ktui.answers import EventRow
from ktui.number_words import clock, count, duration_ms, moment, request_cost
from ktui.widgets.event_words import (
    Said,
    cost_words,
    error_words,
    name,
    number,
    tokens,
    variant_words,
    why,
)
from proxy.base.sanitise import sanitise

Words = Callable[[EventRow, int | None], Said]
Key = Callable[[EventRow], float | str | None]
"""What rows are sorted by; None: unknown, or does not apply."""


@dataclass(frozen=True)
class ColumnKind:
    """One column. Widths and gaps are cells; `most` is how far it may grow; `lacking`: empty when a request fails."""

    id: str
    title: str
    doc: str
    width: int
    words: Words
    key: Key
    right: bool = False
    most: int = 0
    gap: int = 2
    narrow: int = 0
    """Width below 100 cells; 0: the same."""
    narrow_gap: int = 2
    lacking: bool = False


def cost_of(row: EventRow) -> Decimal | None:
    """Dollars; None when not known."""
    try:
        amount = None if row.cost is None or row.cost_status == "none" else Decimal(row.cost)
    except InvalidOperation:
        return None
    return amount if amount is not None and amount.is_finite() else None


def cost_per_1k(row: EventRow) -> Decimal | None:
    """Dollars per 1,000 tokens, read and written; None when a part of it is not known."""
    amount, read, written = cost_of(row), row.input_tokens, row.output_tokens
    if amount is None or read is None or written is None or read + written <= 0:
        return None
    return amount * 1_000 / (read + written)


def tokens_per_s(row: EventRow) -> float | None:
    """Output tokens per second, from the first token on where that is known; None when it cannot be told."""
    if row.output_tokens is None or row.latency_ms is None or row.output_tokens <= 0:
        return None
    spent = row.latency_ms - (row.ttft_ms or 0.0)
    return row.output_tokens * 1_000 / spent if spent > 0 else None


def _rate(row: EventRow) -> Said:
    rate = tokens_per_s(row)
    return number("-" if rate is None else f"{rate:,.1f}" if rate < 999.95 else f"{rate:,.0f}")


def _per_1k(row: EventRow) -> Said:
    amount = cost_per_1k(row)
    return number("-" if amount is None else request_cost(str(amount)))


def _overhead(row: EventRow) -> Said:
    value = row.overhead_us
    if value is None:
        return "-", "muted"
    return (f"{value:,.0f} µs" if value < 9_999.5 else duration_ms(value / 1_000)), "text"


def _quality(row: EventRow) -> Said:
    return number("-" if row.quality_score is None else f"{row.quality_score:.2f}")


def _severity(row: EventRow) -> Said:
    words, _ = name(row.severity, 20)
    return words, {"critical": "bad", "error": "bad", "high": "bad", "warning": "warn", "medium": "warn"}.get(
        words, "muted"
    )


def _status(row: EventRow) -> Said:
    return f"{'✗' if row.failed else '✓'} {row.status}", "bad" if row.failed else "ok"


def _model(value: str | None) -> Said:
    return sanitise(value or "unknown", 80), "text" if value else "unknown"


def _cents(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def _time(row: EventRow) -> float:
    return float(row.seq)


def _tries(row: EventRow) -> int | None:
    return row.attempts if row.attempts is not None else row.attempt


def _counted(row: EventRow, value: int | None) -> int | None:
    return None if row.usage_status == "none" and not value else value


def _error(row: EventRow) -> Said:
    return (error_words(row), "bad") if row.failed else ("-", "muted")


def _meta(row: EventRow, key: str) -> str | None:
    value = row.metadata.get(key)
    return value if isinstance(value, str) and value else None


def _text(
    id_: str, title: str, doc: str, width: int, value: Callable[[EventRow], str | None], most: int = 0
) -> ColumnKind:
    return ColumnKind(id_, title, doc, width, lambda row, _: name(value(row)), value, most=most or width)


def _figure(
    id_: str, title: str, doc: str, width: int, words: Callable[[EventRow], Said], key: Key
) -> ColumnKind:
    return ColumnKind(id_, title, doc, width, lambda row, _: words(row), key, right=True, lacking=True)


KINDS: tuple[ColumnKind, ...] = (
    ColumnKind("time", "time", "when it arrived", 10, lambda r, _: (clock(moment(r.timestamp), tenths=True), "muted"), _time, narrow=8),
    ColumnKind("status", "status", "HTTP status to the client", 5, lambda r, _: _status(r), lambda r: r.status),
    ColumnKind("model", "model", "the model that was sent upstream", 24, lambda r, _: _model(r.model), lambda r: r.model, most=34, narrow=21),
    ColumnKind("variant", "variant", "the variant a split chose", 11, variant_words, lambda r: r.tag),
    ColumnKind("latency", "latency", "from the request read to the last byte sent", 7, lambda r, _: number(duration_ms(r.latency_ms)), lambda r: r.latency_ms, right=True, gap=1),
    ColumnKind("ttft", "ttft", "to the first token of a stream", 6, lambda r, _: number(duration_ms(r.ttft_ms)), lambda r: r.ttft_ms, right=True, lacking=True),
    ColumnKind("in", "in", "tokens read, cached ones too", 5, lambda r, _: number(tokens(r, r.input_tokens)), lambda r: _counted(r, r.input_tokens), right=True),
    ColumnKind("out", "out", "tokens written", 4, lambda r, _: number(tokens(r, r.output_tokens)), lambda r: _counted(r, r.output_tokens), right=True, narrow=5, narrow_gap=1, lacking=True),
    ColumnKind("cost", "cost", "dollars", 8, lambda r, _: cost_words(r), lambda r: _cents(cost_of(r)), right=True, narrow_gap=3, lacking=True),
    ColumnKind("decision", "decision, why", "what the policies decided, or why it failed", 14, lambda r, _: why(r), lambda r: r.decision, most=48),
    _text("id", "id", "the request's id", 13, lambda r: r.id, 36),
    _text("requested", "asked for", "the model the client asked for", 18, lambda r: r.requested_model, 30),
    _text("upstream", "upstream model", "the model as the vendor names it", 18, lambda r: r.upstream_model, 30),
    _text("provider", "provider", "vendor that answered last", 9, lambda r: r.provider, 16),
    _text("target", "target", "target that answered last", 12, lambda r: r.target, 24),
    _text("split", "split", "the split that chose the variant", 14, lambda r: r.split, 28),
    _text("phase", "phase", "phase of the split at that time", 8, lambda r: _meta(r, "phase"), 16),
    _text("unit", "unit", "what the split was drawn by", 8, lambda r: _meta(r, "unit_kind"), 16),
    _text("policies", "policies", "the policies that acted, in order", 16, lambda r: ", ".join(r.policies_triggered) or None, 48),
    ColumnKind("severity", "severity", "the worst severity of a policy", 8, lambda r, _: _severity(r), lambda r: r.severity),
    ColumnKind("error", "error", "why it failed", 16, lambda r, _: _error(r), lambda r: error_words(r) if r.failed else None, most=48),
    _figure("cached", "cached", "tokens read from the vendor's cache", 6, lambda r: number(count(r.cached_tokens)), lambda r: r.cached_tokens),
    _figure("reasoning", "reasoning", "tokens of hidden reasoning, part of out", 9, lambda r: number(count(r.reasoning_tokens)), lambda r: r.reasoning_tokens),
    _figure("rate", "tokens/s", "tokens written per second", 8, _rate, tokens_per_s),
    _figure("per_1k", "cost/1k", "dollars per 1,000 tokens", 8, _per_1k, lambda r: _cents(cost_per_1k(r))),
    _text("key", "key", "the client's key, by its name", 10, lambda r: r.key, 20),
    _text("version", "version", "the policy version that decided", 7, lambda r: (r.config_version or "")[:7] or None),
    _figure("quality", "quality", "newest score from feedback, 0 to 1", 7, _quality, lambda r: r.quality_score),
    _text("finish", "finish", "why the model stopped", 10, lambda r: r.finish_reason, 16),
    ColumnKind("attempts", "tries", "requests sent upstream", 5, lambda r, _: number(count(_tries(r))), _tries, right=True),
    ColumnKind("overhead", "overhead", "spent here before the request went upstream", 8, lambda r, _: _overhead(r), lambda r: r.overhead_us, right=True),
    _text("endpoint", "endpoint", "which of the gateway's endpoints", 10, lambda r: r.endpoint, 20),
    ColumnKind("stream", "stream", "whether it was streamed", 6, lambda r, _: ("stream", "text") if r.stream else ("-", "muted"), lambda r: int(r.stream)),
)  # fmt: skip
BY_ID = {kind.id: kind for kind in KINDS}
DEFAULTS = ("time", "status", "model", "variant", "latency", "ttft", "in", "out", "cost", "decision")


def chosen(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The known ones of `columns`, each once; the defaults when none is."""
    return tuple(dict.fromkeys(column for column in columns if column in BY_ID)) or DEFAULTS
