"""Popups of the editor: offers below the word, and a card about a key. They never take the focus."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text
from textual.app import RenderResult
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.geometry import Offset, Size
from textual.message import Message
from textual.widget import Widget

from ktui.editor.completion import Offer
from ktui.editor.hover import Help
from ktui.themes import role
from proxy.base.sanitise import sanitise

ROWS = 8
"""Offers in sight at once."""
_WIDEST = 72
_LABEL = 34


class Popup(Widget):
    """Stands over its container at a place of the container's own cells."""

    DEFAULT_CSS = """
    Popup {
        layer: popup; display: none; width: auto; height: auto;
        background: $kt-dialog; color: $kt-text;
    }
    """

    def stand(self, word: Offset, room: Size, size: Size) -> None:
        """Below the word where it fits, else above it; never beyond `room`."""
        x = max(min(word.x, room.width - size.width), 0)
        below, above = room.height - word.y - 1, word.y
        y = word.y + 1 if below >= size.height or below >= above else max(word.y - size.height, 0)
        self.styles.width, self.styles.height = size.width, min(size.height, max(below, above))
        self.styles.offset = (x, y)
        self.display = True
        self.refresh(layout=True)


class OfferList(Popup):
    """Offers, one of them selected."""

    class Chosen(Message):
        """An offer was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.offers: tuple[Offer, ...] = ()
        self.cursor = 0
        self._first = 0

    def show(self, offers: Sequence[Offer], word: Offset, room: Size) -> None:
        """Shows `offers` at the word; the first is selected."""
        self.offers, self.cursor, self._first = tuple(offers), 0, 0
        width = min(max(self._width(), 16), room.width)
        self.stand(word, room, Size(width, min(len(offers), ROWS)))

    def _width(self) -> int:
        labels, details = self._columns()
        return min(labels + (details + 2 if details else 0) + 3, _WIDEST)

    def _columns(self) -> tuple[int, int]:
        labels = min(max((len(offer.label) for offer in self.offers), default=0), _LABEL)
        return labels, max((len(offer.detail) for offer in self.offers), default=0)

    def step(self, by: int) -> None:
        """Moves the cursor; round and round by one, to an end by a page."""
        last = len(self.offers) - 1
        to = self.cursor + by
        self.cursor = to % (last + 1) if abs(by) == 1 else max(0, min(to, last))
        rows = max(self.size.height, 1)
        self._first = max(self.cursor - rows + 1, min(self._first, self.cursor))
        self.refresh()

    def render(self) -> RenderResult:
        """The offers in sight."""
        width, rows = self.size.width, max(self.size.height, 1)
        labels, _ = self._columns()
        lines = []
        for index, offer in enumerate(self.offers[self._first : self._first + rows], self._first):
            selected = index == self.cursor
            line = Text("▌" if selected else " ", style=role(self.app, "focus"), no_wrap=True, end="")
            label = Text(sanitise(offer.label, 120), style=role(self.app, "strong" if selected else "text"))
            label.truncate(labels, overflow="ellipsis", pad=True)
            line.append_text(label).append("  ")
            line.append(sanitise(offer.detail, 160), role(self.app, "muted"))
            more = index == self._first + rows - 1 and index < len(self.offers) - 1
            line.truncate(width - 1 - 2 * more, overflow="ellipsis", pad=True)
            line.append(" ↓ " if more else " ", role(self.app, "muted"))
            if selected:
                line.stylize_before(role(self.app, "raised"))
            lines.append(line)
        return Text("\n", no_wrap=True, end="").join(lines)

    def on_click(self, event: Click) -> None:
        """A click takes the offer."""
        event.stop()
        index = self._first + event.y
        if index < len(self.offers):
            self.post_message(self.Chosen(index))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The wheel moves."""
        event.stop()
        self.step(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The wheel moves."""
        event.stop()
        self.step(-1)


class HelpCard(Popup):
    """What the schema says of one key."""

    DEFAULT_CSS = """
    HelpCard {
        border: solid $kt-rule; padding: 0 1;
        border-title-color: $kt-strong; border-title-style: bold;
    }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = Text()

    def show(self, help_: Help, word: Offset, room: Size) -> None:
        """Shows the help at the word."""
        self.border_title = Text(sanitise(help_.path, 80)).markup
        about = help_.field.description if help_.field is not None else ""
        lines = []
        if about:
            lines.append(Text(sanitise(about, 600), style=role(self.app, "text")))
        for name, value in help_.facts:
            line = Text(f"{name:<8}", style=role(self.app, "muted"))
            lines.append(line.append(sanitise(value, 400), role(self.app, "text")))
        if help_.field is None:
            lines.append(Text("The schema does not know this key here.", style=role(self.app, "warn")))
        width = min(max([len(help_.path) + 4, *(line.cell_len for line in lines)]) + 4, _WIDEST, room.width)
        self._text = Text("\n").join(lines)
        height = len(self._text.wrap(self.app.console, width - 4)) + 2
        self.stand(word, room, Size(width, height))

    def render(self) -> RenderResult:
        """Wrapped."""
        return self._text
