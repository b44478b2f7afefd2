"""LiveCharts: the two charts of Live, or two lines of them on a short screen, and where their data comes from."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.css.query import NoMatches
from textual.message import Message

from ktui.answers import Series
from ktui.chart_choice import MEASURES, Choice, choice_from, step_of
from ktui.link import GatewayLink, LinkError
from ktui.refresh import CHARTS_S, Scheduler
from ktui.screens.pane import Entry
from ktui.state import AppState
from ktui.widgets.chart_region import ChartRegion
from ktui.widgets.spark_rows import SparkRows

DEFAULTS = {"left": Choice("latency_p95"), "right": Choice("cost_per_1k")}
_SLOW_FROM_S, _SLOW_S = 3_600, 5.0
"""Charts of an hour and more are asked for less often."""


class LiveCharts(Vertical):
    """Two charts, each with a choice of its own that is remembered."""

    DEFAULT_CSS = "LiveCharts { height: auto; width: 1fr; }"

    class SpanChosen(Message):
        """The requests of a span are wanted, seconds since 1970; None: all of them again."""

        def __init__(self, span: tuple[float, float] | None) -> None:
            super().__init__()
            self.span = span

    class Said(Message):
        """Something for the note line."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    class Left(Message):
        """The reader leaves the charts."""

    def __init__(
        self,
        link: GatewayLink,
        state: AppState,
        scheduler: Scheduler,
        shown: Callable[[], bool],
        *,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._link = link
        self._state = state
        self._scheduler = scheduler
        kept = state.settings.now.charts
        choices = {side: choice_from(kept.get(side, ""), default) for side, default in DEFAULTS.items()}
        self.left = ChartRegion(state, choices["left"], id="left-chart")
        self.right = ChartRegion(state, choices["right"], id="right-chart")
        self._sparks = SparkRows(state, (choices["left"], choices["right"]), id="sparks")
        self.span: tuple[float, float] | None = None
        """What both charts show instead of their windows, seconds since 1970."""
        self._asked_at = 0.0
        scheduler.register("charts", CHARTS_S, self._ask, lambda: shown() and state.frozen_at is None)

    def compose(self) -> ComposeResult:
        """Charts (tall) or two lines of them (short)."""
        with Horizontal(id="charts"):
            yield self.left
            yield self.right
        yield self._sparks

    def changed(self) -> None:
        """There may be something new to draw."""
        self._scheduler.mark("charts")

    def renew(self) -> None:
        """What was drawn is of no use any more: another moment is shown."""
        self.span = None
        self._asked_at = 0.0
        self._scheduler.mark("charts")

    def next_measure(self) -> None:
        """The next measure of the left chart."""
        self.left.action_view_next()

    def entries(self) -> Iterable[Entry]:
        """Every measure, for the palette."""
        return [
            Entry(
                f"Chart: {measure.titles[0]}", f"on the {side}", partial(self._choose, region, metric), False
            )
            for side, region in (("left", self.left), ("right", self.right))
            for metric, measure in MEASURES.items()
        ]

    # -- data

    def _ask(self) -> None:
        slow = all(region.choice.over.seconds >= _SLOW_FROM_S for region in (self.left, self.right))
        if slow and time.monotonic() - self._asked_at < _SLOW_S:
            self._scheduler.mark("charts")
            return
        self._load()

    @work(exclusive=True, group="charts", exit_on_error=False)
    async def _load(self) -> None:
        span = self.span
        try:
            left, right = await asyncio.gather(self._series(self.left, span), self._series(self.right, span))
        except LinkError:
            return  # The header says that the link is lost; the old charts stay.
        self._asked_at = time.monotonic()
        if self._state.frozen_at is None and span == self.span:
            self._show(left, right)

    async def _series(self, region: ChartRegion, span: tuple[float, float] | None) -> Series:
        choice = region.shown
        if span is None:
            over = choice.over
            return await self._link.series(
                choice.metric, group_by=choice.group, window=over.span, step=over.step
            )
        return await self._link.series(
            choice.metric, group_by=choice.group, span=span, step=step_of(span[1] - span[0])
        )

    def _show(self, left: Series, right: Series) -> None:
        try:
            self.left.show(left, span=self.span)
            self.right.show(right, span=self.span)
            self._sparks.show([(self.left.shown, left), (self.right.shown, right)])
        except NoMatches:
            return  # The screen was closed while the answer was on its way.

    # -- what the reader chooses

    def _choose(self, region: ChartRegion, metric: str) -> None:
        region.choose(replace(region.choice, metric=metric))

    def on_chart_region_chosen(self, event: ChartRegion.Chosen) -> None:
        """Remembered, and fetched at once."""
        event.stop()
        kept = {"left": self.left.choice.text(), "right": self.right.choice.text()}
        self._state.settings.change(charts={**self._state.settings.now.charts, **kept})
        self._asked_at = 0.0
        self._scheduler.now("charts")

    def on_chart_region_span(self, event: ChartRegion.Span) -> None:
        """Both charts and the list show that span."""
        event.stop()
        self.span = event.span
        self._asked_at = 0.0
        self._scheduler.now("charts")
        self.post_message(self.SpanChosen(event.span))

    def on_chart_region_hint(self, event: ChartRegion.Hint) -> None:
        """What the cursor can do."""
        event.stop()
        self.post_message(self.Said(event.words))

    def on_chart_region_left(self, event: ChartRegion.Left) -> None:
        """Back to the list."""
        event.stop()
        self.post_message(self.Left())

    def on_chart_region_menu(self, event: ChartRegion.Menu) -> None:
        """All measures."""
        event.stop()
        self.app.search_commands(
            [
                (measure.titles[0], partial(self._choose, event.region, metric))
                for metric, measure in MEASURES.items()
            ],
            placeholder="Show …",
        )
