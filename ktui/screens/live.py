"""Live: what happens now. Two charts, the event table, the note on the request under the cursor."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, MutableMapping
from datetime import datetime
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal
from textual.css.query import NoMatches

from ktui.answers import EventRow, Series, Status
from ktui.column_registry import DEFAULTS
from ktui.commands import bindings
from ktui.link import GatewayLink, LinkError
from ktui.refresh import CHARTS_S, TABLE_S, Scheduler
from ktui.screens.column_chooser import ColumnChooser
from ktui.screens.copying import copy_rows
from ktui.screens.event_drawer import EventDrawer
from ktui.screens.live_events import EventsRegion
from ktui.screens.pane import Entry, Pane
from ktui.state import AppState
from ktui.when import ACCEPTED, parse_when
from ktui.widgets.chart_region import COST, LATENCIES, WINDOW, ChartRegion, SparkRows
from ktui.widgets.event_table import EventTable
from ktui.widgets.prompt import Prompt
from proxy.base.sanitise import sanitise


class LivePane(Pane):
    """The first screen."""

    place: ClassVar[str] = "live"
    title: ClassVar[str] = "Live"

    BINDINGS: ClassVar[list[BindingType]] = bindings("live")

    def __init__(
        self,
        link: GatewayLink,
        state: AppState,
        scheduler: Scheduler,
        *,
        named: MutableMapping[str, str] | None = None,
        id: str | None = None,
    ) -> None:
        super().__init__(link, state, id=id)
        self._scheduler = scheduler
        self._measure = 0
        self.events = EventsRegion(
            link, state, scheduler, named if named is not None else state.settings.filters, id="events-region"
        )
        self.table = self.events.table
        scheduler.register("table", TABLE_S, self.events.flush, lambda: self.shown)
        scheduler.register(
            "charts", CHARTS_S, self._ask_charts, lambda: self.shown and state.frozen_at is None
        )

    def compose(self) -> ComposeResult:
        """Charts (tall) or two lines of them (short), then the events."""
        with Horizontal(id="charts"):
            yield ChartRegion(self.state, LATENCIES[0], id="latency")
            yield ChartRegion(self.state, COST, id="cost")
        yield SparkRows(self.state, id="sparks")
        yield self.events

    # -- what arrives

    def on_status(self, status: Status) -> None:
        """Charts and list follow."""
        self._scheduler.mark("charts")
        self.events.on_status(status)

    def on_events(self, rows: list[EventRow]) -> None:
        """Rows wait for the next frame of the table."""
        self.events.on_events(rows)
        self._scheduler.mark("charts")

    def on_missed(self) -> None:
        """The list has a hole there."""
        self.events.missed()

    def on_link(self, reachable: bool) -> None:
        """The old picture stays, and says that it is old."""
        self.events.show_meta()

    def on_frozen(self, frozen: bool) -> None:
        """Rows wait while the picture is frozen; thawing shows the present."""
        self.events.freeze(frozen)
        if not frozen:
            self._scheduler.now("table")
            self._scheduler.mark("charts")

    def on_moment(self, at: datetime | None) -> None:
        """The list of another moment."""
        self.events.start_over()
        self._scheduler.mark("charts")

    def watch_shown(self, shown: bool) -> None:
        """A pane that comes back shows the present at once."""
        if shown:
            self._scheduler.mark("table")
            self._scheduler.mark("charts")

    # -- charts

    def _ask_charts(self) -> None:
        self._load_charts()

    @work(exclusive=True, group="charts", exit_on_error=False)
    async def _load_charts(self) -> None:
        metric = LATENCIES[self._measure]
        try:
            latency, cost = await asyncio.gather(
                self.link.series(metric, window=WINDOW), self.link.series(COST, window=WINDOW)
            )
        except LinkError:
            return  # The header says that the link is lost; the old charts stay.
        if self.state.frozen_at is None:
            self._show_charts(metric, latency, cost)

    def _show_charts(self, metric: str, latency: Series, cost: Series) -> None:
        try:
            self.query_one("#latency", ChartRegion).show(latency, metric)
            self.query_one("#cost", ChartRegion).show(cost, COST)
            self.query_one("#sparks", SparkRows).show(latency, metric, cost)
        except NoMatches:
            return  # The screen was closed while the answer was on its way.

    def action_view_next(self) -> None:
        """p95, p99, p50."""
        self._measure = (self._measure + 1) % len(LATENCIES)
        self._scheduler.now("charts")

    def on_chart_region_next_measure(self, event: ChartRegion.NextMeasure) -> None:
        """`v` on a chart."""
        event.stop()
        self.action_view_next()

    # -- events

    def on_events_region_said(self, event: EventsRegion.Said) -> None:
        """For the note line."""
        event.stop()
        self.say(event.text)

    def on_events_region_moved(self, event: EventsRegion.Moved) -> None:
        """The note follows the cursor."""
        event.stop()
        self.note_changed()

    def on_event_table_opened(self, event: EventTable.Opened) -> None:
        """The drawer shows one request."""
        event.stop()
        self._open(event.row)

    def action_live_explain(self) -> None:
        """The drawer of the request under the cursor, explained."""
        if self.table.current is not None:
            self._open(self.table.current, explain=True)

    def _open(self, row: EventRow, *, explain: bool = False) -> None:
        below = self.table.region.y + self.table.cursor_row < self.app.size.height * 0.55
        self.app.push_screen(EventDrawer(row, self.state, below=below, link=self.link, explain=explain))

    def on_event_table_copied(self, event: EventTable.Copied) -> None:
        """The marked requests, else the one under the cursor."""
        event.stop()
        self._copy(self.table.marked or [event.row])

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def _copy(self, rows: list[EventRow]) -> None:
        columns = [column.name for column in self.table.columns.columns]
        await copy_rows(self.app, self.state, self.link, rows, columns)

    def note(self) -> Text:
        """What the list says."""
        return self.events.note()

    def palette_entries(self) -> Iterable[Entry]:
        """Filters saved by name."""
        return [
            Entry(f"Filter: {sanitise(name, 40)}", sanitise(text, 60), partial(self.events.set_filter, text))
            for name, text in self.events.named.items()
        ]

    def focus_main(self) -> None:
        """The table."""
        self.table.focus()

    def action_filter_open(self) -> None:
        """Into the filter line."""
        self.events.line.open()

    def action_filter_toggle(self) -> None:
        """The filter off, or on again."""
        self.events.toggle()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_filter_save(self) -> None:
        """Asks for a name."""
        text = self.events.filter_text
        if not text:
            self.say("no filter is in force: / types one")
            return
        name = await self.app.push_screen_wait(
            Prompt("Save the filter", hint=f"a name for {text}", check=_name_fault)
        )
        if name is not None:
            self.events.save_filter(name.strip())

    def action_filter_forget(self) -> None:
        """Asks which."""
        if not self.events.named:
            self.say("no filter is saved")
            return
        self.app.search_commands(
            [(name, partial(self.events.forget_filter, name)) for name in self.events.named],
            placeholder="Forget the filter …",
        )

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_live_goto(self) -> None:
        """Asks for a time."""
        now = self.state.moment or datetime.now().astimezone()
        text = await self.app.push_screen_wait(
            Prompt("Cursor to a time", hint=ACCEPTED, check=lambda given: _time_fault(given, now))
        )
        if text is not None:
            self.events.go_to(parse_when(text, now))

    def action_table_sort(self) -> None:
        """By the next column."""
        self.table.action_table_sort()

    def action_table_reverse(self) -> None:
        """The other way."""
        self.table.action_table_reverse()

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_table_columns(self) -> None:
        """Asks which."""
        table, settings = self.table, self.state.settings

        def preview(wanted: tuple[str, ...]) -> tuple[str, ...]:
            table.lay_out(wanted)
            return table.columns.left_out

        columns = await self.app.push_screen_wait(ColumnChooser(settings.now.columns, preview))
        columns = () if columns == DEFAULTS else columns
        trouble = settings.change(columns=columns) if columns != settings.now.columns else ""
        table.lay_out()
        if trouble:
            self.say(Text(f"! {trouble}", style=role(self.app, "warn")))

    def action_mark_toggle(self) -> None:
        """A mark on the request under the cursor."""
        self.table.action_item_mark()

    def action_mark_next(self) -> None:
        """The next mark."""
        self.events.step_mark(1)

    def action_mark_previous(self) -> None:
        """The mark before."""
        self.events.step_mark(-1)

    def action_mark_clear(self) -> None:
        """No marks."""
        self.table.clear_marks()


def _name_fault(text: str) -> str:
    name = text.strip()
    if not name:
        return "a filter needs a name"
    return (
        "a name has at most 40 characters that can be printed"
        if len(name) > 40 or not name.isprintable()
        else ""
    )


def _time_fault(text: str, now: datetime) -> str:
    try:
        parse_when(text, now)
    except ValueError as error:
        return str(error)
    return ""
