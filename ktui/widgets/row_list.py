"""RowList: rows with a cursor, painted line by line; the owner says how a row looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Generic, TypeVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import BindingType
from textual.events import Blur, Click, Focus, MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ktui.commands import bindings
from ktui.themes import palette_of

Item = TypeVar("Item")

LEAD = 2
"""Cells before a row: one empty, one for the cursor's mark."""
_KEYS = (
    "list.down",
    "list.up",
    "list.page_down",
    "list.page_up",
    "list.first",
    "list.last",
    "item.open",
)


def cell(words: str, width: int, *, right: bool = False) -> str:
    """`words` in exactly `width` cells, the last one empty (the first with `right`); a cut ends in `…`."""
    room = max(width - 1, 1)
    if cell_len(words) > room:
        words = set_cell_size(words, room - 1) + "…"
    return " " * (width - cell_len(words)) + words if right else set_cell_size(words, width)


class RowList(ScrollView, Generic[Item], can_focus=True):
    """A list of items. `paint(item, width)` gives a row, `title(width)` the line of column names above them.

    With `follow_content` the list is as high as its rows, up to what the style allows.
    """

    DEFAULT_CSS = """
    RowList {
        width: 1fr; height: 1fr; background: $kt-base; color: $kt-text;
        scrollbar-size: 0 0; overflow-x: hidden;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = bindings("lists", only=_KEYS)

    class Moved(Message):
        """The cursor stands on another row, or the rows changed under it."""

        def __init__(self, source: RowList[Any]) -> None:
            super().__init__()
            self.source = source

    class Opened(Message):
        """The reader opened the row under the cursor."""

        def __init__(self, source: RowList[Any]) -> None:
            super().__init__()
            self.source = source

    def __init__(
        self,
        paint: Callable[[Item, int], Text],
        title: Callable[[int], Text] | None = None,
        *,
        ground: str = "base",
        follow_content: bool = False,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._paint = paint
        self._title = title
        self._ground = ground
        self._follow_content = follow_content
        self._empty = Text()
        self.items: tuple[Item, ...] = ()
        self.cursor = 0

    # -- rows

    def show(self, items: Sequence[Item], *, cursor: int | None = None) -> None:
        """Shows `items`; the cursor keeps its place unless `cursor` says another."""
        self.items = tuple(items)
        wanted = self.cursor if cursor is None else cursor
        self.cursor = min(max(wanted, 0), max(len(self.items) - 1, 0))
        self._fit()
        self._reveal()
        self.refresh()
        self.post_message(self.Moved(self))

    def renew(self, items: Sequence[Item], *, changed_only: bool = False) -> None:
        """The same rows with newer content: the cursor stays and nobody is told.

        With `changed_only` a row is drawn when it reads differently: for rows painted of their item alone.
        """
        before = self.items
        if tuple(items) == before or len(items) != len(before):
            return
        self.items = tuple(items)
        if not changed_only:
            self.repaint()
            return
        width, top = self.size.width - LEAD - 1, self._head() - self.scroll_offset.y
        for index, (old, new) in enumerate(zip(before, self.items, strict=True)):
            if old != new and self._paint(old, width) != self._paint(new, width):
                self.refresh(Region(0, top + index, self.size.width, 1))

    def show_empty(self, words: Text) -> None:
        """What stands there while there are no rows."""
        if words == self._empty and words.style == self._empty.style:
            return
        self._empty = words
        self._fit()
        self.refresh()

    @property
    def current(self) -> Item | None:
        """The item under the cursor."""
        return self.items[self.cursor] if self.items else None

    def _head(self) -> int:
        return 1 if self._title is not None and self.items else 0

    def _fit(self) -> None:
        lines = max(len(self.items), 0 if self.items else len(self._empty.split("\n"))) + self._head()
        self.virtual_size = Size(self.size.width, lines)
        if self._follow_content:
            self.styles.height = lines

    def repaint(self) -> None:
        """Draws all rows again: what they show has changed, or the theme."""
        self.refresh(Region(0, 0, self.size.width, self.size.height))

    def on_mount(self) -> None:
        """A new theme paints anew."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self.repaint())
        self._fit()

    def on_resize(self, _event: Resize) -> None:
        """Rows follow the width."""
        self._fit()
        self._reveal()
        self.repaint()

    def on_focus(self, _event: Focus) -> None:
        """The cursor's mark takes the focus colour."""
        self.repaint()
        self.post_message(self.Moved(self))

    def on_blur(self, _event: Blur) -> None:
        """The cursor's mark loses the focus colour."""
        self.repaint()

    # -- painting

    def render_line(self, y: int) -> Strip:
        """The titles, then the rows; every cell carries its ground."""
        width = self.size.width
        if not self.items:
            lines = self._empty.split("\n")
            return self._strip(
                Text("  ").append_text(lines[y]) if y < len(lines) else Text(), width, self._ground
            )
        head = self._head()
        if y < head and self._title is not None:
            return self._strip(Text("  ").append_text(self._title(width - LEAD - 1)), width, self._ground)
        index = self.scroll_offset.y + y - head
        if index >= len(self.items):
            return self._strip(Text(), width, self._ground)
        return self._row(index, width)

    def _row(self, index: int, width: int) -> Strip:
        selected = index == self.cursor
        words = self._paint(self.items[index], width - LEAD - 1)
        words.truncate(width - LEAD - 1, overflow="ellipsis", pad=True)
        if not selected or not self.has_focus:
            return self._strip(Text("  ").append_text(words), width, self._ground)
        palette = palette_of(self.app)
        mark = Text(" ").append("▌", palette.style("focus"))
        if palette.kind == "ansi":
            # Without grounds the row is reversed as one: reversed colours would be grounds of many hues.
            words = Text(words.plain)
        start = self._strip(mark, LEAD, self._ground)
        row = self._strip(words, width - LEAD - 1, "raised")
        return Strip([*start, *row, *self._strip(Text(), 1, self._ground)], width)

    def _strip(self, line: Text, width: int, ground: str) -> Strip:
        text = line.copy()
        text.truncate(width, overflow="ellipsis", pad=True)
        base = self._solid(ground) + self.app.console.get_style(text.style)
        segments = [
            Segment(piece.text, base + piece.style if piece.style else base)
            for piece in text.render(self.app.console, end="")
        ]
        return Strip(segments, width).simplify()

    def _solid(self, ground: str) -> Style:
        palette = palette_of(self.app)
        return palette.rich("text") + palette.rich(ground)

    # -- moving

    def _reveal(self) -> None:
        rows = max(self.size.height - self._head(), 1)
        top = self.scroll_offset.y
        if self.cursor < top:
            self.scroll_to(y=self.cursor, animate=False, immediate=True)
        elif self.cursor >= top + rows:
            self.scroll_to(y=self.cursor - rows + 1, animate=False, immediate=True)

    def _move(self, target: int) -> None:
        if not self.items:
            return
        self.cursor = min(max(target, 0), len(self.items) - 1)
        self._reveal()
        self.repaint()
        self.post_message(self.Moved(self))

    def _page(self) -> int:
        return max(self.size.height - self._head() - 1, 1)

    def action_list_down(self) -> None:
        """The next row."""
        self._move(self.cursor + 1)

    def action_list_up(self) -> None:
        """The row before."""
        self._move(self.cursor - 1)

    def action_list_page_down(self) -> None:
        """A page down."""
        self._move(self.cursor + self._page())

    def action_list_page_up(self) -> None:
        """A page up."""
        self._move(self.cursor - self._page())

    def action_list_first(self) -> None:
        """The first row."""
        self._move(0)

    def action_list_last(self) -> None:
        """The last row."""
        self._move(len(self.items) - 1)

    def action_item_open(self) -> None:
        """Opens the row under the cursor."""
        if self.items:
            self.post_message(self.Opened(self))

    def on_click(self, event: Click) -> None:
        """A click selects, a second one on the same row opens."""
        index = self.scroll_offset.y + event.y - self._head()
        if not 0 <= index < len(self.items):
            return
        if event.chain >= 2 and index == self.cursor:
            self.action_item_open()
        else:
            self._move(index)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The wheel moves the cursor, so that it stays in sight."""
        event.stop()
        self._move(self.cursor + 3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The wheel moves the cursor back."""
        event.stop()
        self._move(self.cursor - 3)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling repaints; the titles stay where they are."""
        super().watch_scroll_y(old_value, new_value)
        self.repaint()


class CopyList(RowList[Item]):
    """A list whose rows can be copied. In a dialog that asks, `y` is the answer: there a plain list stands."""

    BINDINGS: ClassVar[list[BindingType]] = bindings("lists", only=["item.copy"])

    class Copied(Message):
        """The reader wants the row under the cursor in the clipboard."""

        def __init__(self, source: RowList[Any]) -> None:
            super().__init__()
            self.source = source

    def action_item_copy(self) -> None:
        """Copies the row under the cursor."""
        if self.items:
            self.post_message(self.Copied(self))
