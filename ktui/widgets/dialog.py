"""ConfirmDialog: what changes, what it does to traffic, what is unknown, buttons. Cancel has the focus."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult, RenderResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.events import Click, Key
from textual.geometry import Size
from textual.message import Message
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from ktui.themes import role

DEAF_S = 0.5
"""Seconds in which `y` is ignored after opening: keys typed ahead confirm nothing."""


class DialogButton(Widget, can_focus=True):
    """One choice of a dialog; `enter` or a click presses it. With a reason to be off it takes no focus."""

    DEFAULT_CSS = "DialogButton { height: 1; width: auto; margin-right: 3; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "press", show=False)]

    class Pressed(Message):
        """The reader chose it."""

        def __init__(self, button: DialogButton) -> None:
            super().__init__()
            self.button = button

    def __init__(self, label: str, keys: str, *, off: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self._label = label
        self._keys = keys
        self.off = ""
        self.turn(off)

    def turn(self, off: str) -> None:
        """Available with an empty `off`; else `off` is the reason, in a few words."""
        self.off = off
        self.can_focus = not off
        if off and self.has_focus:
            self.screen.focus_previous()
        self.refresh(layout=True)

    def render(self) -> RenderResult:
        """`▐Cancel▌ esc`: reversed when the focus is here, its keys beside it."""
        return self._line()

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """As wide as its words."""
        return self._line().cell_len

    def _line(self) -> Text:
        line = Text(no_wrap=True, end="")
        if self.off:
            return line.append(f" {self._label}: {self.off}", role(self.app, "muted"))
        accent = role(self.app, "accent")
        if self.has_focus:
            line.append("▐", accent).append(self._label, role(self.app, "button")).append("▌", accent)
        else:
            line.append(f" {self._label} ", role(self.app, "text"))
        return line.append(f" {self._keys}", f"bold {accent}")

    def on_focus(self) -> None:
        """Reversed."""
        self.refresh()

    def on_blur(self) -> None:
        """Plain again."""
        self.refresh()

    def on_click(self, event: Click) -> None:
        """A click presses."""
        event.stop()
        self.action_press()

    def action_press(self) -> None:
        """Chosen."""
        if not self.off:
            self.post_message(self.Pressed(self))


class _Buttons(Widget, can_focus=True):
    DEFAULT_CSS = "_Buttons { height: 1; width: auto; margin-top: 1; }"

    def __init__(self, confirm: str, has_details: bool, require: str) -> None:
        super().__init__()
        self.confirm = confirm
        self.has_details = has_details
        self.require = require
        self.typed = ""

    def render(self) -> RenderResult:
        return self._line()

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """As wide as the buttons."""
        return self._line().cell_len

    def _line(self) -> Text:
        line = Text("▐", no_wrap=True)
        line.stylize(role(self.app, "accent"))
        line.append("Cancel", role(self.app, "button")).append("▌", role(self.app, "accent"))
        line.append(" enter, esc", role(self.app, "muted")).append("     ")
        if self.require:
            line.append(f"type {self.require} to go on: ", role(self.app, "muted"))
            line.append(self.typed + "▌", role(self.app, "strong"))
        else:
            line.append("y", f"bold {role(self.app, 'accent')}").append(f"  {self.confirm}")
        if self.has_details:
            line.append("     ").append("d", f"bold {role(self.app, 'accent')}").append("  text difference")
        return line


class ConfirmDialog(ModalScreen[bool]):
    """Asks before something changes what runs; dismisses with True only after `y` (or the typed word).

    `lines` is the body; `details` (a text difference, say) opens below it with `d`. With `require` that word
    is typed instead of `y`.
    """

    DEFAULT_CSS = """
    ConfirmDialog { align: center middle; background: $kt-base 60%; }
    ConfirmDialog:ansi { background: transparent; }
    ConfirmDialog > Vertical {
        width: auto; max-width: 100%; height: auto; max-height: 100%; min-width: 44;
        background: $kt-dialog; color: $kt-text; border: solid $kt-rule; padding: 0 1;
        border-title-color: $kt-strong; border-title-style: bold;
    }
    ConfirmDialog .line { width: auto; height: auto; }
    ConfirmDialog #details { height: auto; max-height: 14; width: 60; margin-top: 1; display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter", "dialog_cancel", "Cancel", id="dialog.cancel", priority=True)
    ]

    def __init__(
        self,
        title: str,
        lines: Sequence[Text | str],
        *,
        confirm: str = "do it",
        details: Sequence[Text] | None = None,
        require: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._title = title
        self._lines = [Text(line) if isinstance(line, str) else line for line in lines]
        self._details = list(details) if details else []
        self._clock = clock
        self._opened = clock()
        self._buttons = _Buttons(confirm, bool(self._details), require)

    def compose(self) -> ComposeResult:
        """Body, details, buttons."""
        with Vertical() as box:
            box.border_title = Text(self._title).markup
            for line in self._lines:
                yield Static(line, classes="line")
            if self._details:
                with VerticalScroll(id="details", can_focus=False):
                    yield Static(Text("\n").join(self._details))
            yield self._buttons

    def on_mount(self) -> None:
        """Cancel has the focus."""
        self._opened = self._clock()
        self._buttons.focus()

    def on_key(self, event: Key) -> None:
        """Letters of the dialog; everything typed too early is ignored."""
        event.stop()
        if self._clock() - self._opened < DEAF_S:
            return
        require = self._buttons.require
        if require:
            self._type(event, require)
        elif event.key == "y":
            self.dismiss(True)
        elif event.key == "d" and self._details:
            details = self.query_one("#details")
            widest = max(line.cell_len for line in self._details) + 2
            details.styles.width = min(widest, self.app.size.width - 6)
            details.display = not details.display
        elif event.key in {"down", "j", "up", "k"} and self._details:
            step = 1 if event.key in {"down", "j"} else -1
            self.query_one("#details").scroll_relative(y=step, animate=False)

    def _type(self, event: Key, require: str) -> None:
        if event.key == "backspace":
            self._buttons.typed = self._buttons.typed[:-1]
        elif event.is_printable and event.character:
            self._buttons.typed += event.character
        self._buttons.refresh()
        if self._buttons.typed == require:
            self.dismiss(True)

    def on_click(self, event: Click) -> None:
        """A click outside the box cancels; on the buttons' row it presses the one under it."""
        if event.widget is self:
            self.dismiss(False)
        elif event.widget is self._buttons:
            if event.x <= 18:
                self.dismiss(False)
            elif not self._buttons.require and self._clock() - self._opened >= DEAF_S:
                self.dismiss(True)

    def action_dialog_cancel(self) -> None:
        """Changes nothing."""
        self.dismiss(False)
