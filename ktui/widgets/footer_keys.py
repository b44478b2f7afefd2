"""FooterKeys: the keys that work now, from the registry; most useful first, whole pairs only, clickable."""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.events import Click
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Input, TextArea

from ktui.commands import COMMANDS, Command, key_label
from ktui.themes import role


class FooterKeys(Widget):
    """One line of `key word` pairs for the focused place."""

    DEFAULT_CSS = "FooterKeys { height: 1; width: 1fr; background: $kt-bar; color: $kt-text; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._places: list[tuple[int, int, Command]] = []
        self._shown: tuple[str, ...] = ()

    def on_mount(self) -> None:
        """Listens for a change of what can be pressed."""
        self.screen.bindings_updated_signal.subscribe(self, self._changed)

    def _changed(self, screen: Screen[object]) -> None:
        if not self.is_attached or screen is not self.screen:
            return
        if self._shown != self._labels(self._commands()):
            self.refresh()

    def _commands(self) -> list[Command]:
        active = {
            entry.binding.id or entry.binding.action
            for entry in self.screen.active_bindings.values()
            if entry.enabled
        }
        found = (c for c in COMMANDS if c.hint and c.id in active and self._key_of(c))
        return sorted(found, key=lambda c: c.rank)

    def _key_of(self, command: Command) -> str:
        """How its key is written here; empty when all its keys are text where the focus is."""
        focused = self.screen.focused
        if not isinstance(focused, TextArea | Input):
            return command.footer_keys
        if command.shown and len(command.shown.split()[0]) > 1:
            return command.shown
        keys = [key for key in command.keys if key.startswith(("ctrl+", "f")) and len(key) > 1]
        return key_label(keys[0]) if keys else ""

    def _labels(self, commands: list[Command]) -> tuple[str, ...]:
        return tuple(f"{command.id} {self._key_of(command)}" for command in commands)

    def _width(self, commands: list[Command]) -> int:
        pairs = sum(len(self._key_of(c)) + 1 + len(c.hint) for c in commands)
        return pairs + 2 * (len(commands) - 1)

    def render(self) -> RenderResult:
        """As many whole pairs as fit; help, commands and quit are kept."""
        commands = self._commands()
        self._shown = self._labels(commands)
        while commands and self._width(commands) > self.size.width - 2:
            commands = _without_least(commands)
        key, word = f"bold {role(self.app, 'accent')}", role(self.app, "text")
        line = Text(" ", no_wrap=True, end="")
        self._places = []
        for index, command in enumerate(commands):
            line.append("  " if index else "")
            start = line.cell_len
            line.append(self._key_of(command), key).append(f" {command.hint}", word)
            self._places.append((start, line.cell_len, command))
        return line

    async def on_click(self, event: Click) -> None:
        """Runs the command under the mouse as its key would."""
        for start, end, command in self._places:
            if start <= event.x < end:
                for entry in self.screen.active_bindings.values():
                    if entry.binding.id == command.id:
                        await self.app.run_action(entry.binding.action, entry.node)
                        return


_KEPT = ("app.help", "app.quit", "app.palette")


def _without_least(commands: list[Command]) -> list[Command]:
    for command in reversed(commands):
        if command.id not in _KEPT:
            return [c for c in commands if c is not command]
    return commands[:-1]
