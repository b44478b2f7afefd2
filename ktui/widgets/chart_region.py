"""ChartRegion: a heading with the values, and the chart below it, where a cursor reads them along time."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical
from textual.events import MouseDown, MouseMove, MouseUp
from textual.message import Message

from ktui.answers import Series
from ktui.chart_choice import GROUPS, MEASURES, WINDOWS, Choice, after, axis_clock, cursor_clock
from ktui.commands import bindings
from ktui.state import AppState
from ktui.themes import role
from ktui.widgets.chart import Chart, Plot, index_at
from ktui.widgets.chart_lines import Measured, measured, trimmed
from ktui.widgets.heading import Heading


class ChartRegion(Vertical, can_focus=True):
    """One chart with its heading. What it shows is chosen by keys; whoever made it fetches the data."""

    DEFAULT_CSS = """
    ChartRegion { width: 1fr; height: 12; background: $kt-base; }
    ChartRegion > Chart { margin-top: 1; height: 9; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("charts"),
        *bindings("live", only=["view.next"]),
        *bindings("lists", only=["item.open"]),
        *bindings("everywhere", only=["app.back"]),
    ]

    class Chosen(Message):
        """Another measure, group or window is wanted."""

        def __init__(self, region: ChartRegion) -> None:
            super().__init__()
            self.region = region

    class Span(Message):
        """The reader chose a span of time, in seconds since 1970; None: the one before is over."""

        def __init__(self, span: tuple[float, float] | None) -> None:
            super().__init__()
            self.span = span

    class Hint(Message):
        """What the cursor can do, for the note line."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    class Left(Message):
        """`esc` with nothing to undo: the reader leaves the charts."""

    class Menu(Message):
        """The reader wants all measures by name."""

        def __init__(self, region: ChartRegion) -> None:
            super().__init__()
            self.region = region

    def __init__(self, state: AppState, choice: Choice, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state = state
        self.choice = choice
        self.zoomed = False
        """Whether a span is shown that the reader chose."""
        self._heading = Heading("", choice.window, region=self)
        self._chart = Chart(waiting=f"no request in the last {choice.window}")
        self._entries: list[Measured] = []
        self._more = 0
        self._window = choice.window
        self._plot: Plot | None = None
        self._cursor: int | None = None
        self._anchor: int | None = None
        self._pressed = False

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

    # -- what is shown

    @property
    def shown(self) -> Choice:
        """What is asked for and drawn: where no split runs there are no variants, and all requests are one line."""
        status = self._state.status
        if self.choice.group == "variant" and status is not None and not status.splits:
            return replace(self.choice, group="all")
        return self.choice

    def show(self, series: Series, *, span: tuple[float, float] | None = None) -> None:
        """Shows this series of what was chosen; `span` is the one the reader chose, seconds since 1970."""
        choice = self.choice
        self.zoomed = span is not None
        if span is None:
            series, self._window = trimmed(series, choice.window)
            length = choice.over.seconds
        else:
            length = int(span[1] - span[0])
            self._window = f"{cursor_clock(span[0], 60)} to {cursor_clock(span[1], 60)}"
        self._entries, self._more = measured(series, self._state, self.shown.group)
        lines = tuple(entry.line for entry in self._entries)
        kept = replace(series, series=lines)
        looks = tuple(entry.look for entry in self._entries)
        self._keep_cursor(kept)
        self._plot = Plot(kept, looks, choice.measure.axis, lambda at: axis_clock(at, length))
        self._chart.wait(f"no request in {'this span' if span is not None else f'the last {choice.window}'}")
        self._draw()

    def _keep_cursor(self, series: Series) -> None:
        """The cursor stays at its moment, not at its column."""
        old = self._plot.series.times if self._plot is not None else ()
        for name in ("_cursor", "_anchor"):
            place = getattr(self, name)
            if place is None or not series.times:
                setattr(self, name, None)
            elif place < len(old):
                nearest = min(range(len(series.times)), key=lambda i: abs(series.times[i] - old[place]))
                setattr(self, name, nearest)

    def _hint(self) -> None:
        if self._cursor is not None:
            ends = "begins a span" if self._anchor is None else "takes the span: charts and list show it"
            self.post_message(self.Hint(f"h l reads values · enter {ends} · esc leaves"))

    def _draw(self) -> None:
        if self._plot is not None:
            self._chart.show(replace(self._plot, cursor=self._cursor, anchor=self._anchor))
        self._title()

    def _title(self) -> None:
        measure, meta = self.choice.measure, self._meta()
        for name in measure.titles:
            title = Text(no_wrap=True, end="").append(name, role(self.app, "strong"))
            for entry in self._entries:
                words = f" {entry.look.glyph} {entry.name}".rstrip()
                title.append(f"{words} {self._value(entry)}", role(self.app, entry.look.role))
            if title.cell_len + meta.cell_len + 6 <= self.size.width:
                break
        if self._more:
            title.append(f" +{self._more} more", role(self.app, "muted"))
        self._heading.update(title, meta)

    def _value(self, entry: Measured) -> str:
        value = entry.value if self._cursor is None else entry.line.values[self._cursor]
        return "no data" if value is None else self.choice.measure.value(value)

    def _meta(self) -> Text:
        group = self.shown.group
        words = self._window if group == "variant" else f"by {group} · {self._window}"
        if self._cursor is None or self._plot is None:
            return Text(words, style=role(self.app, "muted"))
        series = self._plot.series
        at = cursor_clock(series.times[self._cursor], series.step_s)
        if self._anchor is None:
            return Text(at, style=role(self.app, "text"))
        other = cursor_clock(series.times[self._anchor], series.step_s)
        return Text(f"{min(at, other)} to {max(at, other)}", style=role(self.app, "text"))

    # -- choosing

    def choose(self, choice: Choice) -> None:
        """Show something else."""
        if choice != self.choice:
            self.choice = choice
            self._cursor = self._anchor = None
            self.post_message(self.Chosen(self))

    def action_view_next(self) -> None:
        """The next measure."""
        self.choose(replace(self.choice, metric=after(tuple(MEASURES), self.choice.metric)))

    def action_chart_group(self) -> None:
        """Lines by something else."""
        self.choose(replace(self.choice, group=after(GROUPS, self.choice.group)))

    def action_chart_longer(self) -> None:
        """More time."""
        self._window_by(1)

    def action_chart_shorter(self) -> None:
        """Less time."""
        self._window_by(-1)

    def _window_by(self, step: int) -> None:
        names = tuple(window.name for window in WINDOWS)
        self.choose(replace(self.choice, window=after(names, self.choice.window, step, around=False)))

    def action_chart_measure(self) -> None:
        """All measures by name."""
        self.post_message(self.Menu(self))

    # -- the cursor

    def action_chart_left(self) -> None:
        """Back in time."""
        self._move(-1)

    def action_chart_right(self) -> None:
        """On in time."""
        self._move(1)

    def _move(self, by: int) -> None:
        if self._plot is None or not self._plot.series.times or not self._plot.series.series:
            return
        start = _newest(self._plot.series) if self._cursor is None else self._cursor + by
        self._cursor = min(max(start, 0), len(self._plot.series.times) - 1)
        self._hint()
        self._draw()

    def action_item_open(self) -> None:
        """One end of a span, then the other."""
        if self._cursor is None:
            self._move(0)
        elif self._anchor is None:
            self._anchor = self._cursor
            self._hint()
            self._draw()
        else:
            self._take_span()

    def _take_span(self) -> None:
        if self._plot is None or self._cursor is None or self._anchor is None:
            return
        times, step = self._plot.series.times, self._plot.series.step_s
        low, high = sorted((self._cursor, self._anchor))
        self._cursor = self._anchor = None
        self.post_message(self.Span((times[low], times[high] + step)))
        self._draw()

    def action_app_back(self) -> None:
        """Forgets the span, then the cursor; then leaves."""
        if self._anchor is not None:
            self._anchor = None
        elif self._cursor is not None:
            self._cursor = None
        elif self.zoomed:
            self.post_message(self.Span(None))
        else:
            self.post_message(self.Left())
            return
        self._draw()

    # -- the mouse

    def on_mouse_down(self, event: MouseDown) -> None:
        """Puts the cursor there; what is dragged from here is a span."""
        if self._plot is None or not self._plot.series.times or event.screen_y < self._chart.region.y:
            return
        self._pressed = True
        self._anchor = None
        self._cursor = self._place(event)
        self.capture_mouse()
        self._draw()

    def on_mouse_move(self, event: MouseMove) -> None:
        """The span follows."""
        if not self._pressed or self._cursor is None:
            return
        place = self._place(event)
        if place != self._cursor:
            self._anchor = self._cursor if self._anchor is None else self._anchor
            self._cursor = place
            self._draw()

    def on_mouse_up(self, event: MouseUp) -> None:
        """A span that was dragged is taken."""
        if not self._pressed:
            return
        self._pressed = False
        self.release_mouse()
        if self._anchor is not None:
            self._take_span()

    def _place(self, event: MouseDown | MouseMove) -> int:
        assert self._plot is not None
        return index_at(self._plot, event.screen_x - self._chart.region.x, self._chart.size.width)


def _newest(series: Series) -> int:
    """The last step in which something was measured: of the one that has just begun little is known."""
    lines = (line.values for line in series.series)
    known = (at for values in lines for at, value in enumerate(values) if value is not None)
    return max(known, default=len(series.times) - 1)
