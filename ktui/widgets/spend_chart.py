"""SpendChart: bars of equal width along time; the last one is not over yet and stands out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip
from textual.widget import Widget

from ktui.glyphs import SPARK
from ktui.themes import palette_of

_GAP = 2
_NAME = 5
"""Cells of what is told at the right: a gap, `peak`, `now` or `low`, then its value."""
_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Bars:
    """What is drawn. A value of None is unknown: a gap. `label` writes a value."""

    times: tuple[int, ...]
    values: tuple[float | None, ...]
    step_s: int
    label: Callable[[float], str]


Cell = tuple[str, str]
"""A character and its role."""


def time_labels(times: tuple[int, ...], step_s: int, width: int) -> list[tuple[int, str]]:
    """(place among the bars, words) where a day begins, else where a round time does; `width` cells a bar."""
    if not times:
        return []
    moments = [datetime.fromtimestamp(at).astimezone() for at in times]
    span = times[-1] - times[0] + step_s
    if span > 2 * _DAY_S:
        found = [
            (i, f"{at:%a} {at.day}")
            for i, at in enumerate(moments)
            if not i or at.date() != moments[i - 1].date()
        ]
        if span > 14 * _DAY_S:
            found = [(i, f"{moments[i].day} {moments[i]:%b}") for i, _ in found]
    else:
        found = [(i, f"{at:%H:%M}") for i, at in enumerate(moments)]
    kept: list[tuple[int, str]] = []
    free = 0
    for place, words in found:
        if place * width >= free and place * width + len(words) <= len(times) * width:
            kept.append((place, words))
            free = place * width + len(words) + 2
    return kept


def paint(bars: Bars, width: int, height: int, *, axis: bool) -> list[list[Cell]] | None:
    """The chart as `height` rows of `width` cells; None without room."""
    number = len(bars.values)
    entries = _told(bars)
    wide = max((len(words) for _, words in entries), default=0)
    side = _GAP + _NAME + wide
    rows = height - (2 if axis else 0)
    if not number or rows < 1 or width - 2 < number:
        return None
    if width - 2 - side < number:
        entries, side = [], 0
    each = (width - 2 - side) // number
    cells: list[list[Cell]] = [[(" ", "")] * width for _ in range(height)]
    high = max((value for value in bars.values if value is not None), default=0.0)
    for place, value in enumerate(bars.values):
        shade = "text" if place == number - 1 else "muted"
        _bar(cells, 1 + place * each, each, value, high, rows, shade)
    if axis:
        for column in range(1, 1 + number * each):
            cells[rows][column] = ("─", "rule")
        for place, words in time_labels(bars.times, bars.step_s, each):
            _write(cells[rows + 1], 1 + place * each, words, "muted")
    column = 1 + number * each + _GAP
    for row, (name, words) in zip(range(rows), entries, strict=False):
        _write(cells[row], column, name, "muted")
        _write(cells[row], column + _NAME + wide - len(words), words, "text")
    return cells


def _bar(
    cells: list[list[Cell]], left: int, width: int, value: float | None, high: float, rows: int, shade: str
) -> None:
    if value is None or value <= 0 or high <= 0:
        return
    eighths = max(round(value / high * rows * 8), 1)
    for row in range(rows):
        here = min(max(eighths - (rows - 1 - row) * 8, 0), 8)
        if here:
            for column in range(left, left + max(width - (width > 2), 1)):
                cells[row][column] = (SPARK[here - 1], shade)


def _told(bars: Bars) -> list[tuple[str, str]]:
    """Highest, present and lowest bar. The lowest of whole ones, for the last one is not over; of one there is none."""
    known = [value for value in bars.values if value is not None]
    whole = [value for value in bars.values[:-1] if value is not None]
    if not known:
        return []
    entries = [("peak", max(known)), ("now", bars.values[-1])]
    if len(whole) > 1:
        entries.append(("low", min(whole)))
    return [(name, "unknown" if value is None else bars.label(value)) for name, value in entries]


def _write(row: list[Cell], column: int, words: str, shade: str) -> None:
    for offset, character in enumerate(words):
        if 0 <= column + offset < len(row):
            row[column + offset] = (character, shade)


class SpendChart(Widget):
    """Paints Bars line by line; nothing is drawn when they are what they were."""

    DEFAULT_CSS = "SpendChart { width: 1fr; height: 1fr; background: $kt-base; color: $kt-text; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._bars: Bars | None = None
        self._waiting = "waiting for the gateway"

    def show(self, bars: Bars) -> None:
        """Shows these bars."""
        before, self._bars = self._bars, bars
        if (
            before is None
            or (before.times, before.values) != (bars.times, bars.values)
            or before.label is not bars.label
        ):
            self.refresh()

    def show_waiting(self, words: str) -> None:
        """What stands there while there is nothing to draw."""
        if self._bars is not None or words != self._waiting:
            self._bars, self._waiting = None, words
            self.refresh()

    def on_mount(self) -> None:
        """A new theme paints anew."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.refresh())

    def render_line(self, y: int) -> Strip:
        """One row of the picture."""
        width, height = self.size
        cells = paint(self._bars, width, height, axis=height >= 6) if self._bars is not None else None
        if cells is None:
            words = self._waiting if self._bars is None else "too narrow for the bars"
            text = f"  {words}" if y == 0 else ""
            return Strip([Segment(text[:width].ljust(width), self._style("muted"))], width)
        segments = [Segment(character, self._style(name)) for character, name in cells[y]]
        return Strip(segments, width).simplify()

    def _style(self, name: str) -> Style:
        palette = palette_of(self.app)
        ground = palette.rich("text") + palette.rich("base")
        return ground + palette.rich(name) if name else ground
