"""The breakdown of spend as a table: its columns at a width, its order, its file. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.text import Text

from ktui.cost_answers import Cost, CostGroup, Measures
from ktui.cost_words import unit_cost
from ktui.number_words import NONE, count, percent, sum_cost
from ktui.themes import role
from ktui.widgets.row_list import cell
from ktui.widgets.sparkline import spark
from proxy.base.sanitise import sanitise

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_DIGEST = 12
"""Characters shown of a user, who is kept as a digest."""


@dataclass(frozen=True, slots=True)
class CostRow:
    """One line of the table: a group, or the sum of all."""

    name: str
    measures: Measures
    group: CostGroup | None = None
    overlap: bool = False

    @property
    def trend(self) -> tuple[float, ...]:
        """Spend in equal steps; empty for the sum of all."""
        return tuple(float(value) for value in self.group.trend) if self.group is not None else ()


Value = Callable[[CostRow], float | str | None]


@dataclass(frozen=True, slots=True)
class Column:
    """One column: what it is sorted by, and how a row is written in it."""

    name: str
    title: str
    width: int
    value: Value | None
    words: Callable[[CostRow], str]
    short: str = ""
    """How its title reads on a narrow screen."""


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)


def _share(row: CostRow) -> str:
    value = row.measures.share
    return "" if value is None or row.group is None else f"{value * 100:.1f} %"


def _unknown(row: CostRow) -> str:
    return "unknown" if row.measures.spend is None else NONE


def _spend(row: CostRow) -> str:
    words = sum_cost(row.measures.spend)
    return f"{words}+?" if row.group is None and row.measures.unpriced and row.measures.spend else words


def _ratio(row: CostRow) -> str:
    value = row.measures.output_per_input
    return NONE if value is None else f"{value:.3f}" if value < 100 else f"{value:.0f}"


COLUMNS = (
    Column("requests", "requests", 11, lambda row: row.measures.requests, lambda row: count(row.measures.requests)),
    Column("spend", "spend", 12, lambda row: _number(row.measures.spend), _spend),
    Column("share", "share", 7, None, _share),
    Column("bar", "", 5, None, lambda row: ""),
    Column(
        "per request", "per request", 12, lambda row: _number(row.measures.per_request),
        lambda row: unit_cost(row.measures.per_request, none=_unknown(row)), "per req.",
    ),
    Column(
        "per 1k tokens", "1k tokens", 10, lambda row: _number(row.measures.per_1k_tokens),
        lambda row: unit_cost(row.measures.per_1k_tokens, at_least=row.measures.at_least, none=_unknown(row)),
        "per 1k",
    ),
    Column(
        "per success", "success", 10, lambda row: _number(row.measures.per_success),
        lambda row: unit_cost(row.measures.per_success, at_least=row.measures.at_least, none=_unknown(row)),
    ),
    Column(
        "per quality point", "quality", 10, lambda row: _number(row.measures.per_quality),
        lambda row: unit_cost(row.measures.per_quality),
    ),
    Column("out/in", "out/in", 8, lambda row: row.measures.output_per_input, _ratio),
    Column("trend", " trend", 7, None, lambda row: ""),
)  # fmt: skip
"""In the order they stand; the name of the group comes before them."""
_NARROW_WIDTHS = {"requests": 10, "bar": 4, "per request": 9}
_WIDE = 97
_NAME = 25
"""Cells the name of a group has at least, as long as there is another column to give up."""
_GIVEN_UP = (
    "out/in",
    "per quality point",
    "per success",
    "trend",
    "bar",
    "per 1k tokens",
    "per request",
    "share",
)
"""Columns in the order in which they go when the screen gets narrow."""
SORTS = ("spend", *(c.name for c in COLUMNS if c.value is not None and c.name != "spend"), "name")
"""What rows can be sorted by, in the order `s` goes through."""


def shown_name(dimension: str, group: CostGroup) -> str:
    """The name of a group as the table writes it."""
    name = sanitise(group.group, 60)
    if dimension == "user":
        return name if len(name) <= _DIGEST else f"{name[:_DIGEST]}…"
    if dimension == "variant" and group.split:
        return f"{sanitise(group.split, 40)} {name}"
    return name


def rows_of(cost: Cost, sort: str, *, reverse: bool) -> list[CostRow]:
    """The rows in order, what is unknown last whichever way, and the sum of all below them."""
    rows = [CostRow(shown_name(cost.group_by, group), group, group, cost.overlap) for group in cost.groups]
    column = next((column for column in COLUMNS if column.name == sort), None)
    if column is None or column.value is None:
        rows.sort(key=lambda row: row.name, reverse=reverse)
    else:
        value = column.value
        known = [row for row in rows if value(row) is not None]
        unknown = [row for row in rows if value(row) is None]
        known.sort(key=lambda row: row.name)
        known.sort(key=lambda row: float(value(row) or 0), reverse=not reverse)
        rows = known + unknown
    return [*rows, CostRow("all", cost.total, None)] if rows else []


def _layout(width: int) -> tuple[int, list[tuple[Column, int]]]:
    """The width of the name, and the columns that fit beside it."""
    narrow = width < _WIDE
    chosen = [
        (column, _NARROW_WIDTHS.get(column.name, column.width) if narrow else column.width)
        for column in COLUMNS
    ]
    for name in _GIVEN_UP:
        if width - sum(size for _, size in chosen) >= _NAME:
            break
        chosen = [(column, size) for column, size in chosen if column.name != name]
    return max(width - sum(size for _, size in chosen), 1), chosen


def title_line(app: object, dimension: str, width: int, sort: str, *, reverse: bool) -> Text:
    """The column names, an arrow at the one that sorts."""
    room, chosen = _layout(width)
    arrow = " ↑" if reverse != (sort == "name") else " ↓"
    line = Text(no_wrap=True, end="", style=role(app, "muted"))
    line.append(cell(dimension + (arrow if sort == "name" else ""), room))
    narrow = width < _WIDE
    for column, size in chosen:
        title = (column.short or column.title) if narrow else column.title
        sorted_by = column.name == sort
        words = title
        if sorted_by:
            fitting = title if len(title) + 2 < size else column.short or title
            words = f"{fitting}{arrow}" if len(fitting) + 2 < size else f"{arrow.strip()}{fitting}"
        left = column.name == "trend"
        line.append(cell(words, size, right=not left), role(app, "strong") if sorted_by else "")
    return line


def paint(app: object, row: CostRow, width: int) -> Text:
    """One row in exactly `width` cells."""
    room, chosen = _layout(width)
    line = Text(no_wrap=True, end="")
    whole = row.group is None
    line.append(cell(row.name, room), role(app, "strong" if whole else "text"))
    for column, size in chosen:
        if column.name == "bar":
            line.append(_bar(row, size), role(app, "muted"))
        elif column.name == "trend":
            line.append(
                f" {spark(row.trend, size - 1, from_zero=True)}" if row.trend else " " * size,
                role(app, "muted"),
            )
        else:
            words = column.words(row)
            line.append(cell(words, size, right=True), role(app, _role(column, words, whole=whole)))
    return line


def _role(column: Column, words: str, *, whole: bool) -> str:
    if words in ("unknown", "unpriced"):
        return "unknown"
    if words == NONE:
        return "muted"
    return "strong" if whole and column.name in ("requests", "spend") else "text"


def _bar(row: CostRow, size: int) -> str:
    value = row.measures.share
    if value is None or row.group is None:
        return " " * size
    full, part = divmod(round(value * (size - 1) * 8), 8)
    return " " + ("█" * full + (_EIGHTHS[part] if part else "")).ljust(size - 1)


def row_words(row: CostRow, dimension: str) -> str:
    """One row as a sentence, for the note line."""
    what = "all requests" if row.group is None else f"{dimension} {row.name}"
    told = row.measures
    words = [f"{what}: {sum_cost(told.spend)} for {count(told.requests)} requests"]
    if told.unpriced:
        words.append(f"{told.unpriced:,} of them unpriced, in no sum")
    if told.quality is not None:
        words.append(f"quality {told.quality:.2f} of {told.scored:,} scored")
    if told.errors:
        words.append(f"{percent(told.errors / told.requests)} failed")
    if row.overlap:
        words.append("a request may fire several policies, so rows do not add up")
    return " · ".join(words)


# -- the file


def table_file(cost: Cost, rows: Sequence[CostRow], form: str) -> str:
    """The table as `csv` or `json`, every figure exact. Unknown is empty, or null."""
    records = [_record(cost, row) for row in rows]
    if form == "json":
        return json.dumps({"since": cost.since, "window_s": cost.window_s, "group_by": cost.group_by, "rows": records}, indent=2) + "\n"  # fmt: skip
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(records[0] if records else ())
    writer.writerows([_safe(value) for value in record.values()] for record in records)
    return out.getvalue()


def _record(cost: Cost, row: CostRow) -> Mapping[str, Any]:
    figures = asdict(row.measures)
    group = figures.pop("group", None) or "all"
    split = figures.pop("split", None)
    figures.pop("trend", None)
    return {cost.group_by: group, "split": split, **figures}


def _safe(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula is written as a text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
