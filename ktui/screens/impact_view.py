"""Impact of a draft: its numbers as a list, and the requests behind each of them."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Static

from ktui.impact_words import ImpactRow, Show, meta_words, move_words, paint_row, rows_of
from ktui.link import GatewayLink, LinkError
from ktui.number_words import clock, moment
from ktui.screens.copying import copy_text
from ktui.screens.event_drawer import EventDrawer
from ktui.state import AppState
from ktui.themes import role
from ktui.widgets.heading import Heading
from ktui.widgets.row_list import CopyList, RowList, cell
from ktui.workbench_answers import Example, Impact
from proxy.base.sanitise import sanitise

MOST_EXAMPLES = 500
"""Requests listed behind one number."""
NO_TRAFFIC = "impact unknown: no traffic recorded yet"


class ImpactPanel(Vertical):
    """Heading and numbers; they come when the replay is done. `enter` on a number lists its requests."""

    DEFAULT_CSS = """
    ImpactPanel { height: auto; width: 1fr; }
    ImpactPanel RowList { height: auto; }
    """

    class Chosen(Message):
        """The reader wants the requests behind a number."""

        def __init__(self, row: ImpactRow) -> None:
            super().__init__()
            self.row = row

    def __init__(self, *, ground: str = "base", id: str | None = None) -> None:
        super().__init__(id=id)
        self.list: RowList[ImpactRow] = RowList(
            lambda row, width: paint_row(self.app, row, width), ground=ground, follow_content=True
        )
        self.heading = Heading("Impact", "waits for a clean lint", region=self.list)

    def compose(self) -> ComposeResult:
        """Heading, then the numbers."""
        yield self.heading
        yield self.list

    def show_waiting(self, words: str = "replaying the last requests") -> None:
        """Nothing is known yet."""
        self.heading.update(meta=words)

    def show(self, impact: Impact) -> None:
        """The numbers of one replay."""
        if not impact.requests:
            self.show_unknown(NO_TRAFFIC)
            return
        self.heading.update(meta=meta_words(impact))
        self.list.show(rows_of(impact))

    def show_unknown(self, reason: str) -> None:
        """No number, and why."""
        self.heading.update(meta="unknown")
        self.list.show(())
        self.list.show_empty(Text(f"? {reason}", style=role(self.app, "unknown")))

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """The requests behind a number; a number that is none of requests opens nothing."""
        event.stop()
        row = self.list.current
        if row is not None and row.show is not None:
            self.post_message(self.Chosen(row))


class ImpactRequests(ModalScreen[None]):
    """The requests behind one number of an impact; `enter` opens one, `esc` goes back."""

    DEFAULT_CSS = """
    ImpactRequests { align: center middle; background: $kt-base 60%; }
    ImpactRequests:ansi { background: transparent; }
    ImpactRequests > Vertical {
        width: 100%; max-width: 112; height: auto; max-height: 90%;
        background: $kt-dialog; color: $kt-text; border: solid $kt-rule;
        border-title-color: $kt-strong; border-title-style: bold; border-subtitle-color: $kt-muted;
    }
    ImpactRequests RowList { height: auto; max-height: 100%; background: $kt-dialog; }
    ImpactRequests #why { height: auto; max-height: 3; padding: 0 2; margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "close", "Close", id="dialog.cancel")]

    def __init__(self, link: GatewayLink, state: AppState, text: str, title: str, show: Show) -> None:
        super().__init__()
        self._link, self._state = link, state
        self._text, self._title, self._show = text, title, show
        self.list: CopyList[Example] = CopyList(
            self._paint, self._names, ground="dialog", follow_content=True, id="examples"
        )
        self._why = Static(id="why", markup=False)

    def compose(self) -> ComposeResult:
        """The list, then the whole reason of the request under the cursor."""
        with Vertical() as box:
            box.border_title = Text(self._title).markup
            box.border_subtitle = "enter opens a request · esc closes"
            yield self.list
            yield self._why

    def on_mount(self) -> None:
        """Asks at once."""
        self.list.show_empty(Text("replaying …", style=role(self.app, "muted")))
        self.list.focus()
        self._load()

    @work(exclusive=True, exit_on_error=False)
    async def _load(self) -> None:
        try:
            found = await self._link.impact(self._text, show=self._show, limit=MOST_EXAMPLES)
        except LinkError as error:
            self.list.show_empty(Text(f"✗ {error}", style=role(self.app, "bad")))
            return
        if not found.examples:
            self.list.show_empty(Text("no such request any more", style=role(self.app, "muted")))
            return
        self.list.show(found.examples, cursor=0)
        # Leaves room for the reason below, and for the box.
        self.list.styles.max_height = max(self.app.size.height - 9, 4)

    def _widths(self, width: int) -> tuple[int, int]:
        """Columns of what was asked for and of where it goes; the reason takes the rest."""
        asked = 18 if width < 90 else 26
        return asked, min(max(width - 10 - asked - 16, 20), 50)

    def _names(self, width: int) -> Text:
        asked, route = self._widths(width)
        return Text(
            f"{'time':<10}{'asked for':<{asked}}{'from → to':<{route}}why", style=role(self.app, "muted")
        )

    def _paint(self, item: Example, width: int) -> Text:
        asked, route = self._widths(width)
        line = Text(no_wrap=True, end="")
        line.append(f"{clock(moment(item.timestamp)):<10}", role(self.app, "muted"))
        line.append(cell(sanitise(item.requested_model or "unknown", 80), asked), role(self.app, "text"))
        blocked = item.after.decision == "block"
        words = cell(move_words(item.before, item.after), route)
        line.append(words, role(self.app, "bad" if blocked else "text"))
        return line.append(sanitise(item.why or "", 200), role(self.app, "muted"))

    def on_row_list_moved(self, event: RowList.Moved) -> None:
        """The reason in full."""
        event.stop()
        item = self.list.current
        if item is None:
            self._why.update("")
            return
        words = f"{move_words(item.before, item.after)}"
        why = f": {sanitise(item.why, 400)}" if item.why else ""
        self._why.update(Text(words + why, style=role(self.app, "text")))

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """The request itself, as it happened."""
        event.stop()
        if self.list.current is not None:
            self._open(self.list.current.id)

    def on_copy_list_copied(self, event: CopyList.Copied) -> None:
        """Its id."""
        event.stop()
        if self.list.current is not None:
            self._copy(self.list.current.id)

    @work(exclusive=True, group="copy", exit_on_error=False)
    async def _copy(self, id_: str) -> None:
        await copy_text(self.app, self._state, id_, f"id {sanitise(id_, 40)}")

    @work(exclusive=True, group="open", exit_on_error=False)
    async def _open(self, id_: str) -> None:
        try:
            row = await self._link.event(id_)
        except LinkError as error:
            self.notify(str(error), severity="error", markup=False)
            return
        await self.app.push_screen(EventDrawer(row, self._state, below=False, link=self._link))

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)
