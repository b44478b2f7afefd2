"""The command palette: every command of the registry with its keys; those that are off say why."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from rich.text import Text
from textual.command import DiscoveryHit, Hit, Hits, Provider
from textual.dom import DOMNode

from ktui.commands import COMMANDS, EARLIER, EVERYWHERE, Command, off_now
from ktui.screens.pane import Entry, Pane
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
            here = command.id in active or self._keyless_here(command)
            if not reason and command.where != EVERYWHERE and not here:
                continue
            if command.id.startswith("screen.") and command.id not in active:
                continue
            found.append((command, reason))
        return found

    def _pane(self) -> Pane | None:
        """The screen in the body."""
        pane = getattr(self.app, "pane", None)
        return pane() if callable(pane) else None

    def _keyless_here(self, command: Command) -> bool:
        """Whether it belongs to the screen in the body and has no key that would say so."""
        pane = self._pane()
        return not command.keys and pane is not None and command.where == pane.place

    def _runner(self, command: Command, reason: str) -> Callable[[], object]:
        if reason:
            return partial(self.app.notify, f"{command.title}: {reason}", markup=False)
        entry = _active(self.screen).get(command.id)
        pane = self._pane()
        node = entry or (pane if pane is not None and self._keyless_here(command) else self.app)
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


class PaneProvider(Provider):
    """What the screens offer by name beside commands, such as saved filters."""

    def _entries(self) -> list[tuple[str, Entry]]:
        """Each entry with the name of the screen it belongs to."""
        panes = getattr(self.app, "panes", None)
        return [(p.place, e) for p in (panes() if callable(panes) else ()) for e in p.palette_entries()]

    def _runner(self, place: str, entry: Entry) -> Callable[[], None]:
        def run() -> None:
            open_screen = getattr(self.app, "open_screen", None)
            if callable(open_screen):
                open_screen(place)
            entry.run()

        return run

    def _display(self, entry: Entry) -> Text:
        line = Text(f"{entry.title:<44} ", style=role(self.app, "text"), no_wrap=True)
        return line.append(entry.detail, role(self.app, "muted"))

    async def discover(self) -> Hits:
        """Those that are few enough to be listed."""
        for place, entry in self._entries():
            if not entry.listed:
                continue
            yield DiscoveryHit(self._display(entry), self._runner(place, entry), text=entry.title)

    async def search(self, query: str) -> Hits:
        """Those whose title matches."""
        matcher = self.matcher(query)
        for place, entry in self._entries():
            score = matcher.match(entry.title)
            if score > 0:
                yield Hit(score, self._display(entry), self._runner(place, entry), text=entry.title)


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
