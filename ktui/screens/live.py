"""Live: what happens now. Two charts, the event table, the note on the request under the cursor."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.css.query import NoMatches
from textual.widgets import Static

from ktui.answers import EventRow, Series, Status
from ktui.commands import bindings
from ktui.link import GatewayLink, LinkError
from ktui.number_words import duration_ms
from ktui.refresh import CHARTS_S, TABLE_S, Scheduler
from ktui.screens.event_drawer import EventDrawer
from ktui.screens.pane import Pane
from ktui.state import AppState
from ktui.themes import role
from ktui.widgets.chart_region import COST, LATENCIES, WINDOW, ChartRegion, SparkRows
from ktui.widgets.event_columns import why
from ktui.widgets.event_table import EventTable
from ktui.widgets.heading import Heading
from proxy.base.sanitise import sanitise


class LivePane(Pane):
    """The first screen."""

    place: ClassVar[str] = "live"
    title: ClassVar[str] = "Live"

    BINDINGS: ClassVar[list[BindingType]] = bindings("live")

    def __init__(
        self, link: GatewayLink, state: AppState, scheduler: Scheduler, *, id: str | None = None
    ) -> None:
        super().__init__(link, state, id=id)
        self._scheduler = scheduler
        self._measure = 0
        self._splits: tuple[object, ...] = ()
        self._heard = False
        self.table = EventTable(state, id="events")
        self._heading = Heading("Events", "waiting for the gateway", region=self.table)
        self._trouble = Static(id="trouble", markup=False)
        scheduler.register("table", TABLE_S, self.table.flush, lambda: self.shown)
        scheduler.register(
            "charts", CHARTS_S, self._ask_charts, lambda: self.shown and state.frozen_at is None
        )

    def compose(self) -> ComposeResult:
        """Charts (tall) or two lines of them (short), then the events."""
        with Horizontal(id="charts"):
            yield ChartRegion(self.state, LATENCIES[0], id="latency")
            yield ChartRegion(self.state, COST, id="cost")
        yield SparkRows(self.state, id="sparks")
        with Vertical(id="events-region"):
            yield self._heading
            yield self._trouble
            yield self.table

    # -- what arrives

    def on_status(self, status: Status) -> None:
        """New arms change the colours of the rows; the numbers of the heading follow."""
        arms = tuple((split.name, split.tags) for split in status.splits)
        if arms != self._splits:
            self._splits = arms
            self.table.forget()
        self._scheduler.mark("charts")
        self._show_empty()
        self._show_meta()
        self._show_trouble(status.events.trouble)

    def on_events(self, rows: list[EventRow]) -> None:
        """Rows wait for the next frame of the table."""
        self._heard = True
        self.table.add(rows)
        self._show_empty()
        self._scheduler.mark("table")
        self._scheduler.mark("charts")

    def on_link(self, reachable: bool) -> None:
        """The old picture stays, and says that it is old."""
        self._show_meta()

    def on_frozen(self, frozen: bool) -> None:
        """Rows wait while the picture is frozen; thawing shows the present."""
        self.table.held = frozen
        if not frozen:
            self._scheduler.now("table")
            self._scheduler.mark("charts")
        self._show_meta()

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

    def on_event_table_changed(self, event: EventTable.Changed) -> None:
        """Heading and note follow the cursor."""
        event.stop()
        self._show_meta()
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
        """Copies by OSC 52; the terminal may refuse without a word, so the id is shown too."""
        event.stop()
        self.app.copy_to_clipboard(event.row.id)
        self.say(Text("copied by the terminal (OSC 52): ").append(event.row.id, role(self.app, "text")))

    def _show_meta(self) -> None:
        table = self.table
        status = self.state.status
        total = len(table.ring)
        full = f"newest {table.ring.limit:,} in memory"
        meta = Text(style=role(self.app, "muted"), no_wrap=True, end="")
        if not self.state.link.reachable:
            meta.append("? not live", role(self.app, "unknown"))
        elif self.state.frozen_at is not None:
            meta.append("‖ frozen", role(self.app, "paused"))
        elif table.following:
            meta.append("following")
        else:
            meta.append("‖ follow off", role(self.app, "paused"))
            if table.new_below:
                meta.append(" · ").append(f"+{table.new_below:,} new", role(self.app, "strong"))
        meta.append(f" · {full}" if total >= table.ring.limit else f" · {total:,} in memory")
        if status is not None and self.app.size.width < 100:
            stored = status.events.total if status.events.total is not None else status.events.stored
            meta.append(f" · {stored:,} stored")
        self._heading.update(meta=meta)

    def _show_trouble(self, trouble: str | None) -> None:
        self._trouble.display = bool(trouble)
        if trouble:
            self._trouble.update(Text(f" ! {sanitise(trouble, 300)}", style=role(self.app, "warn")))

    def _show_empty(self) -> None:
        listen = self.state.status.gateway.listen if self.state.status is not None else ""
        if not listen or not self._heard or self.table.ring.rows or self.table.waiting:
            return
        lines = Text("No request yet. Try:\n\n", style=role(self.app, "text"))
        for line in (
            f"curl http://{sanitise(listen, 80)}/v1/chat/completions \\",
            "  -H 'content-type: application/json' \\",
            f'  -d \'{{"model": "{self._some_model()}",',
            '       "messages": [{"role": "user", "content": "hello"}]}\'',
        ):
            lines.append(f"{line}\n", role(self.app, "muted"))
        self.table.show_empty(lines)

    def _some_model(self) -> str:
        split = self.state.main_split
        return sanitise(split.arms[0].model, 60) if split is not None and split.arms else "gpt-4o"

    def note(self) -> Text:
        """Follow state when it is off, else a sentence on the request under the cursor."""
        table = self.table
        if not table.following:
            line = Text("‖ follow off", style=f"bold {role(self.app, 'paused')}", no_wrap=True, end="")
            muted = f"not bold {role(self.app, 'muted')}"
            if table.new_below:
                line.append(" · ", muted).append(f"+{table.new_below:,} new", role(self.app, "strong"))
                line.append(" below, none lost", muted)
            return line.append(" · f or end follows again", muted)
        row = table.current
        return Text() if row is None else Text(sentence(row))

    def focus_main(self) -> None:
        """The table."""
        self.table.focus()


def sentence(row: EventRow) -> str:
    """What happened to one request, in one line."""
    model = sanitise(row.model or "unknown model", 80)
    took = duration_ms(row.latency_ms)
    if row.decision == "block":
        return f"{sanitise(row.requested_model or model, 80)} was refused: {why(row)[0]}"
    if row.failed:
        detail = f" ({sanitise(row.error_message, 160)})" if row.error_message else ""
        return f"{model} failed with {row.status} after {took}: {why(row)[0]}{detail}"
    words = f"{model} answered in {took}"
    if row.tag is not None:
        kind = sanitise(row.metadata.get("unit_kind") or "a random draw", 40)
        words += f"; {sanitise(row.tag, 40)} chosen by {kind}"
        words += f" in {sanitise(row.split, 60)}" if row.split else ""
    elif row.decision in {"redirect", "warn"}:
        words += f"; {why(row)[0]}"
    return words
