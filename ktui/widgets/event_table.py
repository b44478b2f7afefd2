"""EventTable: the live list, painted line by line from a bounded ring; newest at the bottom.

Following shows the newest. Any move up or selection stops it: the picture stands, new requests are counted.
The cursor stays on its request, never on a row number.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import BindingType
from textual.events import Blur, Click, Focus, MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ktui.answers import EventRow
from ktui.commands import bindings
from ktui.state import AppState
from ktui.themes import palette_of
from ktui.widgets.event_columns import LEAD, Columns, columns_for, row_line, title_line
from ktui.widgets.event_ring import EventRing

_CACHE = 512


class EventTable(ScrollView, can_focus=True):
    """The event list. `add` keeps rows back until `flush`, so that 3 or 300 of them cost one frame."""

    DEFAULT_CSS = """
    EventTable {
        width: 1fr; height: 1fr; background: $kt-base; color: $kt-text;
        scrollbar-size: 0 0; overflow-x: hidden;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("lists"), *bindings("live", only=["live.follow"])]

    class Changed(Message):
        """Cursor, follow state or the number of rows changed."""

        def __init__(self, moved: bool) -> None:
            super().__init__()
            self.moved = moved
            """Whether the reader moved, rather than the world."""

    class Opened(Message):
        """The reader wants to see one request."""

        def __init__(self, row: EventRow) -> None:
            super().__init__()
            self.row = row

    class Copied(Message):
        """The reader wants a request's id in the clipboard."""

        def __init__(self, row: EventRow) -> None:
            super().__init__()
            self.row = row

    def __init__(self, state: AppState, *, limit: int = 10_000, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state = state
        self.ring = EventRing(limit)
        self.following = True
        self.new_below = 0
        self.held = False
        """While true nothing moves: new rows wait."""
        self._waiting: list[EventRow] = []
        self._cursor_id: str | None = None
        self._cursor = -1
        self._columns: Columns = columns_for(80)
        self._strips: dict[tuple[object, ...], Strip] = {}
        self._empty: Text = Text()

    # -- rows

    def add(self, rows: Iterable[EventRow]) -> None:
        """Takes new rows; they are shown by the next `flush`."""
        self._waiting += rows
        if len(self._waiting) > 2 * self.ring.limit:
            del self._waiting[: -self.ring.limit]

    def flush(self) -> None:
        """Shows what has arrived, at once and in one frame."""
        if self.held or not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        new, dropped = self.ring.add(waiting)
        if not new:
            return
        if self.following:
            self._cursor = len(self.ring) - 1
            self._cursor_id = self.ring[self._cursor].id
        else:
            self.new_below += new
            self._find_cursor(dropped)
        self._resize_virtual()
        if self.following:
            self._to_end()
        elif dropped:
            self.scroll_to(y=max(self.scroll_offset.y - dropped, 0), animate=False, immediate=True)
        self.refresh()
        self.post_message(self.Changed(moved=False))

    def _find_cursor(self, dropped: int) -> None:
        if self._cursor_id is None:
            return
        guess = self._cursor - dropped
        if not (0 <= guess < len(self.ring) and self.ring[guess].id == self._cursor_id):
            found = self.ring.index_of(self._cursor_id)
            guess = found if found is not None else 0
            self._cursor_id = self.ring[guess].id
        self._cursor = guess

    @property
    def waiting(self) -> int:
        """Rows that arrived while the picture is held."""
        return len(self._waiting)

    @property
    def cursor_row(self) -> int:
        """Row of the cursor in this widget; 0 are the titles."""
        return self._cursor - self.scroll_offset.y + 1

    @property
    def current(self) -> EventRow | None:
        """The request under the cursor."""
        return self.ring[self._cursor] if 0 <= self._cursor < len(self.ring) else None

    def show_empty(self, text: Text) -> None:
        """What stands in the table while there is no row."""
        if text.markup != self._empty.markup:
            self._empty = text
            if not len(self.ring):
                self.refresh()

    # -- painting

    def on_mount(self) -> None:
        """Everything cached belongs to one theme."""
        self.app.theme_changed_signal.subscribe(self, self._theme_changed)

    def _theme_changed(self, _theme: object) -> None:
        self.forget()

    def forget(self) -> None:
        """Drops painted rows: the theme or the arms of the splits changed."""
        self._strips.clear()
        self.refresh()

    def on_resize(self, event: Resize) -> None:
        """Columns follow the width; the end stays the end."""
        self._columns = columns_for(self.size.width)
        self._strips.clear()
        self._resize_virtual()
        if self.following:
            self._to_end()
        else:
            self._reveal()

    def on_focus(self, _event: Focus) -> None:
        """The cursor's mark takes the focus colour."""
        self.refresh()

    def on_blur(self, _event: Blur) -> None:
        """The cursor's mark loses the focus colour."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Line 0 are the titles, the others rows of the ring; every cell carries its ground."""
        palette, width = palette_of(self.app), self.size.width
        if y == 0:
            return self._strip(title_line(self._columns, palette.style), width, palette.rich("base"))
        if not len(self.ring):
            return self._empty_line(y, width)
        index = self.scroll_offset.y + y - 1
        if index >= len(self.ring):
            return self._strip(Text(), width, palette.rich("base"))
        row, cursor = self.ring[index], index == self._cursor
        focus = cursor and self.has_focus
        key = (row.id, width, cursor, focus, palette.name)
        strip = self._strips.get(key)
        if strip is None:
            arm = self._state.arm_index(row.tag, row.split)
            line = row_line(row, self._columns, arm, palette.style, cursor=cursor, focus=focus)
            strip = self._row_strip(line, width, cursor)
            if len(self._strips) > _CACHE:
                self._strips.clear()
            self._strips[key] = strip
        return strip

    def _row_strip(self, line: Text, width: int, cursor: bool) -> Strip:
        palette = palette_of(self.app)
        base = palette.rich("base")
        if not cursor:
            return self._strip(line, width, base)
        if palette.kind == "ansi":
            # Without grounds the row is reversed as one: reversed colours would be grounds of many hues.
            line = Text.assemble(
                (line.plain[:LEAD], palette.style("focus")), line.plain[LEAD:].ljust(width - 1 - LEAD)
            )
            mark = self._strip(line[:LEAD], LEAD, base)
            rest = Segment(line.plain[LEAD : width - 1], self._solid(palette.rich("raised")))
            return Strip([*mark, rest, Segment(" ", self._solid(base))], width)
        raised = self._strip(line, width - 1, palette.rich("raised"))
        return Strip(
            [Segment(" ", self._solid(base)), *raised.crop(1), Segment(" ", self._solid(base))], width
        )

    def _solid(self, ground: Style) -> Style:
        return palette_of(self.app).rich("text") + ground

    def _strip(self, line: Text, width: int, ground: Style) -> Strip:
        text = line.copy()
        text.truncate(width, overflow="ellipsis", pad=True)
        segments = list(text.render(self.app.console, end=""))
        base = self._solid(ground) + self.app.console.get_style(text.style)
        return Strip(
            [Segment(s.text, base + s.style if s.style else base) for s in segments], width
        ).simplify()

    def _empty_line(self, y: int, width: int) -> Strip:
        lines = self._empty.split("\n")
        text = Text("  ", no_wrap=True, end="")
        if y - 2 in range(len(lines)):
            text.append_text(lines[y - 2])
        return self._strip(text, width, palette_of(self.app).rich("base"))

    def _resize_virtual(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.ring) + 1)

    # -- moving

    def _to_end(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False, immediate=True, force=True)

    def _reveal(self) -> None:
        rows = max(self.size.height - 1, 1)
        top = self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False, immediate=True)
        elif self._cursor >= top + rows:
            self.scroll_to(y=self._cursor - rows + 1, animate=False, immediate=True)

    def _move(self, target: int, *, stop: bool = True) -> None:
        if not len(self.ring):
            return
        if stop and self.following:
            self.following, self.new_below = False, 0
        self._cursor = min(max(target, 0), len(self.ring) - 1)
        self._cursor_id = self.ring[self._cursor].id
        self._reveal()
        self.refresh()
        self.post_message(self.Changed(moved=True))

    def follow(self) -> None:
        """Back to the newest, and along with it."""
        self.following, self.new_below = True, 0
        if len(self.ring):
            self._cursor = len(self.ring) - 1
            self._cursor_id = self.ring[self._cursor].id
        self._to_end()
        self.refresh()
        self.post_message(self.Changed(moved=True))

    def action_live_follow(self) -> None:
        """Follow, or stop following where the cursor is."""
        if self.following:
            self._move(self._cursor)
        else:
            self.follow()

    def action_list_down(self) -> None:
        """One row down; at the newest row while following nothing changes."""
        if not (self.following and self._cursor == len(self.ring) - 1):
            self._move(self._cursor + 1)

    def action_list_up(self) -> None:
        """One row up; stops following."""
        self._move(self._cursor - 1)

    def action_list_page_down(self) -> None:
        """A page down."""
        if not self.following:
            self._move(self._cursor + max(self.size.height - 2, 1))

    def action_list_page_up(self) -> None:
        """A page up."""
        self._move(self._cursor - max(self.size.height - 2, 1))

    def action_list_first(self) -> None:
        """The oldest row in memory."""
        self._move(0)

    def action_list_last(self) -> None:
        """The newest row, and following again."""
        self.follow()

    def action_item_open(self) -> None:
        """Opens the request under the cursor."""
        if self.current is not None:
            self.post_message(self.Opened(self.current))

    def action_item_copy(self) -> None:
        """Copies its id."""
        if self.current is not None:
            self.post_message(self.Copied(self.current))

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The wheel moves the picture and stops following."""
        event.stop()
        self._wheel(-3)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The wheel moves the picture."""
        event.stop()
        if not self.following:
            self._wheel(3)

    def _wheel(self, rows: int) -> None:
        if not len(self.ring):
            return
        self.following = False
        self.scroll_to(
            y=min(max(self.scroll_offset.y + rows, 0), self.max_scroll_y), animate=False, immediate=True
        )
        top, visible = self.scroll_offset.y, max(self.size.height - 1, 1)
        self._move(min(max(self._cursor, top), top + visible - 1))

    def on_click(self, event: Click) -> None:
        """A click selects, a second one opens."""
        index = self.scroll_offset.y + event.y - 1
        if event.y < 1 or index >= len(self.ring):
            return
        if event.chain >= 2 and index == self._cursor:
            self.action_item_open()
        else:
            self._move(index)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling repaints; the titles stay where they are."""
        super().watch_scroll_y(old_value, new_value)
        self.refresh(Region(0, 0, self.size.width, self.size.height))
