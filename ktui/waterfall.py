"""Where the time of one request went, as far as it was recorded. Pure.

`overhead_us` is what the gateway spent before anything went upstream, `ttft_ms` and `latency_ms` count from the
moment the request was read. A try whose own start is not recorded stands behind the one before.
"""

from __future__ import annotations

from dataclasses import dataclass

from ktui.answers import EventRow, Try

_WAIT_MS = 1.0
"""A shorter time between two tries is no wait."""


@dataclass(frozen=True)
class Span:
    """One stretch, in milliseconds from the start. `length` None: not recorded. `told`: words behind the bar."""

    label: str
    start: float
    length: float | None
    role: str = "info"
    told: str = ""


def spans(row: EventRow, tries: tuple[Try, ...] = ()) -> list[Span]:
    """The stretches of a request in the order in which they happened."""
    whole = row.latency_ms
    attempts = row.attempts if row.attempts is not None else row.attempt
    if attempts == 0:
        return [Span("gateway", 0.0, whole, told="answered here, nothing went upstream")]
    before = None if row.overhead_us is None else row.overhead_us / 1_000
    made = [Span("queue, policies", 0.0, before, told="" if before is not None else "not recorded")]
    at = before or 0.0
    if tries:
        made += _tries(tries, at)
        last = made[-1]
        at = last.start if _answered(tries) else last.start + (last.length or 0.0)
    if row.ttft_ms is not None:
        made.append(
            Span("first token", at, max(row.ttft_ms - at, 0.0), told=f"at {_ms(row.ttft_ms)} from the start")
        )
        rest = None if whole is None else max(whole - row.ttft_ms, 0.0)
        made.append(Span("stream", row.ttft_ms, rest, "ok", "" if rest is not None else "not recorded"))
    elif not tries:
        rest = None if whole is None else max(whole - at, 0.0)
        told = "first token not recorded" if row.stream else "answered in one piece"
        made.append(Span("upstream", at, rest, "bad" if row.failed else "info", told))
    return made


def _tries(tries: tuple[Try, ...], at: float) -> list[Span]:
    made: list[Span] = []
    for number, item in enumerate(tries, start=1):
        if item.at_ms is not None:
            if made and item.at_ms - at >= _WAIT_MS:
                made.append(Span("wait", at, item.at_ms - at, "muted", "before the next try"))
            at = item.at_ms
        words = [item.target, item.status, item.error or item.reason]
        told = "  ".join(str(word) for word in words if word is not None)
        made.append(Span(f"try {number}", at, item.ms, "bad" if item.reason else "info", told))
        at += item.ms or 0.0
    return made


def _answered(tries: tuple[Try, ...]) -> bool:
    return not tries[-1].reason


def _ms(value: float) -> str:
    return f"{value:.0f} ms" if value < 999.5 else f"{value / 1_000:.2f} s"


def bar(span: Span, whole: float, width: int) -> tuple[int, int]:
    """Cells before the bar, and of it: at least one, never beyond `width`."""
    if span.length is None or whole <= 0 or width <= 0:
        return 0, 0
    cells = max(round(min(span.length / whole, 1.0) * width), 1)
    start = min(round(min(span.start / whole, 1.0) * width), width - 1)
    return start, min(cells, width - start)
