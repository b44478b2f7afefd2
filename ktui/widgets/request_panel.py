"""RequestPanel: one request in full, in the drawer or beside the table."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.events import Resize
from textual.widgets import Static

from ktui.answers import Bodies, EventRow
from ktui.event_details import body_lines, details
from ktui.link import GatewayLink, LinkError
from ktui.number_words import clock, moment
from ktui.screens.explain_view import ExplainPanel
from ktui.state import AppState
from ktui.themes import palette_of

_ASKING = "asking the gateway"


class RequestPanel(VerticalScroll):
    """Shows a request at once as the list tells it, then with what only the request itself tells."""

    DEFAULT_CSS = """
    RequestPanel {
        width: 1fr; height: auto; padding: 0 1;
        background: $kt-dialog; color: $kt-text; border: solid $kt-rule;
        border-title-color: $kt-strong; border-subtitle-color: $kt-muted; scrollbar-size: 0 0;
    }
    RequestPanel Static { width: 1fr; height: auto; }
    RequestPanel ExplainPanel { display: none; margin-bottom: 1; }
    RequestPanel.-explained ExplainPanel { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "scroll_down", show=False),
        Binding("k,up", "scroll_up", show=False),
        Binding("g,home", "scroll_home", show=False),
        Binding("G,end", "scroll_end", show=False),
    ]

    def __init__(
        self, state: AppState, link: GatewayLink | None, keys: str, *, id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.row: EventRow | None = None
        self._state = state
        self._link = link
        self._keys = keys
        self._bodies: Bodies | None = None
        self._reason = _ASKING
        self._text = Static(id="details", markup=False)
        self._body = Static(id="body-text", markup=False)
        self.explained = ExplainPanel(id="explain")

    def compose(self) -> ComposeResult:
        """The explanation when it is wanted, details, bodies."""
        yield self.explained
        yield self._text
        yield self._body

    def show(self, row: EventRow) -> None:
        """Another request; the same one again changes nothing."""
        if self.row is not None and self.row.id == row.id:
            return
        self.row, self._bodies, self._reason = row, None, _ASKING
        self.explained.told = None
        self.scroll_home(animate=False)
        self._paint()
        self._complete()
        if self.has_class("-explained"):
            self._explain(row.id)

    def _paint(self) -> None:
        row = self.row
        if row is None:
            return
        mark = "✗" if row.failed else "✓"
        self.border_title = Text(
            f"Request {row.id}  {clock(moment(row.timestamp))}  {mark} {row.status}"
        ).markup
        self.border_subtitle = (
            "e its line in the editor · x closes this · esc closes"
            if self.has_class("-explained")
            else self._keys
        )
        style = palette_of(self.app).style
        width = max(self.content_size.width, 40)
        arm = self._state.arm_index(row.tag, row.split)
        self._text.update(Text("\n").join(details(row, arm, style, width)))
        self._body.update(Text("\n").join(body_lines(self._bodies, self._reason, style, width)))

    def on_resize(self, _event: Resize) -> None:
        """Bars and rules follow the width."""
        self._paint()

    @work(exclusive=True, group="whole", exit_on_error=False)
    async def _complete(self) -> None:
        row, link = self.row, self._link
        if row is None or link is None:
            self._reason = "there is no gateway to ask"
            self._paint()
            return
        try:
            whole = await link.event(row.id)
            self.row = whole if self.row is row else self.row
        except LinkError:
            pass  # What the list said stays; the header says that the link is lost.
        try:
            self._bodies = await link.body(row.id)
        except LinkError as error:
            self._reason = str(error)
        self._paint()

    def toggle_explained(self) -> None:
        """The policies that were looked at, and the hash that chose the variant; again: without them."""
        if self.has_class("-explained"):
            self.remove_class("-explained")
            self.focus()
        else:
            self.add_class("-explained")
            self.explained.list.focus()
            if self.explained.told is None and self.row is not None:
                self._explain(self.row.id)
        self._paint()

    def to_policy_line(self) -> None:
        """Asks for the line of the step under the cursor; not explained yet: of the step that decided."""
        if self.explained.told is not None:
            self.explained.choose()
        elif self.row is not None:
            self._explain(self.row.id, go=True)

    @work(exclusive=True, group="explain", exit_on_error=False)
    async def _explain(self, id_: str, go: bool = False) -> None:
        if self._link is None:
            self.explained.show_trouble("there is no gateway to ask")
            return
        try:
            told = await self._link.explain_event(id_)
        except LinkError as error:
            self.explained.show_trouble(str(error))
            if go:
                self.app.notify(f"no line to show: {error}", severity="error", markup=False)
            return
        self.explained.show(told)
        if go:
            self.explained.choose()
        elif self.has_class("-explained"):
            self.scroll_home(animate=False)
