"""Pane: the body of one screen. Header, note line and footer belong to the frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual.message import Message
from textual.reactive import reactive
from textual.widget import Widget

from ktui.answers import Config, EventRow, Status
from ktui.commands import off_now
from ktui.link import GatewayLink
from ktui.state import AppState


@dataclass(frozen=True)
class Entry:
    """Something the palette offers by name beside commands. Title and detail are safe to show."""

    title: str
    detail: str
    run: Callable[[], None]
    listed: bool = True
    """Whether it stands in the list before anything is typed."""


class Pane(Widget):
    """One screen's body. It gets what is new through `on_...` calls and draws only while it is shown."""

    DEFAULT_CSS = """
    Pane { width: 1fr; height: 1fr; layout: vertical; background: $kt-base; color: $kt-text; }
    """

    place: ClassVar[str] = ""
    """The commands' place: `live`, `policy`, `rollout`."""
    title: ClassVar[str] = ""
    """The name on the tab."""

    shown: reactive[bool] = reactive(False, init=False)
    """Whether this pane is the one in the body; set by the app. A hidden pane costs nothing."""

    class NoteChanged(Message):
        """What `note()` or `tab_mark()` or `draft_note()` gives has changed; `by_itself`: the reader did nothing."""

        def __init__(self, by_itself: bool = False) -> None:
            super().__init__()
            self.by_itself = by_itself

    class Said(Message):
        """A message for the note line: shown until the next one or until the cursor moves."""

        def __init__(self, text: Text) -> None:
            super().__init__()
            self.text = text

    def __init__(self, link: GatewayLink, state: AppState, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.link = link
        self.state = state

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nothing changes what runs while an earlier moment is shown."""
        return False if off_now(action, self.state) else super().check_action(action, parameters)

    def on_status(self, status: Status) -> None:
        """A new status arrived (at most once a second). `state.status` is already this one."""

    def on_config(self, config: Config) -> None:
        """The running version or the file changed. `state.config` is already this one."""

    def on_events(self, rows: list[EventRow]) -> None:
        """New requests, oldest first."""

    def on_missed(self) -> None:
        """Requests were missed: those that come next do not join on to those told before."""

    def on_link(self, reachable: bool) -> None:
        """The control API went away or came back."""

    def on_moment(self, at: datetime | None) -> None:
        """Another moment is shown from now on; None: the present. What was drawn is of no use any more.

        Status and events of that moment follow; whatever else a pane shows it asks the link for again.
        """

    def on_frozen(self, frozen: bool) -> None:
        """The picture was frozen or thawed; a frozen body stands still and loses nothing."""

    def note(self) -> Text:
        """What the thing under the cursor is: one line."""
        return Text()

    def tab_mark(self) -> str:
        """A mark beside the tab's name: `•` a draft, `!` wants you."""
        return ""

    def draft_note(self) -> Text:
        """Beside the file's state in the header: `• draft`, `• draft ✗ 2`; empty without a draft."""
        return Text()

    def palette_entries(self) -> Iterable[Entry]:
        """What the palette offers beside commands; taking one opens this screen first."""
        return ()

    @property
    def has_draft(self) -> bool:
        """Whether leaving would lose something the reader made."""
        return False

    def focus_main(self) -> None:
        """Gives the focus to the region the reader came for."""
        for child in self.query("*"):
            if child.focusable:
                child.focus()
                return

    def note_changed(self, *, by_itself: bool = False) -> None:
        """Call when `note()`, `tab_mark()` or `draft_note()` gives something else; `by_itself`: the reader did nothing."""
        self.post_message(self.NoteChanged(by_itself or not self.shown))

    def say(self, text: Text | str) -> None:
        """Shows a message in the note line."""
        self.post_message(self.Said(Text(text) if isinstance(text, str) else text))
