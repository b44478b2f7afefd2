"""Help: keys here, keys everywhere, what the glyphs mean, where the files are. Made from the registry."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ktui.commands import EVERYWHERE, SCREENS, Command, commands_in
from ktui.themes import role

_LEGEND = (
    ("●", "live", "running, now"),
    ("○", "muted", "later"),
    ("◐", "info", "under way"),
    ("✓", "ok", "ok"),
    ("✗", "bad", "failed, refused"),
    ("!", "warn", "warning"),
    ("?", "unknown", "unknown, no data"),
    ("‖", "paused", "paused, frozen"),
    ("■", "control", "control: what runs"),
    ("◆", "challenger", "challenger: what runs"),
    ("□ ◇", "muted", "hollow: would run"),
    ("≠", "warn", "the file differs"),
)


class HelpScreen(ModalScreen[None]):
    """`esc` or `?` closes."""

    DEFAULT_CSS = """
    HelpScreen { align: center middle; background: $kt-base 60%; }
    HelpScreen:ansi { background: transparent; }
    HelpScreen > VerticalScroll {
        width: 96; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
        background: $kt-dialog; color: $kt-text; border: solid $kt-rule;
        border-title-color: $kt-strong; border-title-style: bold; border-subtitle-color: $kt-muted;
        scrollbar-size: 1 1;
    }
    HelpScreen Static { width: 1fr; height: auto; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,f1,q", "close", "Close", show=False),
        Binding("j", "scroll(1)", show=False),
        Binding("k", "scroll(-1)", show=False),
    ]

    def __init__(self, place: str, title: str, where: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__()
        self._place = place
        self._title = title
        self._where = where

    def compose(self) -> ComposeResult:
        """One scrolling box."""
        with VerticalScroll() as box:
            box.border_title = f"Help: {self._title}"
            box.border_subtitle = "esc closes"
            yield Static(Text("\n").join(self._lines()))

    def _lines(self) -> list[Text]:
        here = commands_in(*SCREENS.get(self._place, (self._place,)))
        wide = self.app.size.width >= 96
        lines = [self._head(f"Keys on {self._title}"), *self._keys(here, wide), Text()]
        lines += [self._head("Keys everywhere"), *self._keys(commands_in(EVERYWHERE), wide), Text()]
        lines += [self._head("Glyphs"), *self._legend(wide), Text()]
        capital = "A capital letter changes what runs, and always asks; enter opens, it never applies."
        lines.append(Text(capital, style=role(self.app, "muted")))
        for label, value in self._where:
            lines.append(
                Text(f"{label} ", style=role(self.app, "muted")).append(value, role(self.app, "text"))
            )
        return lines

    def _head(self, words: str) -> Text:
        return Text(words, style=role(self.app, "strong"))

    def _keys(self, commands: tuple[Command, ...], wide: bool) -> list[Text]:
        shown = [self._entry(command) for command in commands if command.keys]
        return _two_columns(shown, 46) if wide else shown

    def _entry(self, command: Command) -> Text:
        line = Text(f"{command.key_text:<12} ", style=f"bold {role(self.app, 'accent')}", no_wrap=True)
        return line.append(command.title, f"not bold {role(self.app, 'text')}")

    def _legend(self, wide: bool) -> list[Text]:
        entries = []
        for glyph, name, words in _LEGEND:
            entry = Text(f"{glyph:<4}", style=role(self.app, name), no_wrap=True)
            entries.append(entry.append(words, role(self.app, "text")))
        return _columns(entries, 30, 3) if wide else _columns(entries, 26, 2)

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)

    def action_scroll(self, rows: int) -> None:
        """Scrolls a row."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)


def _two_columns(entries: list[Text], width: int) -> list[Text]:
    return _columns(entries, width, 2)


def _columns(entries: list[Text], width: int, number: int) -> list[Text]:
    rows = -(-len(entries) // number)
    lines = []
    for row in range(rows):
        line = Text(no_wrap=True)
        for column in range(number):
            index = row + column * rows
            if index < len(entries):
                entry = entries[index].copy()
                entry.truncate(width - 1, overflow="ellipsis", pad=True)
                line.append_text(entry).append(" ")
        lines.append(line)
    return lines
