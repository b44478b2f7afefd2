"""Prompt: one line to type, checked before it is taken."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from ktui.themes import role
from proxy.base.sanitise import sanitise

Check = Callable[[str], str]
"""What is wrong with a text, in one sentence; empty when nothing is."""


class Prompt(ModalScreen[str | None]):
    """Gives the text, or None when the reader leaves with `esc`. A text that `check` finds fault with is not taken."""

    DEFAULT_CSS = """
    Prompt { align: center middle; background: transparent; }
    Prompt > Vertical {
        width: 72; max-width: 96%; height: auto; padding: 0 1; background: $kt-dialog; color: $kt-text;
        border: solid $kt-rule; border-title-color: $kt-strong; border-subtitle-color: $kt-muted;
    }
    Prompt Input { border: none; height: 1; padding: 0; background: $kt-dialog; color: $kt-text; }
    Prompt Static { height: auto; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Leave", show=False)]

    def __init__(
        self, title: str, *, value: str = "", hint: str = "", check: Check = lambda _text: ""
    ) -> None:
        super().__init__()
        self._title = title
        self._hint = hint
        self._check = check
        self._line = Input(value=value, compact=True, select_on_focus=True)
        self._said = Static(markup=False)

    def compose(self) -> ComposeResult:
        """The line, and below it what is accepted or what is wrong."""
        with Vertical() as box:
            box.border_title = Text(self._title).markup
            box.border_subtitle = "enter takes it · esc leaves"
            yield self._line
            yield self._said

    def on_mount(self) -> None:
        """Type at once."""
        self._line.focus()
        self._say("")

    def on_input_changed(self, event: Input.Changed) -> None:
        """A fault is told when `enter` finds it, and forgotten while typing."""
        event.stop()
        self._say("")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it, or say why not."""
        event.stop()
        fault = self._check(event.value)
        if fault:
            self._say(fault)
        else:
            self.dismiss(event.value)

    def action_leave(self) -> None:
        """Without an answer."""
        self.dismiss(None)

    def _say(self, fault: str) -> None:
        words = Text(f"✗ {sanitise(fault, 200)}", style=role(self.app, "bad"))
        self._said.update(words if fault else Text(self._hint, style=role(self.app, "muted")))
