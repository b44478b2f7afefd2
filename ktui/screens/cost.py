"""Cost: what was spent, on what and by whom, where the month is heading, and what cheaper routing would save."""

from __future__ import annotations

import time
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from ktui.answers import Config, Status
from ktui.commands import bindings
from ktui.cost_answers import Advice, Finding
from ktui.cost_chart_words import MEASURES, bars_of, span_meta, step_words
from ktui.cost_findings import finding_line, findings_title
from ktui.cost_table import CostRow, paint, row_words, rows_of, title_line
from ktui.cost_words import (
    GROUPINGS,
    WINDOWS,
    basis_words,
    best_words,
    covered_words,
    finding_note,
    kinds,
    sentence,
    window_for,
)
from ktui.geometry import TALL, WIDE
from ktui.link import GatewayLink, LinkError
from ktui.screens.cost_actions import CostActions
from ktui.state import AppState
from ktui.themes import role
from ktui.widgets.heading import Heading
from ktui.widgets.row_list import CopyList, RowList
from ktui.widgets.spend_chart import SpendChart

RENEW_S = 10.0
"""Seconds after which the figures are asked for again."""
ADVISE_S = 60.0
"""The same for advice, which takes a replay."""
_BESIDE = 112
"""Cells from which on the kinds of spend stand beside the bars."""
_BELOW = 36
"""Rows from which on the findings stand below the table."""
_HINT = "enter writes it as a draft on screen 2, where ctrl+s shows its impact"


class CostPane(CostActions):
    """The fifth screen."""

    place: ClassVar[str] = "cost"
    title: ClassVar[str] = "Cost"
    BINDINGS: ClassVar[list[BindingType]] = bindings("cost")

    def __init__(self, link: GatewayLink, state: AppState, *, id: str | None = None) -> None:
        super().__init__(link, state, id=id)
        self._asked_at = self._advised_at = float("-inf")
        self._advised_for = -1
        self._trouble = ""
        self.list: CopyList[CostRow] = CopyList(
            lambda row, width: paint(self.app, row, width),
            lambda width: title_line(self.app, self.dimension, width, self.sort, reverse=self.reverse),
            id="cost-rows",
        )
        self.findings: RowList[Finding] = RowList(
            lambda finding, width: finding_line(self.app, finding, width, per_week=self.per_week),
            lambda width: findings_title(self.app, width, self._saved()),
            follow_content=True,
            id="cost-findings",
        )
        self.chart = SpendChart(id="cost-chart")
        self._sentence = Static(id="cost-sentence", markup=False)
        self._kinds = Static(id="cost-kinds", markup=False)
        self._best = Static(id="cost-best", markup=False)
        self._hint = Static(id="cost-hint", markup=False)
        self._shown: dict[str, Text] = {}
        self._chart_heading = Heading("Spend", "", region=self.chart)
        self._side_heading = Heading("Kinds of spend", "", region=self._kinds)
        self._heading = Heading("By model", "waiting for the gateway", region=self.list)
        self._advice_heading = Heading("Cheaper routing", "", region=self.findings)

    def compose(self) -> ComposeResult:
        """The sentence, spend along time, the breakdown, the findings."""
        yield self._sentence
        with Horizontal(id="cost-top"):
            with Vertical(id="cost-along"):
                yield self._chart_heading
                yield self.chart
            with Vertical(id="cost-side"):
                yield self._side_heading
                yield self._kinds
        with Vertical(id="cost-groups"):
            yield self._heading
            yield self.list
        yield self._best
        with Vertical(id="cost-advice"):
            yield self._advice_heading
            yield self.findings
            yield self._hint

    # -- what arrives

    def on_mount(self) -> None:
        """Nothing is known yet, and that is said."""
        self._wait("loading")

    def on_status(self, status: Status) -> None:
        """Figures are asked for again now and then."""
        due = time.monotonic() - self._asked_at >= RENEW_S
        if self.shown and self.state.frozen_at is None and due:
            self.load()

    def on_config(self, config: Config) -> None:
        """Another policy may make other advice, and calls other days days."""
        self._advised_at = float("-inf")
        if self.shown and self.state.frozen_at is None:
            self.load()

    def on_frozen(self, frozen: bool) -> None:
        """Thawing shows the present."""
        if not frozen and self.shown:
            self.load()
        self._show()

    def on_moment(self, at: datetime | None) -> None:
        """Everything is asked for again, as of that moment."""
        self.cost, self.advice = None, None
        self._asked_at = self._advised_at = float("-inf")
        self._wait("loading")
        if self.shown:
            self.load()

    def watch_shown(self, shown: bool) -> None:
        """A pane that comes back shows the present."""
        if shown and self.state.frozen_at is None:
            self.load()

    def load(self, *, advice: bool = False) -> None:
        """Ask for what is shown now; `advice` also when it is not due."""
        # The next round counts from here, so that a slow answer is not asked for twice.
        self._asked_at = time.monotonic()
        self._load()
        stale = advice or time.monotonic() - self._advised_at >= ADVISE_S
        if self.cost is not None and (stale or self._advised_for != self.window):
            self._load_advice()

    @work(exclusive=True, group="cost-load", exit_on_error=False)
    async def _load(self) -> None:
        first = self.cost is None
        try:
            cost = await self.link.cost(window=WINDOWS[self.window][0], group_by=self.dimension)
            if not self.window_chosen and cost.calendar.first is not None:
                window = window_for(cost.calendar.now - cost.calendar.first)
                if window != self.window:
                    self.window = window
                    cost = await self.link.cost(window=WINDOWS[window][0], group_by=self.dimension)
        except LinkError as error:
            self._trouble = str(error)
            if self.cost is None:
                self._wait(f"? {error}")
            self._show_headings()
            return
        self._trouble, self.cost = "", cost
        self._show()
        if first:
            self.load()

    @work(exclusive=True, group="cost-advice", exit_on_error=False)
    async def _load_advice(self) -> None:
        window = self.window
        self._advised_at, self._advised_for = time.monotonic(), window
        if self.advice is None:
            self.findings.show_empty(Text("replaying recorded requests", style=role(self.app, "muted")))
        try:
            self.advice = await self.link.cost_advice(window=WINDOWS[window][0])
        except LinkError as error:
            self.advice = None
            self.findings.show_empty(Text(f"? {error}", style=role(self.app, "unknown")))
            self.findings.show(())
            self._put("hint", self._hint, Text())
            return
        self._show_advice()

    # -- drawing

    def on_resize(self) -> None:
        """Sentences and regions follow the room; where the bars have none beside the kinds, those go."""
        self.set_class(self.app.size.width < _BESIDE, "-close")
        self.set_class(self.short, "-tight")
        self._show()

    @property
    def short(self) -> bool:
        """Whether the findings stand in place of the table, not below it."""
        return self.app.size.height < _BELOW

    def _wait(self, words: str) -> None:
        text = Text(words, style=role(self.app, "unknown" if words.startswith("?") else "muted"))
        self._put("sentence", self._sentence, text)
        self.list.show_empty(text)
        self.list.show(())
        self.chart.show_waiting("")
        self._put("kinds", self._kinds, Text())

    def _show(self) -> None:
        """Everything that is known, drawn where it changed."""
        cost = self.cost
        if cost is None or not self.is_mounted:
            return
        narrow = self.app.size.width < WIDE or self.app.size.height < TALL
        self._put("sentence", self._sentence, sentence(self.app, cost, narrow))
        self._put("kinds", self._kinds, kinds(self.app, cost.total))
        if cost.total.requests:
            self.chart.show(bars_of(cost, self.measure))
        else:
            self.chart.show_waiting(f"no request in {WINDOWS[self.window][2]}")
        self.show_rows()
        self._show_headings()
        self._show_advice()
        self.note_changed()

    def show_rows(self) -> None:
        """The table in its order; the cursor stays on its group."""
        cost = self.cost
        if cost is None:
            return
        rows = rows_of(cost, self.sort, reverse=self.reverse)
        words = f"nothing spent in {WINDOWS[self.window][2]}; - looks further back"
        if cost.total.requests:
            words = f"no request of {WINDOWS[self.window][2]} has a {self.dimension}; b groups by another"
        self.list.show_empty(Text(words, style=role(self.app, "muted")))
        if [row.name for row in rows] == [row.name for row in self.list.items] and rows:
            self.list.renew(rows, changed_only=True)
            return
        before = self.list.current
        place = next((i for i, row in enumerate(rows) if before is not None and row.name == before.name), 0)
        self.list.show(rows, cursor=place)

    def _show_headings(self) -> None:
        cost = self.cost
        if cost is None:
            self._heading.update(meta=f"? {self._trouble}" if self._trouble else "loading")
            return
        others = ", ".join(name for name in GROUPINGS if name != self.dimension)
        meta = f"b: {others}"
        if cost.overlap:
            meta = f"rows overlap · {meta}"
        if not cost.complete:
            meta = f"? still being counted · {meta}"
        if self._trouble:
            meta = f"? not renewed: {self._trouble}"
        if self.state.frozen_at is not None:
            meta = f"‖ frozen {self.state.frozen_at:%H:%M:%S} · {meta}"
        self._heading.update(f"By {self.dimension}", meta)
        name, words = MEASURES[self.measure][1], WINDOWS[self.window][2]
        self._chart_heading.update(f"{name} per {step_words(cost.spend.step_s)}", f"{span_meta(cost)} · - +")
        self._side_heading.update(meta=f"last {words}")

    def _show_advice(self) -> None:
        advice: Advice | None = self.advice
        if advice is None:
            self._advice_heading.update(meta="advice, never applied by itself")
            return
        covered = covered_words(advice.covered_s)
        whole = "" if advice.complete else "newest "
        self._advice_heading.update(
            meta=f"each by itself, from {covered}; never applied by itself"
            if self.app.size.width < WIDE
            else f"each by itself, from the {whole}{advice.requests:,} requests of {covered}; never applied by itself"
        )
        empty = "no cheaper routing found: no dearer model takes part, or too few requests"
        self.findings.show_empty(Text(empty, style=role(self.app, "muted")))
        if advice.findings != self.findings.items:
            self.findings.show(advice.findings)
        self._put(
            "hint", self._hint, Text(f"   {_HINT}" if advice.findings else "", style=role(self.app, "muted"))
        )
        line = Text(" i ", style=role(self.app, "focus"), no_wrap=True, overflow="ellipsis")
        self._put(
            "best", self._best, line.append(best_words(advice.findings, covered), role(self.app, "muted"))
        )

    def _saved(self) -> str:
        if self.per_week or self.advice is None:
            return "saves per week"
        return f"saved in {covered_words(self.advice.covered_s)}"

    @property
    def per_week(self) -> bool:
        """Whether there was enough traffic to speak of weeks."""
        advice = self.advice
        return advice is not None and all(one.saving_per_week is not None for one in advice.findings)

    def _put(self, name: str, place: Static, text: Text) -> None:
        """Draws only what reads differently."""
        before = self._shown.get(name)
        if before is None or before != text or before.style != text.style:
            self._shown[name] = text
            place.update(text)

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        """The note follows the cursor."""
        event.stop()
        self.note_changed()

    def note(self) -> Text:
        """The thing under the cursor in a sentence; else who lacks a price, or how the month was projected."""
        if self.cost is None:
            return Text("what was spent, from the roll-ups of the store")
        if self.findings.has_focus and self.findings.current is not None:
            return Text(finding_note(self.findings.current))
        row = self.list.current
        if row is None:
            return Text(basis_words(self.cost.calendar))
        if row.group is not None and row.measures.unpriced and not row.measures.priced:
            return Text(f"{row_words(row, self.dimension)} · e opens its target, where pricing is given")
        if row.group is None:
            return Text(f"{row_words(row, self.dimension)} · {basis_words(self.cost.calendar)}")
        return Text(row_words(row, self.dimension))

    def focus_main(self) -> None:
        """The breakdown."""
        (self.findings if self.has_class("-advice") and self.short else self.list).focus()
