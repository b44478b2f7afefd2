"""Layout of the event table: which of the chosen columns fit a width, and a request as a line. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from ktui.answers import EventRow
from ktui.column_registry import BY_ID, DEFAULTS, ColumnKind, chosen
from ktui.geometry import WIDE
from ktui.number_words import clock, moment
from ktui.widgets.event_words import cost_words, error_words, variant_words, why

__all__ = [
    "LEAD",
    "Column",
    "Columns",
    "columns_for",
    "cost_words",
    "row_line",
    "title_line",
    "variant_words",
    "why",
]

LEAD = 2
"""Cells before the first column: an empty one and the cursor mark."""
_MODEL_CUT, _MODEL_LEAST = 14, 6
_EASY = ("in", "ttft", "decision")
"""Given up first, and rather than that the model's name is cut."""
_CORE = ("cost", "latency", "variant", "status", "time", "model")
"""Given up last, in this order."""
_ERROR_LEAST = 8


@dataclass(frozen=True)
class Column:
    """One column at one width; `gap` cells stand before it."""

    name: str
    title: str
    width: int
    gap: int = 2
    right: bool = False

    @property
    def kind(self) -> ColumnKind:
        """What it shows."""
        return BY_ID[self.name]


@dataclass(frozen=True)
class Columns:
    """The columns of one width; `left_out` are those of the choice for which there is no room."""

    columns: tuple[Column, ...]
    tenths: bool
    left_out: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    @property
    def width(self) -> int:
        """Cells from the left edge to the end of the last column."""
        if not self.columns:
            return LEAD
        return LEAD - self.columns[0].gap + sum(column.width + column.gap for column in self.columns)

    def at(self, x: int) -> Column | None:
        """The column whose cells or gap are at `x`."""
        end = LEAD - (self.columns[0].gap if self.columns else 0)
        for column in self.columns:
            start, end = end, end + column.gap + column.width
            if start <= x < end:
                return column
        return None


def columns_for(width: int, wanted: Sequence[str] = DEFAULTS) -> Columns:
    """The columns of a table `width` cells wide, one of them left empty at the right.

    in, ttft and decision go first, in this order; then the model's name is cut; then out, what was chosen
    beyond the defaults (from the right), and the others go. What is left over goes to the long ones.
    """
    wide, wanted = width >= WIDE, chosen(tuple(wanted))
    present, room = list(wanted), width - 1
    full = BY_ID["model"].width if wide else BY_ID["model"].narrow
    for name, model in _steps(wanted, full):
        if _laid_out(present, wide, model).width <= room or len(present) == 1:
            break
        if name in present:
            present.remove(name)
    laid = _laid_out(present, wide, _MODEL_CUT)
    if laid.width > room and "model" in present:
        laid = _set(laid, "model", max(_MODEL_CUT - (laid.width - room), 1))
    laid = _grown(laid, room)
    return replace(laid, left_out=tuple(name for name in wanted if name not in present))


def _steps(wanted: Sequence[str], full: int) -> list[tuple[str, int]]:
    """What is given up, in order, each with the width of the model below which it is."""
    extra = [name for name in reversed(wanted) if name not in (*_EASY, *_CORE, "out")]
    return [
        *((name, full) for name in _EASY),
        *((name, _MODEL_CUT) for name in ("out", *extra)),
        *((name, _MODEL_LEAST) for name in _CORE),
    ]


def _laid_out(names: Sequence[str], wide: bool, model: int) -> Columns:
    columns = []
    for name in names:
        kind = BY_ID[name]
        width = kind.width if wide else kind.narrow or kind.width
        gap = kind.gap if wide else kind.narrow_gap
        columns.append(Column(name, kind.title, model if name == "model" else width, gap, right=kind.right))
    return Columns(tuple(columns), wide)


def _set(columns: Columns, name: str, width: int) -> Columns:
    return replace(
        columns, columns=tuple(replace(c, width=width) if c.name == name else c for c in columns.columns)
    )


def _grown(columns: Columns, room: int) -> Columns:
    """What is left over: to the model, then to the decision and other long texts, then to the model again."""
    model = BY_ID["model"]
    long = sorted(
        (c for c in columns.columns if c.kind.most > c.width and c.name != "model"),
        key=lambda column: column.name != "decision",
    )
    for name, most in (("model", model.width), *((c.name, c.kind.most) for c in long), ("model", model.most)):
        if name in columns:
            width = columns[name].width
            columns = _set(columns, name, min(width + max(room - columns.width, 0), max(most, width)))
    return columns


Styler = Callable[[str], str]
"""Role -> style string."""


def title_line(columns: Columns, style: Styler, sort: str = "time", *, up: bool = False) -> Text:
    """The row of column titles. The one the rows are sorted by has an arrow: `↓` grows downwards, `↑` upwards."""
    line = Text(style=style("muted"), no_wrap=True, end="")
    spill = 0
    for index, column in enumerate(columns.columns):
        room = (column.gap if index else LEAD) - spill
        title, name = column.title, "muted"
        if column.name == sort:
            arrow = "↑" if up else "↓"
            title += f" {arrow}" if len(title) + 2 <= column.width + (room - 1) * column.right else arrow
            if len(title) > column.width + 1:
                title = title[: column.width] + arrow
            name = "muted" if sort == "time" and not up else "strong"
        if column.right:
            line.append(" " * max(room + column.width - len(title), 0)).append(title, style(name))
            spill = 0
        else:
            # One cell of the gap behind it may be used.
            title = title[: column.width + 1]
            line.append(" " * room).append(title, style(name))
            line.append(" " * (column.width - len(title)))
            spill = max(len(title) - column.width, 0)
    return line


def row_line(
    row: EventRow, columns: Columns, arm: int | None, style: Styler, *, cursor: bool, focus: bool
) -> Text:
    """One request as a line; `arm` is the place of its variant, 0 for control."""
    line = Text(" " * (LEAD - 1), no_wrap=True, end="")
    line.append("▌" if cursor else " ", style("focus") if focus else style("muted"))
    start, end = _error_room(row, columns)
    for index, column in enumerate(columns.columns):
        if start < index < end:
            continue
        line.append(" " * column.gap if index else "")
        if index == start < end:
            _error(line, row, columns.columns[start:end], style)
        else:
            _cell(line, column, row, arm, style, columns.tenths)
    return line


def _error_room(row: EventRow, columns: Columns) -> tuple[int, int]:
    """The columns whose room the error of a failed request takes: the widest run of figures it lacks."""
    none = (len(columns.columns), 0)
    if not row.failed or "decision" in columns or "error" in columns:
        return none
    best, width, start = none, 0, 0
    for index in range(len(columns.columns) + 1):
        if index < len(columns.columns) and _lacks(row, columns.columns[index]):
            continue
        run = columns.columns[start:index]
        taken = sum(c.width + c.gap for c in run)
        if run and taken - run[0].gap > max(width, _ERROR_LEAST - 1):
            best, width = (start, index), taken - run[0].gap
        start = index + 1
    return best


def _lacks(row: EventRow, column: Column) -> bool:
    return column.kind.lacking and column.kind.key(row) is None


def _error(line: Text, row: EventRow, run: Sequence[Column], style: Styler) -> None:
    room = sum(c.width + c.gap for c in run) - run[0].gap
    words = Text(error_words(row), style=style("bad"), no_wrap=True, end="")
    words.truncate(room, overflow="ellipsis")
    line.append(" " * (room - words.cell_len)).append_text(words)


def _cell(line: Text, column: Column, row: EventRow, arm: int | None, style: Styler, tenths: bool) -> None:
    words, name = column.kind.words(row, arm)
    if column.name == "status":
        line.append(words[:1], style(name)).append(
            f"{words[1:]:<{column.width - 1}}"[: column.width - 1], style("text")
        )
        return
    if column.name == "time":
        words = clock(moment(row.timestamp), tenths=tenths and column.width >= 10)
    text = Text(words, style=style(name), no_wrap=True, end="")
    text.truncate(column.width, overflow="ellipsis")
    pad = " " * (column.width - text.cell_len)
    if column.right:
        line.append(pad).append_text(text)
    else:
        line.append_text(text).append(pad)
