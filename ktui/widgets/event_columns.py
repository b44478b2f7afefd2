"""Columns of the event table: which fit a width, and what a request says in each. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rich.text import Text

from ktui.answers import EventRow
from ktui.geometry import WIDE
from ktui.glyphs import arm_glyph
from ktui.number_words import clock, count, duration_ms, moment, request_cost
from ktui.themes import ARM_ROLES, arm_role
from proxy.base.sanitise import sanitise

LEAD = 2
"""Cells before the first column: an empty one and the cursor mark."""
_MODEL_MIN, _MODEL_FULL, _MODEL_MAX = 14, 24, 34
_DECISION_MIN, _DECISION_MAX = 14, 48


@dataclass(frozen=True)
class Column:
    """One column; `gap` cells stand before it."""

    name: str
    title: str
    width: int
    gap: int = 2
    right: bool = False


@dataclass(frozen=True)
class Columns:
    """The columns of one width."""

    columns: tuple[Column, ...]
    tenths: bool

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    @property
    def width(self) -> int:
        """Cells from the left edge to the end of the last column."""
        return LEAD - 2 + sum(column.width + column.gap for column in self.columns)


def columns_for(width: int) -> Columns:
    """The columns of a table `width` cells wide, one of them left empty at the right.

    in, ttft, decision and out go in this order; then the model's name is cut; what is left goes to both.
    """
    wide = width >= WIDE
    wanted = ["in", "ttft", "decision", "out"]
    present = {"in", "ttft", "decision", "out"} if wide else {"out"}
    while _sum(present, wide, _MODEL_FULL if wide else _MODEL_MIN, _DECISION_MIN) > width - 1 and wanted:
        present.discard(wanted.pop(0))
    rest = width - 1 - _sum(present, wide, _MODEL_MIN, _DECISION_MIN)
    model = min(max(_MODEL_MIN + rest, 6), _MODEL_FULL)
    rest -= model - _MODEL_MIN
    decision = 0
    if "decision" in present:
        decision = min(_DECISION_MIN + max(rest, 0), _DECISION_MAX)
        rest -= decision - _DECISION_MIN
    model = min(model + max(rest, 0), _MODEL_MAX)
    return Columns(tuple(_columns(present, wide, model, decision)), wide)


def _columns(present: set[str], wide: bool, model: int, decision: int) -> list[Column]:
    columns = [
        Column("time", "time ↓", 10 if wide else 8),
        Column("status", "status", 5),
        Column("model", "model", model),
        Column("variant", "variant", 11),
        Column("latency", "latency", 7, 1 if wide else 2, right=True),
    ]
    if "ttft" in present:
        columns.append(Column("ttft", "ttft", 6, right=True))
    if "in" in present:
        columns.append(Column("in", "in", 5, right=True))
    if "out" in present:
        columns.append(Column("out", "out", 4 if wide else 5, 2 if wide else 1, right=True))
    columns.append(Column("cost", "cost", 8, 2 if wide else 3, right=True))
    if "decision" in present:
        columns.append(Column("decision", "decision, why", decision))
    return columns


def _sum(present: set[str], wide: bool, model: int, decision: int) -> int:
    return Columns(tuple(_columns(present, wide, model, decision)), wide).width


Styler = Callable[[str], str]
"""Role -> style string."""


def title_line(columns: Columns, style: Styler) -> Text:
    """The row of column titles."""
    line = Text(" " * (LEAD - 2), style=style("muted"), no_wrap=True, end="")
    spill = 0
    for column in columns.columns:
        room = column.gap - spill
        if column.right:
            line.append(column.title.rjust(room + column.width))
            spill = 0
        else:
            line.append(" " * room + column.title.ljust(column.width))
            spill = max(len(column.title) - column.width, 0)
    return line


def row_line(
    row: EventRow, columns: Columns, arm: int | None, style: Styler, *, cursor: bool, focus: bool
) -> Text:
    """One request as a line; `arm` is the place of its variant, 0 for control."""
    line = Text(" " * (LEAD - 1), no_wrap=True, end="")
    line.append("▌" if cursor else " ", style("focus") if focus else style("muted"))
    bad = row.failed
    for index, column in enumerate(columns.columns):
        if index:
            line.append(" " * column.gap)
        if bad and "decision" not in columns and column.name in {"out", "cost"}:
            return _with_error(line, row, columns, style)
        _cell(line, column, row, arm, style, columns.tenths)
    return line


def _with_error(line: Text, row: EventRow, columns: Columns, style: Styler) -> Text:
    room = columns.width - line.cell_len
    words = Text(_error_words(row), style=style("bad"), no_wrap=True, end="")
    words.truncate(room, overflow="ellipsis")
    return line.append(" " * (room - words.cell_len)).append_text(words)


def _cell(line: Text, column: Column, row: EventRow, arm: int | None, style: Styler, tenths: bool) -> None:
    if column.name == "status":
        mark, name = ("✗", "bad") if row.failed else ("✓", "ok")
        line.append(mark, style(name)).append(f" {row.status:<3}"[: column.width - 1], style("text"))
        return
    words, name = _words(column.name, row, arm, tenths)
    text = Text(words, style=style(name), no_wrap=True, end="")
    text.truncate(column.width, overflow="ellipsis")
    pad = " " * (column.width - text.cell_len)
    if column.right:
        line.append(pad).append_text(text)
    else:
        line.append_text(text).append(pad)


def _words(name: str, row: EventRow, arm: int | None, tenths: bool) -> tuple[str, str]:
    if name == "time":
        return clock(moment(row.timestamp), tenths=tenths), "muted"
    if name == "model":
        return sanitise(row.model or "unknown", 80), "text" if row.model else "unknown"
    if name == "variant":
        return variant_words(row, arm)
    if name == "decision":
        return why(row)
    if name == "latency":
        return _number(duration_ms(row.latency_ms))
    if name == "ttft":
        return _number(duration_ms(row.ttft_ms))
    if name == "in":
        return _number(_tokens(row, row.input_tokens))
    if name == "out":
        return _number(_tokens(row, row.output_tokens))
    return cost_words(row)


def _number(words: str) -> tuple[str, str]:
    return words, "muted" if words == "-" else "text"


def _tokens(row: EventRow, number: int | None) -> str:
    """A count; `-` where the zero only says that nothing was ever counted."""
    return "-" if row.usage_status == "none" and not number else count(number)


def variant_words(row: EventRow, arm: int | None) -> tuple[str, str]:
    """The variant with its glyph, and its role; `-` when no split assigned the request."""
    if row.tag is None:
        return "-", "muted"
    tag = sanitise(row.tag, 40)
    if arm is None:
        return tag, "text"
    return f"{arm_glyph(arm)} {tag}", arm_role(arm) if arm < len(ARM_ROLES) else "text"


def cost_words(row: EventRow) -> tuple[str, str]:
    """What the request cost; unpriced and unknown are words, `-` is a request that never cost anything."""
    if row.cost_status == "unpriced":
        return "unpriced", "unknown"
    if row.usage_status == "unknown" and row.cost is None:
        return "unknown", "unknown"
    if row.cost_status == "none":
        return "-", "muted"
    return _number(request_cost(row.cost))


def _error_words(row: EventRow) -> str:
    if row.decision == "block" or row.outcome == "client_cancelled" or not row.error:
        return why(row)[0]
    return sanitise(row.error, 60)


def why(row: EventRow) -> tuple[str, str]:
    """Decision and reason in a few words, and their role."""
    policy = sanitise(row.policies_triggered[0], 60) if row.policies_triggered else ""
    if row.decision == "block":
        return f"block {policy}".rstrip(), "bad"
    if row.outcome == "client_cancelled":
        return "client left", "muted"
    if row.failed:
        tries = row.attempts if row.attempts is not None else row.attempt
        error = sanitise(row.error or "failed", 60)
        return (f"failed after {tries} tries" if tries is not None and tries > 1 else error), "muted"
    if row.decision == "warn":
        return f"warn {policy}".rstrip(), "warn"
    if row.decision == "redirect":
        return f"redirect {policy}".rstrip(), "text"
    return sanitise(row.decision or "unknown", 40), "muted"
