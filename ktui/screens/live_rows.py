"""RowActions: what Live does with requests: opens, explains, copies, writes, sorts, chooses columns."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text
from textual import work
from textual.events import Key

from ktui.answers import EventRow
from ktui.column_registry import DEFAULTS
from ktui.copy_forms import first_request
from ktui.screens.column_chooser import ColumnChooser
from ktui.screens.copying import copy_rows, copy_text
from ktui.screens.event_drawer import EventDrawer, PolicyLines
from ktui.screens.explain_view import ExplainPanel
from ktui.screens.live_events import EventsRegion
from ktui.screens.pane import Pane
from ktui.screens.writing import ask_target, write
from ktui.themes import role
from ktui.widgets.event_table import EventTable
from ktui.widgets.request_panel import RequestPanel

BESIDE = 150
"""From this width on a request opens beside the table."""


class RowActions(Pane):
    """The pane gives its table, its list, and the panel beside the table."""

    DEFAULT_CSS = """
    RowActions #rows { height: 1fr; width: 1fr; }
    RowActions #beside { display: none; width: 68; height: 1fr; margin: 0 1 0 2; }
    """

    table: EventTable
    events: EventsRegion
    beside: RequestPanel

    # -- one request

    def on_event_table_opened(self, event: EventTable.Opened) -> None:
        """In full; opened again beside the table it closes."""
        event.stop()
        if self.beside.display:
            self._close_beside()
        else:
            self._open(event.row)

    def action_live_explain(self) -> None:
        """The request under the cursor, explained."""
        if self.beside.display:
            self.beside.toggle_explained()
            if not self.beside.has_class("-explained"):
                self.table.focus()
        elif self.table.current is not None:
            self._open(self.table.current, explain=True)

    def _open(self, row: EventRow, *, explain: bool = False) -> None:
        if self.app.size.width >= BESIDE:
            self.beside.display = True
            self.beside.show(row)
            if explain:
                self.beside.toggle_explained()
            return
        drawer = EventDrawer(
            row,
            self.state,
            below=self._row_is_high(),
            link=self.link,
            explain=explain,
            step=self._neighbour,
            place=self._row_is_high,
        )
        self.app.push_screen(drawer)

    def _row_is_high(self) -> bool:
        return self.table.region.y + self.table.cursor_row < self.app.size.height * 0.55

    def _neighbour(self, by: int) -> EventRow | None:
        """Moves the cursor of the table by a row; None where there is no row."""
        table = self.table
        if not 0 <= table.cursor + by < len(table.view):
            return None
        if by > 0:
            table.action_list_down()
        else:
            table.action_list_up()
        return table.current

    def follow_beside(self) -> None:
        """What is beside the table follows its cursor."""
        if self.beside.display and self.table.current is not None:
            self.beside.show(self.table.current)

    def _close_beside(self) -> None:
        self.beside.display = False
        self.table.focus()

    def key_escape(self, event: Key) -> None:
        """Closes what is beside the table."""
        if self.beside.display:
            event.stop()
            event.prevent_default()
            self._close_beside()

    def action_item_edit(self) -> None:
        """The policy line that decided the request beside the table."""
        if self.beside.display:
            self.beside.to_policy_line()
        else:
            self.say("enter opens a request; e there goes to its policy line")

    def on_explain_panel_chosen(self, event: ExplainPanel.Chosen) -> None:
        """Goes to the line."""
        event.stop()
        if isinstance(self.app, PolicyLines):
            self.app.show_policy_line(event.step.policy, event.step.line, event.version)

    # -- marked requests, or the one under the cursor

    def on_event_table_copied(self, event: EventTable.Copied) -> None:
        """The marked requests, else the one under the cursor, else how to send a first one."""
        event.stop()
        rows = self.table.marked or ([event.row] if event.row is not None else [])
        if rows:
            self._copy(rows)
        elif self.state.status is not None and not self.events.filter_text:
            self._copy_first(self.state.status.gateway.listen)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def _copy_first(self, listen: str) -> None:
        split = self.state.main_split
        model = split.arms[0].model if split is not None and split.arms else "gpt-4o"
        await copy_text(self.app, self.state, first_request(listen, model), "a first request, as curl")

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def _copy(self, rows: list[EventRow]) -> None:
        columns = [column.name for column in self.table.columns.columns]
        await copy_rows(self.app, self.state, self.link, rows, columns)

    @work(exclusive=True, group="ask", exit_on_error=False)
    async def action_item_write(self) -> None:
        """Asks for a name; while a file is being written, cancels that."""
        if any(worker.group == "write" and worker.is_running for worker in self.workers):
            self.workers.cancel_group(self, "write")
            self.say("cancelled: no file was written")
            return
        marked, text = self.table.marked, self.events.filter_text
        target = await ask_target(self.app, marked, text)
        if target is not None:
            self._write(target, marked, text)

    @work(exclusive=True, group="write", exit_on_error=False)
    async def _write(self, target: tuple[Path, str], marked: list[EventRow], text: str) -> None:
        await write(self.app, self.link, self.say, target, marked, text)

    # -- order and columns

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
