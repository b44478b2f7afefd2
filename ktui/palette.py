"""The command palette: every command of the registry with its keys; those that are off say why."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode

from ktui.commands import COMMANDS, EARLIER, EVERYWHERE, Command, off_now
from ktui.state import AppState
from ktui.themes import role

if TYPE_CHECKING:
    from textual.screen import Screen

_SKIPPED = ("list.", "dialog.", "app.palette", "focus.")


class RegistryProvider(Provider):
    """Feeds Textual's palette from the registry."""

    def _commands(self) -> list[tuple[Command, str]]:
        """Commands that can be named here, each with the reason why it is off, or ""."""
        state = getattr(self.app, "state", None)
        active = _active(self.screen)
        found = []
        for command in COMMANDS:
            if command.id.startswith(_SKIPPED):
                continue
            reason = ""
            if isinstance(state, AppState):
                reason = EARLIER if off_now(command.action, state) else command.enabled(state)
            if not reason and command.where != EVERYWHERE and command.id not in active:
                continue
            if command.id.startswith("screen.") and command.id not in active:
                continue
            found.append((command, reason))
        return found

    def _runner(self, command: Command, reason: str) -> Callable[[], object]:
        if reason:
            return partial(self.app.notify, f"{command.title}: {reason}", markup=False)
        entry = _active(self.screen).get(command.id)
        node = entry if entry is not None else self.app
        return partial(self.app.run_action, command.action, node)

    async def discover(self) -> Hits:
        """All commands, in the registry's order."""
        for command, reason in self._commands():
            yield DiscoveryHit(
                _display(self.app, command, reason), self._runner(command, reason), text=command.title
            )

    async def search(self, query: str) -> Hits:
        """Commands whose title or id matches."""
        matcher = self.matcher(query)
        for command, reason in self._commands():
            score = max(matcher.match(command.title), matcher.match(command.id) * 0.9)
            if score > 0:
                yield Hit(
                    score,
                    _display(self.app, command, reason),
                    self._runner(command, reason),
                    text=command.title,
                )


def _active(screen: Screen[object]) -> dict[str, DOMNode]:
    return {e.binding.id: e.node for e in screen.active_bindings.values() if e.binding.id is not None}


def _display(app: object, command: Command, reason: str) -> Text:
    muted = role(app, "muted")
    line = Text(f"{command.title:<44}", style=muted if reason else role(app, "text"), no_wrap=True)
    line.append(f" {command.key_text:<10}", f"bold {role(app, 'accent')}")
    if reason:
        line.append(f" off: {reason}", muted)
    elif command.asks:
        line.append(" asks first", muted)
    return line
