"""ChartRegion: a heading with the values of now, and the chart below it. SparkRows: the same in two lines."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult, RenderResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from ktui.answers import Line, Series
from ktui.commands import bindings
from ktui.glyphs import arm_glyph
from ktui.number_words import duration_ms, sum_cost
from ktui.state import AppState
from ktui.themes import ARM_ROLES, arm_role, role
from ktui.widgets.chart import Chart, Plot
from ktui.widgets.header_lines import short_tags
from ktui.widgets.heading import Heading
from ktui.widgets.sparkline import spark
from proxy.base.sanitise import sanitise

LATENCIES = ("latency_p95", "latency_p99", "latency_p50")
COST = "cost_per_1k"
WINDOW = "15m"
_TITLES = {
    "latency_p50": ("Latency p50", "p50"),
    "latency_p95": ("Latency p95", "p95"),
    "latency_p99": ("Latency p99", "p99"),
    COST: ("Cost per 1,000 requests", "cost"),
}


@dataclass(frozen=True)
class Measured:
    """One line of a chart with its place among the arms."""

    line: Line
    arm: int

    @property
    def value(self) -> float | None:
        """The value of the window, or the last known point."""
        if self.line.window_value is not None:
            return self.line.window_value
        return next((value for value in reversed(self.line.values) if value is not None), None)


def trimmed(series: Series) -> tuple[Series, str]:
    """The newest 2, 5 or 15 minutes, whichever holds all data, and its name: a young gateway fills its chart."""
    firsts = [next((i for i, v in enumerate(line.values) if v is not None), None) for line in series.series]
    known = [index for index in firsts if index is not None]
    if not known or len(series.times) < 2:
        return series, "15 min"
    end = series.times[-1]
    for minutes in (2, 5):
        start = next((i for i, at in enumerate(series.times) if at > end - minutes * 60), 0)
        if min(known) >= start:
            lines = tuple(replace(line, values=line.values[start:]) for line in series.series)
            return replace(series, times=series.times[start:], series=lines), f"{minutes} min"
    return series, "15 min"


def measured(series: Series, state: AppState) -> list[Measured]:
    """The lines of the split that matters, in the order of its arms; without a split all, as they come."""
    split = state.main_split
    if split is None:
        return [Measured(line, index) for index, line in enumerate(series.series)]
    found = []
    for line in series.series:
        if line.split in (None, split.name) and line.group in split.tags:
            found.append(Measured(line, split.tags.index(line.group)))
    return sorted(found, key=lambda entry: entry.arm)


def value_words(metric: str, value: float | None) -> str:
    """A value of this metric as the heading writes it."""
    if value is None:
        return "no data"
    return sum_cost(value) if metric == COST else duration_ms(value)


def axis_words(metric: str, value: float) -> str:
    """A value of this metric as the axis writes it: short."""
    if metric == COST:
        return f"${value:,.0f}" if value >= 100 else f"${value:.1f}" if value >= 1 else f"${value:.3f}"
    return f"{value:.0f} ms" if value < 999.5 else f"{value / 1_000:.1f} s"


def clock_words(seconds: float) -> str:
    """`14:17`, local time."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%H:%M}"


class ChartRegion(Vertical, can_focus=True):
    """One chart with its heading. `v` on a latency chart asks for the next measure."""

    DEFAULT_CSS = """
    ChartRegion { width: 1fr; height: 12; background: $kt-base; }
    ChartRegion > Chart { margin-top: 1; height: 9; }
    """

    BINDINGS: ClassVar[list[BindingType]] = bindings("live", only=["view.next"])

    class NextMeasure(Message):
        """The reader wants the next measure."""

    def __init__(self, state: AppState, metric: str, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state = state
        self.metric = metric
        self._heading = Heading("", "15 min", region=self)
        self._chart = Chart(waiting="no request in the last 15 minutes")
        self._entries: list[Measured] = []

    def compose(self) -> ComposeResult:
        """Heading and chart."""
        yield self._heading
        yield self._chart

    def on_mount(self) -> None:
        """The title stands before the data comes."""
        self._title()

    def on_resize(self) -> None:
        """The title gives things up when it gets narrow."""
        self._title()

    def show(self, series: Series, metric: str) -> None:
        """Shows this series."""
        self.metric = metric
        series, window = trimmed(series)
        self._heading.update(meta=window)
        self._entries = measured(series, self._state)
        lines = tuple(entry.line for entry in self._entries)
        kept = Series(series.metric, series.unit, series.step_s, series.times, lines, series.markers)
        arms = tuple(entry.arm for entry in self._entries)
        self._chart.show(Plot(kept, arms, lambda value: axis_words(metric, value), clock_words))
        self._title()

    def _title(self) -> None:
        full, short = _TITLES[self.metric]
        names = (full, "Cost / 1,000", "Cost / 1k") if self.metric == COST else (full, short)
        for name in names:
            title = Text(no_wrap=True, end="").append(name, role(self.app, "strong"))
            for entry in self._entries:
                words = f" {arm_glyph(entry.arm)} {value_words(self.metric, entry.value)}"
                title.append(words, role(self.app, _arm(entry.arm)))
            if title.cell_len + 12 <= self.size.width:
                break
        self._heading.update(title)

    def action_view_next(self) -> None:
        """The next measure."""
        self.post_message(self.NextMeasure())


def _arm(index: int) -> str:
    return arm_role(index) if index < len(ARM_ROLES) else "text"


class SparkRows(Widget):
    """Both charts as two lines, for a short screen: `p95  ■ a ▅▃▂ 2.31 s  ◆ b ▂▃▅ 2.05 s`."""

    DEFAULT_CSS = "SparkRows { height: 2; width: 1fr; background: $kt-base; color: $kt-text; }"

    def __init__(self, state: AppState, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state = state
        self._rows: dict[str, list[Measured]] = {}
        self._shown = ""

    def show(self, latency: Series, metric: str, cost: Series) -> None:
        """Shows these series."""
        self._rows = {
            metric: measured(trimmed(latency)[0], self._state),
            COST: measured(trimmed(cost)[0], self._state),
        }
        if self.is_mounted and self._text().markup != self._shown:
            self.refresh()

    def render(self) -> RenderResult:
        """Two lines."""
        text = self._text()
        self._shown = text.markup
        return text

    def _text(self) -> Text:
        rows = self._rows or {LATENCIES[0]: [], COST: []}
        lines = [self._row(metric, entries) for metric, entries in rows.items()]
        return Text("\n", no_wrap=True, end="").join(lines)

    def _row(self, metric: str, entries: list[Measured]) -> Text:
        line = Text(no_wrap=True, end="").append(f" {_TITLES[metric][1]:<6}", role(self.app, "muted"))
        if not entries:
            return line.append("no request in the last 15 minutes", role(self.app, "unknown"))
        tags = [sanitise(tag, 12) for tag in short_tags([entry.line.group for entry in entries])]
        words = [value_words(metric, entry.value) for entry in entries]
        unit = " / 1k" if metric == COST else ""
        fixed = sum(len(tag) + 4 for tag in tags) + 9 * len(entries) + len(" / 1k")
        room = max((self.size.width - 9 - fixed) // len(entries), 4)
        for entry, tag, value in zip(entries, tags, words, strict=True):
            style = role(self.app, _arm(entry.arm))
            line.append(f"{arm_glyph(entry.arm)} {tag} ", style)
            line.append(spark(entry.line.values, room), style)
            last = entry is entries[-1]
            line.append(f" {value}" if last else f" {value:<8}", role(self.app, "text"))
            line.append(unit if last else " ", role(self.app, "muted"))
        line.truncate(max(self.size.width - 1, 0), overflow="ellipsis")
        return line
