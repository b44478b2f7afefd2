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
class Plot:
    """What a chart shows. `arms`: each line's place among the arms; `label` writes a value of the axis."""

    series: Series
    arms: tuple[int, ...]
    label: Callable[[float], str]
    clock: Callable[[float], str]


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
    for line, arm in zip(lines, plot.arms, strict=True):
        _line(cells, line, arm, scale, rows, columns)
    _ends(cells, plot, scale, rows, columns)
    _time_axis(cells, plot, rows, columns)
    return cells


def _labels(cells: list[list[Cell]], plot: Plot, scale: tuple[float, float], rows: int) -> None:
    low, high = scale
    for row in sorted({0, rows // 2 if rows >= 5 else 0, rows - 1}):
        value = high - (high - low) * (row + 0.5) / rows
        for column, character in enumerate(plot.label(value)[: GUTTER - 2]):
            cells[row][1 + column] = (character, "muted")


def _role(arm: int) -> str:
    return arm_role(arm) if arm < len(ARM_ROLES) else "text"


def _line(
    cells: list[list[Cell]], line: Line, arm: int, scale: tuple[float, float], rows: int, columns: int
) -> None:
    for row, text in enumerate(braille(line.values, columns, rows, *scale)):
        for column, character in enumerate(text):
            if character == " ":
                continue
            under = cells[row][GUTTER + column][0]
            if "\u2800" < under <= "\u28ff":
                character = chr(ord(under) | ord(character))
            cells[row][GUTTER + column] = (character, _role(arm))


def _ends(cells: list[list[Cell]], plot: Plot, scale: tuple[float, float], rows: int, columns: int) -> None:
    """The variant's glyph on its last point; when two meet, the lower value gives way by one row."""
    low, high = scale
    taken: set[int] = set()
    ends = []
    for line, arm in zip(plot.series.series, plot.arms, strict=True):
        value = next((value for value in reversed(line.values) if value is not None), None)
        if value is not None:
            place = (
                len(line.values) - 1 - next(i for i, v in enumerate(reversed(line.values)) if v is not None)
            )
            ends.append((value, arm, round(place * (columns - 1) / max(len(line.values) - 1, 1))))
    for value, arm, column in sorted(ends, reverse=True):
        level = round((value - low) / (high - low) * (rows * 4 - 1))
        row = rows - 1 - level // 4
        while row in taken and row < rows - 1:
            row += 1
        while row in taken and row > 0:
            row -= 1
        taken.add(row)
        cells[row][GUTTER + column] = (arm_glyph(arm), _role(arm))


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


def _write(row: list[Cell], column: int, words: str, name: str) -> None:
    for offset, character in enumerate(words):
        if 0 <= column + offset < len(row):
            row[column + offset] = (character, name)


class Chart(Widget):
    """Paints a Plot; `waiting` says what it waits for while there is none."""

    DEFAULT_CSS = "Chart { width: 1fr; height: 9; background: $kt-base; color: $kt-text; }"

    def __init__(self, waiting: str = "no data yet", *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._waiting = waiting
        self._plot: Plot | None = None
        self._cells: list[list[Cell]] | None = None
        self._painted_for: tuple[int, int] = (0, 0)

    def show(self, plot: Plot) -> None:
        """Shows new data; an equal plot draws nothing."""
        if self._plot is not None and self._plot.series == plot.series and self._plot.arms == plot.arms:
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
