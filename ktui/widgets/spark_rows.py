"""SparkRows: both charts as two lines, for a short screen: `p95  ■ a ▅▃▂ 2.31 s  ◆ b ▂▃▅ 2.05 s`."""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from ktui.answers import Series
from ktui.chart_choice import Choice
from ktui.state import AppState
from ktui.themes import role
from ktui.widgets.chart_lines import Measured, measured, trimmed
from ktui.widgets.header_lines import short_tags
from ktui.widgets.sparkline import spark
from proxy.base.sanitise import sanitise

_MOST = 3
"""Lines of one row; a group beyond them is counted."""


class SparkRows(Widget):
    """Two rows, one for each choice."""

    DEFAULT_CSS = "SparkRows { height: 2; width: 1fr; background: $kt-base; color: $kt-text; }"

    def __init__(self, state: AppState, choices: tuple[Choice, Choice], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state = state
        self._rows: list[tuple[Choice, list[Measured], int]] = [(choice, [], 0) for choice in choices]
        self._shown = ""

    def show(self, rows: list[tuple[Choice, Series]]) -> None:
        """Shows these series; equal rows draw nothing."""
        self._rows = [
            (choice, *measured(trimmed(series, choice.window)[0], self._state, choice.group))
            for choice, series in rows
        ]
        if self.is_mounted and self._text().markup != self._shown:
            self.refresh()

    def render(self) -> RenderResult:
        """Two lines."""
        text = self._text()
        self._shown = text.markup
        return text

    def _text(self) -> Text:
        return Text("\n", no_wrap=True, end="").join([self._row(*row) for row in self._rows])

    def _row(self, choice: Choice, entries: list[Measured], more: int) -> Text:
        measure = choice.measure
        line = Text(no_wrap=True, end="").append(f" {measure.titles[-1]:<6.7}", role(self.app, "muted"))
        if not entries:
            return line.append(f"no request in the last {choice.window}", role(self.app, "unknown"))
        more += max(len(entries) - _MOST, 0)
        entries = entries[:_MOST]
        tags = [sanitise(tag, 12) for tag in short_tags([entry.line.group for entry in entries])]
        words = ["no data" if entry.value is None else measure.value(entry.value) for entry in entries]
        tail = measure.unit + (f" +{more}" if more else "")
        fixed = sum(len(tag) + 4 for tag in tags) + 9 * len(entries) + len(tail)
        room = max((self.size.width - 9 - fixed) // len(entries), 4)
        for entry, tag, value in zip(entries, tags, words, strict=True):
            style = role(self.app, entry.look.role)
            line.append(f"{entry.look.glyph} {tag} ", style)
            line.append(spark(entry.line.values, room), style)
            last = entry is entries[-1]
            line.append(f" {value}" if last else f" {value:<8}", role(self.app, "text"))
            line.append(tail if last else " ", role(self.app, "muted"))
        line.truncate(max(self.size.width - 1, 0), overflow="ellipsis")
        return line
