"""The lines of a chart: which are drawn, how each looks, and how much of the time is worth drawing."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ktui.answers import Line, Series
from ktui.state import AppState
from ktui.widgets.chart import MOST_GROUPS, Look, arm_look, group_look
from proxy.base.sanitise import sanitise


@dataclass(frozen=True)
class Measured:
    """One line of a chart, how it looks, and what it is called in the heading (empty: its glyph says it)."""

    line: Line
    look: Look
    name: str = ""

    @property
    def value(self) -> float | None:
        """The value of the window, or the last known point."""
        if self.line.window_value is not None:
            return self.line.window_value
        return next((value for value in reversed(self.line.values) if value is not None), None)


def trimmed(series: Series, window: str = "15 min") -> tuple[Series, str]:
    """The newest 2 or 5 minutes where those hold all data, and how long that is: a young gateway fills its chart."""
    firsts = [next((i for i, v in enumerate(line.values) if v is not None), None) for line in series.series]
    known = [index for index in firsts if index is not None]
    if window not in ("5 min", "15 min") or not known or len(series.times) < 2:
        return series, window
    end = series.times[-1]
    for minutes in (2, 5):
        start = next((i for i, at in enumerate(series.times) if at > end - minutes * 60), 0)
        if min(known) >= start:
            lines = tuple(replace(line, values=line.values[start:]) for line in series.series)
            return replace(series, times=series.times[start:], series=lines), f"{minutes} min"
    return series, window


def measured(series: Series, state: AppState, group: str = "variant") -> tuple[list[Measured], int]:
    """The lines to draw, and how many there are beside them.

    By variant: those of the split that matters, in the order of its arms; otherwise the groups with most requests.
    """
    split = state.main_split
    if group == "variant" and split is not None:
        found = [
            (split.tags.index(line.group), line)
            for line in series.series
            if line.split in (None, split.name) and line.group in split.tags
        ]
        return [Measured(line, arm_look(arm)) for arm, line in sorted(found, key=lambda pair: pair[0])], 0
    if group == "variant":
        lines = list(enumerate(series.series))
        return [Measured(line, arm_look(arm), sanitise(line.group, 24)) for arm, line in lines], 0
    if group == "all":
        return [Measured(line, Look("●", "text")) for line in series.series[:1]], 0
    largest = sorted(series.series, key=lambda line: -line.requests)
    shown = [
        Measured(line, group_look(index), sanitise(line.group, 24))
        for index, line in enumerate(largest[:MOST_GROUPS])
    ]
    return shown, max(len(largest) - MOST_GROUPS, 0)
