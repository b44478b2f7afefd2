"""One request in full, as lines: what was decided, where the time went, tokens, money, where it came from. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from ktui.answers import Bodies, Body, EventRow
from ktui.column_registry import cost_per_1k, tokens_per_s
from ktui.number_words import clock, count, duration_ms, moment, request_cost
from ktui.waterfall import bar, spans
from ktui.widgets.event_columns import Styler
from ktui.widgets.event_words import cost_words, tokens, variant_words, why
from proxy.base.sanitise import sanitise, sanitise_block

_LABEL, _TIME, _TOLD = 16, 10, 30
_BODY_LINES, _BODY_CHARS = 60, 6_000
_PRICED = {
    "priced": "from the price book",
    "estimated": "estimated, the vendor did not tell the tokens",
    "unpriced": "the model has no price",
    "none": "nothing was charged",
}
Pair = tuple[str, object, str]
"""Label, value, role."""


def details(row: EventRow, arm: int | None, style: Styler, width: int) -> list[Text]:
    """Everything but the bodies; lines that are too long are left to be folded."""
    lines = [
        *_decided(row, arm, style),
        *_section("Time", style, width),
        *_timing(row, style, width),
        *_section("Tokens and money", style, width),
        *_tokens(row, style),
        *_section("Request", style, width),
        *_request(row, style),
    ]
    if row.error or row.error_message:
        lines += [*_section("Error", style, width), pairs(style, ("error", row.error or "unknown", "bad"))]
        if row.error_message:
            lines.append(Text(sanitise(row.error_message, 2_000), style("text")))
    return [*lines, *_feedback(row, style, width)]


def pairs(style: Styler, *given: Pair) -> Text:
    """`label value   label value`; what is None is said to be unknown."""
    line = Text()
    for index, (label, value, name) in enumerate(given):
        line.append("   " if index else "").append(f"{label} ", style("muted"))
        line.append(
            sanitise("unknown" if value is None else value, 300), style("unknown" if value is None else name)
        )
    return line


def _section(title: str, style: Styler, width: int) -> list[Text]:
    line = Text(no_wrap=True).append(f"{title} ", style("strong"))
    return [Text(), line.append("─" * max(width - len(title) - 1, 0), style("rule"))]


def _decided(row: EventRow, arm: int | None, style: Styler) -> list[Text]:
    words, name = variant_words(row, arm)
    lines = [pairs(style, ("variant", words, name), ("model", row.model, "strong"), ("provider", row.provider or "-", "text"), ("target", row.target or "-", "text"))]  # fmt: skip
    other: list[Pair] = []
    if row.requested_model and row.requested_model != row.model:
        other.append(("asked for", row.requested_model, "text"))
    if row.upstream_model and row.upstream_model != row.model:
        other.append(("the vendor calls it", row.upstream_model, "text"))
    if other:
        lines.append(pairs(style, *other))
    decision = why(row)[0] if not row.failed or row.decision == "block" else row.decision
    acted = "  ".join(f"{n} {name}" for n, name in enumerate(row.policies_triggered, 1))
    lines.append(pairs(style, ("decision", decision, why(row)[1]), ("severity", row.severity or "-", "text")))
    lines.append(
        pairs(style, ("policies in order", acted or "none acted", "text")).append(
            "   x says why", style("muted")
        )
    )
    return lines


def _timing(row: EventRow, style: Styler, width: int) -> list[Text]:
    found = spans(row, row.attempt_log)
    whole = max([row.latency_ms or 0.0, *((span.start + (span.length or 0.0)) for span in found)])
    room = max(min(width - _LABEL - _TIME - _TOLD, 60), 12)
    lines = []
    for span in found:
        line = Text(f"{span.label:<{_LABEL}}", style("muted"), no_wrap=True, overflow="ellipsis")
        line.append(
            f"{duration_ms(span.length):>{_TIME - 2}}  ",
            style("text" if span.length is not None else "unknown"),
        )
        start, cells = bar(span, whole, room)
        line.append(" " * start).append("█" * cells, style(span.role)).append(
            " " * (room - start - cells + 1)
        )
        told = Text(sanitise(span.told, 400), style("text" if span.role == "bad" else "muted"))
        if line.cell_len + told.cell_len > width:
            lines += [line, Text(" " * _LABEL, no_wrap=False).append_text(told)]
        else:
            lines.append(line.append_text(told))
    line = Text(f"{'in all':<{_LABEL}}", style("muted"), no_wrap=True, overflow="ellipsis")
    line.append(f"{duration_ms(row.latency_ms):>{_TIME - 2}}  ", style("strong"))
    return [*lines, line.append("the request read to the last byte sent", style("muted"))]


def _tokens(row: EventRow, style: Styler) -> list[Text]:
    rate, per_1k = tokens_per_s(row), cost_per_1k(row)
    missing = "-" if row.usage_status == "none" else None
    cost, cost_role = cost_words(row)
    status = _PRICED.get(row.cost_status or "", row.cost_status or None)
    return [
        pairs(
            style,
            ("in", tokens(row, row.input_tokens) if row.input_tokens is not None else missing, "text"),
            ("from cache", count(row.cached_tokens), "text"),
            ("written to cache", count(row.cache_write_tokens), "text"),
            ("out", tokens(row, row.output_tokens) if row.output_tokens is not None else missing, "text"),
            ("of it reasoning", count(row.reasoning_tokens), "text"),
        ),
        pairs(
            style,
            ("speed", "-" if rate is None else f"{rate:,.1f} tokens/s", "text"),
            ("counted by", {"reported": "the vendor", "estimated": "an estimate", "none": "-"}.get(row.usage_status or "", row.usage_status), "text"),
        ),
        pairs(
            style,
            ("cost", cost, "strong" if cost_role == "text" else cost_role),
            ("per 1k tokens", "-" if per_1k is None else request_cost(str(per_1k)), "text"),
            ("price", status, "text"),
            ("source", row.price_source or "-", "text"),
        ),
    ]  # fmt: skip


def _request(row: EventRow, style: Styler) -> list[Text]:
    meta = row.metadata
    kept = meta.get("request")
    dropped = meta.get("dropped_params")
    words = ", ".join(f"{name}={value}" for name, value in kept.items()) if isinstance(kept, Mapping) else ""
    lost = (
        ", ".join(map(str, dropped)) if isinstance(dropped, Sequence) and not isinstance(dropped, str) else ""
    )
    unit = str(meta.get("unit_kind") or "-")
    digest = meta.get("unit_digest")
    return [
        pairs(
            style,
            ("endpoint", row.endpoint or "-", "text"),
            ("stream", "yes" if row.stream else "no", "text"),
            ("finish", row.finish_reason or "-", "text"),
            ("tries", row.attempts if row.attempts is not None else row.attempt, "text"),
        ),
        pairs(
            style,
            ("split", row.split or "-", "text"),
            ("unit", f"{unit} {str(digest)[:12]}…" if digest else unit, "text"),
            ("phase", meta.get("phase") or "-", "text"),
            ("key", row.key or "-", "text"),
            ("version", (row.config_version or "-")[:7], "text"),
        ),
        *([pairs(style, ("trace", row.trace, "text"))] if row.trace else []),
        pairs(style, ("metadata kept", words or "none", "text")),
        pairs(style, ("parameters dropped", lost or "none", "warn" if lost else "text")),
    ]


def _feedback(row: EventRow, style: Styler, width: int) -> list[Text]:
    if row.quality_score is None and not row.feedback:
        return []
    lines = [*_section("Feedback", style, width)]
    for said in row.feedback:
        score = said.get("score")
        line = Text(f"{clock(moment(str(said.get('given') or ''))):<10}", style("muted"))
        line.append("-" if score is None else f"{score}", style("strong"))
        words = "  ".join(sanitise(said[name], 400) for name in ("label", "comment", "who") if said.get(name))
        lines.append(line.append(f"  {words}", style("text")))
    if not row.feedback:
        lines.append(pairs(style, ("score", f"{row.quality_score:.2f}", "text")))
    return lines


def body_lines(bodies: Bodies | None, reason: str, style: Styler, width: int) -> list[Text]:
    """What was asked and answered, or why that is not known."""
    lines = _section("Bodies", style, width)
    if bodies is None:
        return [*lines, Text(sanitise(reason, 400), style("muted"))]
    for label, body in (("request", bodies.request), ("answer", bodies.response)):
        lines += _body(label, body, style)
    return lines


def _body(label: str, body: Body | None, style: Styler) -> list[Text]:
    if body is None:
        return [pairs(style, (label, "none was kept", "muted"))]
    head = pairs(style, (label, f"{body.bytes:,} bytes", "text"), ("type", body.content_type or "-", "text"))
    if body.truncated:
        head.append("   only its beginning was kept", style("warn"))
    if body.text is None:
        return [head, Text("not text: y copies the JSON, kt events show writes it", style("muted"))]
    shown = sanitise_block(body.text, _BODY_CHARS).split("\n")
    lines = [head, *(Text(line, style("text")) for line in shown[:_BODY_LINES])]
    if len(shown) > _BODY_LINES or len(body.text) > _BODY_CHARS:
        lines.append(Text("… the rest is left out here", style("muted")))
    return lines
