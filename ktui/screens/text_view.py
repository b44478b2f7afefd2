"""TextView: lines in a box, to be read and closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ktui.themes import role
from proxy.base.sanitise import sanitise


class TextView(ModalScreen[None]):
    """`esc`, `enter` or `q` closes; arrows scroll."""

    DEFAULT_CSS = """
    TextView { align: center middle; background: $kt-base 60%; }
    TextView:ansi { background: transparent; }
    TextView > VerticalScroll {
        width: auto; max-width: 96%; min-width: 44; height: auto; max-height: 90%;
        background: $kt-dialog; color: $kt-text; border: solid $kt-rule; padding: 0 1;
        border-title-color: $kt-strong; border-title-style: bold; border-subtitle-color: $kt-muted;
    }
    TextView Static { width: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "close", "Close", id="dialog.cancel")]

    def __init__(self, title: str, lines: Sequence[Text]) -> None:
        super().__init__()
        self._title = title
        self._lines = list(lines)

    def compose(self) -> ComposeResult:
        """The box."""
        with VerticalScroll() as box:
            box.border_title = Text(self._title).markup
            box.border_subtitle = "esc closes"
            yield Static(Text("\n", no_wrap=True).join(self._lines))

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)


def diff_lines(app: object, unified: str, limit: int = 600) -> list[Text]:
    """A unified diff, coloured, its two file lines left out."""
    styles = {"+": "ok", "-": "bad", "@": "muted"}
    lines = unified.splitlines()[2 : limit + 2]
    return [Text(sanitise(line, 300), style=role(app, styles.get(line[:1], "text"))) for line in lines]
