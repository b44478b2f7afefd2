"""Live: what happens now. Two charts, the event table, the note on the request under the cursor."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from datetime import datetime
from functools import partial
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from ktui.answers import EventRow, Status
from ktui.commands import bindings
from ktui.link import GatewayLink
from ktui.refresh import TABLE_S, Scheduler
from ktui.screens.live_charts import LiveCharts
from ktui.screens.live_events import EventsRegion
from ktui.screens.live_rows import RowActions
from ktui.screens.pane import Entry
from ktui.state import AppState
from ktui.when import ACCEPTED, parse_when
from ktui.widgets.prompt import Prompt
from ktui.widgets.request_panel import RequestPanel
from proxy.base.sanitise import sanitise


class LivePane(RowActions):
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
        self.charts = LiveCharts(link, state, scheduler, lambda: self.shown)
        self._filter_before = ""
        """What the list was filtered by before a span was chosen."""
        self._in_span = False
        self.events = EventsRegion(
            link, state, scheduler, named if named is not None else state.settings.filters, id="events-region"
        )
        self.table = self.events.table
        self.beside = RequestPanel(
            state, link, "follows the cursor · x explains · e policy line · esc closes", id="beside"
        )
        scheduler.register("table", TABLE_S, self.events.flush, lambda: self.shown)

    def compose(self) -> ComposeResult:
        """Charts (tall) or two lines of them (short), then the events."""
        yield self.charts
        with Horizontal(id="rows"):
            yield self.events
            yield self.beside

    # -- what arrives

    def on_status(self, status: Status) -> None:
        """Charts and list follow."""
        self.charts.changed()
        self.events.on_status(status)

    def on_events(self, rows: list[EventRow]) -> None:
        """Rows wait for the next frame of the table."""
        self.events.on_events(rows)
        self.charts.changed()

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
            self.charts.changed()

    def on_moment(self, at: datetime | None) -> None:
        """The list of another moment."""
        self.events.start_over()
        self.charts.renew()

    def watch_shown(self, shown: bool) -> None:
        """A pane that comes back shows the present at once."""
        if shown:
            self._scheduler.mark("table")
            self.charts.changed()

    # -- charts

    def action_view_next(self) -> None:
        """The next measure of the left chart."""
        self.charts.next_measure()

    def on_live_charts_span_chosen(self, event: LiveCharts.SpanChosen) -> None:
        """The list shows the requests of that span; what was filtered before comes back after it."""
        event.stop()
        if event.span is None:
            self._in_span = False
            self.events.set_filter(self._filter_before)
            self.say("the charts show their windows again")
            return
        if not self._in_span:
            self._filter_before = self.events.filter_text
        self._in_span = True
        low, high = (
            datetime.fromtimestamp(at).astimezone().isoformat(timespec="seconds") for at in event.span
        )
        window = f"time>={low} time<{high}"
        before = f" ({self._filter_before})" if self._filter_before else ""
        self.events.set_filter(f"{window}{before}")
        self.say("the requests of this span; esc on a chart shows all again")

    def on_live_charts_said(self, event: LiveCharts.Said) -> None:
        """For the note line."""
        event.stop()
        self.say(event.words)

    def on_live_charts_left(self, event: LiveCharts.Left) -> None:
        """Back to the list."""
        event.stop()
        self.focus_main()

    # -- events

    def on_events_region_said(self, event: EventsRegion.Said) -> None:
        """For the note line."""
        event.stop()
        self.say(event.text)

    def on_events_region_moved(self, event: EventsRegion.Moved) -> None:
        """The note follows the cursor, and what is open beside the table."""
        event.stop()
        self.follow_beside()
        self.note_changed(by_itself=event.by_itself)

    def note(self) -> Text:
        """What the list says."""
        return self.events.note()

    def palette_entries(self) -> Iterable[Entry]:
        """Filters saved by name, and what the charts can show."""
        return [
            *self.charts.entries(),
            *self._filter_entries(),
        ]

    def _filter_entries(self) -> Iterable[Entry]:
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
