"""DiffScreen: the whole difference of two texts in a box, to be read and closed."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ktui.answers import Difference
from ktui.review_words import meaning_lines
from ktui.themes import role
from ktui.widgets.diff_view import DiffView


class DiffScreen(ModalScreen[None]):
    """The whole difference of two texts: its meaning, then the lines; both sides beside each other when wide."""

    DEFAULT_CSS = """
    DiffScreen { align: center middle; background: $kt-base 60%; }
    DiffScreen:ansi { background: transparent; }
    DiffScreen > Vertical {
        width: 100%; height: auto; max-height: 100%;
        background: $kt-dialog; color: $kt-text; border: solid $kt-rule;
        border-title-color: $kt-strong; border-title-style: bold; border-subtitle-color: $kt-muted;
    }
    DiffScreen VerticalScroll { height: auto; max-height: 8; scrollbar-size: 0 0; margin-bottom: 1; }
    DiffScreen Static { width: 1fr; height: auto; padding: 0 2; }
    DiffScreen DiffView { height: auto; background: $kt-dialog; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "close", "Close", id="dialog.cancel")]

    def __init__(self, title: str, difference: Difference) -> None:
        super().__init__()
        self._title = title
        self._difference = difference
        self.diff = DiffView(ground="dialog", follow_content=True, sides=None)

    def compose(self) -> ComposeResult:
        """Meaning above, text below."""
        with Vertical() as box:
            box.border_title = Text(self._title).markup
            box.border_subtitle = "n N next change · v one column or two · h l to the side · esc closes"
            with VerticalScroll(can_focus=False):
                yield Static(Text("\n").join(meaning_lines(self.app, self._difference)), markup=False)
            yield self.diff

    def on_mount(self) -> None:
        """The text takes the keys."""
        self.diff.show(self._difference.unified, Text("the same text", style=role(self.app, "muted")))
        self.diff.focus()
        self._fit()

    def on_resize(self) -> None:
        """The text takes the rows that are left."""
        self._fit()

    def _fit(self) -> None:
        number = len(self._difference.meaning or self._difference.values)
        self.diff.styles.max_height = max(self.app.size.height - 3 - min(max(number, 1), 8), 3)

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)
