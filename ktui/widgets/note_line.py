"""NoteLine: what the thing under the cursor is, or the last message."""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from ktui.themes import role


class NoteLine(Widget):
    """One line above the footer."""

    DEFAULT_CSS = "NoteLine { height: 1; width: 1fr; background: $kt-base; color: $kt-text; }"

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._text = Text()

    @property
    def empty(self) -> bool:
        """Whether nothing is said."""
        return not self._text

    def show(self, text: Text) -> None:
        """Shows `text`; nothing is drawn when it stands there already."""
        if text.markup != self._text.markup or text.style != self._text.style:
            self._text = text
            self.refresh()

    def render(self) -> RenderResult:
        """The line, cut with `…`."""
        said = self._text.copy()
        said.style = said.style or role(self.app, "muted")
        line = Text(" ", no_wrap=True, end="", overflow="ellipsis").append_text(said)
        line.truncate(max(self.size.width - 1, 0), overflow="ellipsis")
        return line
