"""StatusHeader: three rows that never scroll away."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.text import Text
from textual.app import RenderResult
from textual.events import Click
from textual.widget import Widget

from ktui.state import AppState
from ktui.widgets.fit import Placed
from ktui.widgets.header_lines import HeaderLines, Tab

_OPENS = {
    "version": "policy",
    "file": "policy",
    "draft": "policy",
    "enforced": "policy",
    "split": "rollout",
    "arms": "rollout",
    "gateway": "live",
    "rate": "live",
    "errors": "live",
    "p95": "live",
    "money": "live",
    "stored": "live",
}


class StatusHeader(Widget):
    """Identity, traffic, place. A click on a field opens the screen it speaks of."""

    DEFAULT_CSS = """
    StatusHeader { dock: top; height: 3; width: 1fr; background: $kt-bar; color: $kt-text; }
    """

    def __init__(self, state: AppState, open_screen: Callable[[str], None], *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state = state
        self._open = open_screen
        self._places: list[list[Placed]] = [[], [], []]
        self._shown = ""
        self.tabs: Sequence[Tab] = ()
        self.draft = Text()

    def show(self) -> None:
        """Draws again if any shown text has changed."""
        if not self.is_mounted or not self.size.width:
            return
        fresh = self._lines()
        if fresh.markup != self._shown:
            self.refresh()

    def _lines(self) -> Text:
        lines = HeaderLines(self.app, self._state)
        width = self.size.width
        identity, self._places[0] = lines.identity(width, self.draft)
        traffic, self._places[1] = lines.traffic(width)
        place, self._places[2] = lines.place(width, self.tabs)
        return Text("\n", no_wrap=True, end="").join([identity, traffic, place])

    def render(self) -> RenderResult:
        """The three lines."""
        fresh = self._lines()
        self._shown = fresh.markup
        return fresh

    async def on_click(self, event: Click) -> None:
        """Opens what the field under the mouse speaks of."""
        for place in self._places[min(max(event.y, 0), 2)]:
            if place.start <= event.x < place.end:
                screen = place.name
                if place.name == "alert":
                    await self.run_action("app.alert_show")
                elif place.name.startswith("tab."):
                    tab = next((tab for tab in self.tabs if f"tab.{tab.key}" == place.name), None)
                    self._open(tab.name.lower() if tab else "")
                elif screen in _OPENS:
                    self._open(_OPENS[screen])
                return
