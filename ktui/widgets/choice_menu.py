"""ChoiceMenu: a short list to choose from; digits choose at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Click, Key
from textual.screen import ModalScreen

from ktui.themes import role
from ktui.widgets.row_list import RowList

Choice = tuple[str, str]
"""What is given back, and the words that stand in the list."""


class ChoiceMenu(ModalScreen[str | None]):
    """Gives the id of what was chosen, or None when the reader leaves."""

    DEFAULT_CSS = """
    ChoiceMenu { align: center middle; background: transparent; }
    ChoiceMenu > Vertical {
        width: 52; max-width: 96%; height: auto; padding: 0 1;
        background: $kt-dialog; color: $kt-text; border: solid $kt-rule;
        border-title-color: $kt-strong; border-subtitle-color: $kt-muted;
    }
    ChoiceMenu RowList { height: auto; background: $kt-dialog; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", show=False),
        Binding("y,c", "take", show=False),
    ]

    def __init__(self, title: str, choices: Sequence[Choice]) -> None:
        super().__init__()
        self._title = title
        self._choices = tuple(choices)
        self.list: RowList[Choice] = RowList(self._paint, ground="dialog", follow_content=True)

    def compose(self) -> ComposeResult:
        """The choices, numbered."""
        with Vertical() as box:
            box.border_title = Text(self._title).markup
            box.border_subtitle = "enter or its number · esc leaves"
            yield self.list

    def on_mount(self) -> None:
        """The first one is under the cursor."""
        self.list.show(self._choices)
        self.list.focus()

    def _paint(self, choice: Choice, width: int) -> Text:
        line = Text(no_wrap=True, end="")
        line.append(f"{self._choices.index(choice) + 1}  ", f"bold {role(self.app, 'accent')}")
        return line.append(choice[1][: width - 4], role(self.app, "text"))

    def on_key(self, event: Key) -> None:
        """A digit chooses."""
        place = int(event.key) - 1 if event.key in "123456789" and len(event.key) == 1 else -1
        if 0 <= place < len(self._choices):
            event.stop()
            self.dismiss(self._choices[place][0])

    def action_take(self) -> None:
        """What is under the cursor."""
        if self.list.current is not None:
            self.dismiss(self.list.current[0])

    def on_row_list_opened(self, event: RowList.Opened) -> None:
        """`enter` or a second click."""
        event.stop()
        self.action_take()

    def action_leave(self) -> None:
        """Without an answer."""
        self.dismiss(None)

    def on_click(self, event: Click) -> None:
        """A click beside the box leaves."""
        if event.widget is self:
            self.dismiss(None)
