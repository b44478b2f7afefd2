"""Chart: one line per variant over time. plotext makes the canvases, this widget paints them line by line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from ktui.answers import Line, Series
from ktui.glyphs import arm_glyph
from ktui.themes import ARM_ROLES, arm_role, palette_of
from ktui.widgets.canvas import braille

GUTTER = 8
"""Cells left of the plot: one empty, the labels of the value axis, one empty."""
_FEET = 3
"""Rows below the plot: one empty, the time axis, its labels."""


@dataclass(frozen=True)
class Look:
    """How a line is told from the others: the glyph on its last point, and its role."""

    glyph: str
    role: str


def arm_look(arm: int) -> Look:
    """Of the variant at that place among the arms; 0 is control."""
    return Look(arm_glyph(arm), arm_role(arm) if arm < len(ARM_ROLES) else "text")


_GROUP_ROLES = ("strong", "info", "muted", "text", "ghost", "unknown")
MOST_GROUPS = len(_GROUP_ROLES)


def group_look(index: int) -> Look:
    """Of a line that is no variant: a letter, in no variant's colour."""
    return Look(chr(ord("a") + index), _GROUP_ROLES[index])


@dataclass(frozen=True)
class Plot:
    """What a chart shows. `label` writes a value of the axis, `clock` a moment of it.

    `cursor` and `anchor` are places among the times: where values are read, and the other end of a chosen span.
    """

    series: Series
    looks: tuple[Look, ...]
    label: Callable[[float], str]
    clock: Callable[[float], str]
    cursor: int | None = None
    anchor: int | None = None


Cell = tuple[str, str]
"""A character and its role."""


def scale_of(lines: Sequence[Line]) -> tuple[float, float] | None:
    """Lowest and highest value of the axis with a little air; None without data."""
    known = [value for line in lines for value in line.values if value is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    air = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    return max(low - air, 0.0) if low >= 0 else low - air, high + air


def paint(plot: Plot, width: int, height: int) -> list[list[Cell]] | None:
    """The chart as rows of cells, `width` by `height`; None when there is nothing to draw or no room."""
    rows, columns = height - _FEET, width - GUTTER - 1
    lines = plot.series.series
    scale = scale_of(lines)
    if scale is None or rows < 2 or columns < 10:
        return None
    cells: list[list[Cell]] = [[(" ", "") for _ in range(width)] for _ in range(height)]
    _labels(cells, plot, scale, rows)
    for line, look in zip(lines, plot.looks, strict=True):
        _line(cells, line, look, scale, rows, columns)
    _ends(cells, plot, scale, rows, columns)
    _time_axis(cells, plot, rows, columns)
    _cursor(cells, plot, rows, columns)
    return cells


def _labels(cells: list[list[Cell]], plot: Plot, scale: tuple[float, float], rows: int) -> None:
    low, high = scale
    for row in sorted({0, rows // 2 if rows >= 5 else 0, rows - 1}):
        value = high - (high - low) * (row + 0.5) / rows
        for column, character in enumerate(plot.label(value)[: GUTTER - 2]):
            cells[row][1 + column] = (character, "muted")


def _line(
    cells: list[list[Cell]], line: Line, look: Look, scale: tuple[float, float], rows: int, columns: int
) -> None:
    for row, text in enumerate(braille(line.values, columns, rows, *scale)):
        for column, character in enumerate(text):
            if character == " ":
                continue
            under = cells[row][GUTTER + column][0]
            if "\u2800" < under <= "\u28ff":
                character = chr(ord(under) | ord(character))
            cells[row][GUTTER + column] = (character, look.role)


def _ends(cells: list[list[Cell]], plot: Plot, scale: tuple[float, float], rows: int, columns: int) -> None:
    """The variant's glyph on its last point; when two meet, the lower value gives way by one row."""
    low, high = scale
    taken: set[int] = set()
    ends = []
    for line, look in zip(plot.series.series, plot.looks, strict=True):
        value = next((value for value in reversed(line.values) if value is not None), None)
        if value is not None:
            place = (
                len(line.values) - 1 - next(i for i, v in enumerate(reversed(line.values)) if v is not None)
            )
            ends.append((value, look, round(place * (columns - 1) / max(len(line.values) - 1, 1))))
    for value, look, column in sorted(ends, key=lambda end: (end[0], end[2]), reverse=True):
        level = round((value - low) / (high - low) * (rows * 4 - 1))
        row = rows - 1 - level // 4
        while row in taken and row < rows - 1:
            row += 1
        while row in taken and row > 0:
            row -= 1
        taken.add(row)
        cells[row][GUTTER + column] = (look.glyph, look.role)


def _time_axis(cells: list[list[Cell]], plot: Plot, rows: int, columns: int) -> None:
    axis, labels = cells[rows + 1], cells[rows + 2]
    for column in range(columns):
        axis[GUTTER + column] = ("─", "rule")
    times = plot.series.times
    if not times:
        return
    first, last = times[0], times[-1]
    start, end = plot.clock(first), plot.clock(last)
    _write(labels, GUTTER, start, "muted")
    _write(labels, GUTTER + columns - len(end), end, "muted")
    free_from = GUTTER + len(start) + 1
    for marker in sorted(plot.series.markers, key=lambda marker: marker.time):
        if not first <= marker.time <= last:
            continue
        column = GUTTER + round((marker.time - first) / ((last - first) or 1) * (columns - 1))
        words = f"╵ {marker.label}"
        if free_from <= column and column + len(words) < GUTTER + columns - len(end):
            _write(labels, column, words, "muted")
            free_from = column + len(words) + 1


def _cursor(cells: list[list[Cell]], plot: Plot, rows: int, columns: int) -> None:
    """A line where values are read, and the chosen span on the time axis."""
    if plot.cursor is None:
        return
    last = max(len(plot.series.times) - 1, 1)
    column = GUTTER + round(plot.cursor * (columns - 1) / last)
    for row in range(rows):
        if cells[row][column][0] in " \u2800":
            cells[row][column] = ("│", "focus")
    cells[rows + 1][column] = ("┼", "focus")
    if plot.anchor is not None:
        other = GUTTER + round(plot.anchor * (columns - 1) / last)
        for place in range(min(column, other), max(column, other) + 1):
            cells[rows + 1][place] = ("━", "focus")


def index_at(plot: Plot, x: int, width: int) -> int:
    """The place among the times that stands in column `x` of a chart so wide."""
    columns, last = width - GUTTER - 1, max(len(plot.series.times) - 1, 0)
    share = (x - GUTTER) / max(columns - 1, 1)
    return round(min(max(share, 0.0), 1.0) * last)


def _write(row: list[Cell], column: int, words: str, name: str) -> None:
    for offset, character in enumerate(words):
        if 0 <= column + offset < len(row):
            row[column + offset] = (character, name)


def _drawn(plot: Plot) -> tuple[object, ...]:
    """Everything that shows; the functions of a measure are told by its series."""
    return plot.series, plot.looks, plot.cursor, plot.anchor


class Chart(Widget):
    """Paints a Plot; `waiting` says what it waits for while there is none."""

    DEFAULT_CSS = "Chart { width: 1fr; height: 9; background: $kt-base; color: $kt-text; }"

    def __init__(self, waiting: str = "no data yet", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._waiting = waiting
        self._plot: Plot | None = None
        self._cells: list[list[Cell]] | None = None
        self._painted_for: tuple[int, int] = (0, 0)

    def wait(self, words: str) -> None:
        """What it waits for from now on, or why there is nothing."""
        self._waiting = words
        if self._plot is None or self._cells is None:
            self.refresh()

    def show(self, plot: Plot) -> None:
        """Shows new data; an equal plot draws nothing."""
        if self._plot is not None and _drawn(self._plot) == _drawn(plot):
            return
        self._plot, self._painted_for = plot, (0, 0)
        self.refresh()

    def _paint(self) -> None:
        size = (self.size.width, self.size.height)
        if self._painted_for != size:
            self._cells = paint(self._plot, *size) if self._plot is not None else None
            self._painted_for = size

    def render_line(self, y: int) -> Strip:
        """One segment per run of one colour."""
        self._paint()
        palette, width = palette_of(self.app), self.size.width
        base = palette.rich("text") + palette.rich("base")
        if self._cells is None:
            words = f" {self._waiting}" if y == 0 else ""
            return Strip([Segment(words.ljust(width)[:width], base + palette.rich("unknown"))], width)
        segments: list[Segment] = []
        run, name = "", ""
        for character, role_name in self._cells[y] if y < len(self._cells) else ():
            if role_name != name and character != " ":
                if run:
                    segments.append(Segment(run, self._style(name, base)))
                run, name = "", role_name
            run += character
        segments.append(Segment(run, self._style(name, base)))
        return Strip(segments).adjust_cell_length(width, base)

    def _style(self, name: str, base: Style) -> Style:
        return base + palette_of(self.app).rich(name) if name else base
