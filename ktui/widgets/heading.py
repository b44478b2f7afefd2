"""Heading, a region's one rule: `Title ─── meta`; focused `▌Title ━━━ meta`; a ghost `Title ┄┄┄ meta`."""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.reactive import reactive
from textual.widget import Widget

from ktui.themes import role


def heading_text(
    app: object, title: Text, meta: Text, width: int, *, focused: bool, ghost: bool = False
) -> Text:
    """One line of exactly `width` cells, the last one empty. The title wins over the meta."""
    room = max(width - 2, 0)
    title, meta = title.copy(), meta.copy()
    if title.cell_len + meta.cell_len + 5 > room:
        meta.truncate(max(room - title.cell_len - 5, 0), overflow="ellipsis")
    title.truncate(room, overflow="ellipsis")
    gap = room - title.cell_len - (meta.cell_len + 1 if meta.cell_len else 0) - 1
    line = Text(no_wrap=True, end="")
    line.append("▌" if focused else " ", role(app, "focus"))
    line.append_text(title)
    if gap > 0:
        rule = ("━" if focused else "┄" if ghost else "─") * gap
        line.append(" ").append(rule, role(app, "focus" if focused else "rule"))
    if meta.cell_len:
        line.append(" ").append_text(meta)
    line.truncate(width, pad=True)
    return line


class Heading(Widget):
    """The heading row of a region. `region` is the widget whose focus it shows; default its parent.

    A click focuses `focuses`, by default the region or the first part of it that takes the focus.
    """

    DEFAULT_CSS = """
    Heading { height: 1; width: 1fr; background: $kt-base; color: $kt-text; }
    """

    title: reactive[Text] = reactive(Text, init=False)
    meta: reactive[Text] = reactive(Text, init=False)
    focused: reactive[bool] = reactive(False, init=False)
    ghost: reactive[bool] = reactive(False, init=False)

    def __init__(
        self,
        title: Text | str,
        meta: Text | str = "",
        *,
        region: Widget | None = None,
        focuses: Widget | None = None,
        ghost: bool = False,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._region = region
        self._focuses = focuses
        self.set_reactive(Heading.title, _text(title))
        self.set_reactive(Heading.meta, _text(meta))
        self.set_reactive(Heading.ghost, ghost)

    def update(self, title: Text | str | None = None, meta: Text | str | None = None) -> None:
        """Changes title or meta; nothing is drawn when both are what they were. Plain str: strong, muted."""
        if title is not None and not _same(_text(title), self.title):
            self.title = _text(title)
        if meta is not None and not _same(_text(meta), self.meta):
            self.meta = _text(meta)

    def on_mount(self) -> None:
        """Watches the screen's focus."""
        self.watch(self.screen, "focused", self._focus_moved, init=True)

    def on_click(self) -> None:
        """A click on the heading focuses its region."""
        region = self._focuses or self._region or self.parent
        if not isinstance(region, Widget):
            return
        if region.focusable:
            region.focus()
            return
        for child in region.query("*"):
            if child.focusable:
                child.focus()
                return

    def _focus_moved(self, widget: Widget | None) -> None:
        region = self._region or self.parent
        self.focused = widget is not None and region in widget.ancestors_with_self

    def render(self) -> RenderResult:
        """The one line."""
        title, meta = self.title.copy(), self.meta.copy()
        if not title.spans:
            title.style = title.style or role(self.app, "strong")
        meta.style = meta.style or role(self.app, "muted")
        return heading_text(self.app, title, meta, self.size.width, focused=self.focused, ghost=self.ghost)


def _text(value: Text | str) -> Text:
    return Text(value) if isinstance(value, str) else value


def _same(a: Text, b: Text) -> bool:
    return a.plain == b.plain and a.spans == b.spans and a.style == b.style
