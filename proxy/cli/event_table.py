"""An event as one line of a table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from wcwidth import wcswidth

from proxy.base.sanitise import sanitise

_COLUMNS = (
    ("time", 19, "<"), ("status", 8, "<"), ("model", 26, "<"), ("variant", 12, "<"), ("latency", 9, ">"),
    ("ttft", 8, ">"), ("in", 7, ">"), ("out", 6, ">"), ("cost", 10, ">"), ("decision, why", 30, "<"),
)  # fmt: skip


def heading() -> str:
    """The names of the columns."""
    return _row([name for name, _, _ in _COLUMNS])


def line(event: dict[str, Any]) -> str:
    """`event` (with unknown figures null) in those columns, local time."""
    ok = event["outcome"] == "ok"
    mark = "✓" if ok else "✗"
    moment = datetime.fromisoformat(event["timestamp"]).astimezone()
    went_up = event["attempts"] > 0
    cells = [
        f"{moment:%Y-%m-%d %H:%M:%S}",
        f"{mark} {event['status']}",
        event["model"] or "-",
        event["metadata"]["ab_tag"] or "-",
        _milliseconds(event["latency_ms"]),
        _milliseconds(event["ttft_ms"]),
        _tokens(event["input_tokens"], went_up),
        _tokens(event["output_tokens"], went_up),
        _money(event),
        _why(event),
    ]
    return _row(cells).rstrip()


def _row(cells: list[str]) -> str:
    return "  ".join(_fit(cell, width, side) for cell, (_, width, side) in zip(cells, _COLUMNS, strict=True))


def _fit(text: str, width: int, side: str) -> str:
    shown = sanitise(text, 200)
    while wcswidth(shown) > width:
        shown = shown[:-2] + "…"
    gap = " " * (width - max(wcswidth(shown), 0))
    return shown + gap if side == "<" else gap + shown


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f} ms" if value < 1_000 else f"{value / 1_000:,.2f} s"


def _tokens(value: int | None, went_up: bool) -> str:
    if value is None:
        return "unknown" if went_up else "-"
    return f"{value:,}" if went_up else "-"


def _money(event: dict[str, Any]) -> str:
    if event["cost_status"] == "none":
        return "-"
    return f"${float(event['cost']):.5f}" if event["cost"] is not None else event["cost_status"]


def _why(event: dict[str, Any]) -> str:
    if event["error"] and event["outcome"] != "blocked":
        return f"{event['outcome']} {event['error']}"
    names = ", ".join(event["policies_triggered"])
    return f"{event['decision']} {names}".strip()
