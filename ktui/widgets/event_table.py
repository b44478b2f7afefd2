"""EventTable: the list of requests, painted line by line from the rows in memory; newest at the bottom.

Following shows the newest. Any move up or selection stops it: the picture stands, new requests are counted.
The cursor stays on its request, never on a row number. Near an end of what is in memory the table asks for
the page beyond it; what comes is put there without moving the picture.
"""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.binding import BindingType
from textual.events import Blur, Click, Focus, Key, MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from ktui.answers import EventRow
from ktui.commands import bindings
from ktui.event_rows import EventRows
from ktui.event_sort import Order
from ktui.state import AppState
from ktui.themes import palette_of
from ktui.widgets.event_columns import row_line, title_line
from ktui.widgets.row_paint import end_line, plain_strip, row_strip
from ktui.widgets.table_rows import TableRows

_CACHE = 512


class EventTable(TableRows, can_focus=True):
    """The event list. What arrives waits in `rows` until `flush`, so that 3 or 300 of them cost one frame."""

    DEFAULT_CSS = """
    EventTable {
        width: 1fr; height: 1fr; background: $kt-base; color: $kt-text;
        scrollbar-size: 0 0; overflow-x: hidden;
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("lists"), *bindings("live", only=["live.follow"])]

    class Opened(Message):
        """The reader wants to see one request."""

        def __init__(self, row: EventRow) -> None:
            super().__init__()
            self.row = row

    class Copied(Message):
        """The reader wants a request in the clipboard; None: there is none, but what stands in the table instead."""

        def __init__(self, row: EventRow | None) -> None:
            super().__init__()
            self.row = row

    class WantsOldest(Message):
        """The reader wants to see the oldest request of all."""

    class Leaves(Message):
        """`esc`: the reader wants whatever runs for this list to end."""

    def __init__(self, state: AppState, rows: EventRows, *, id: str | None = None) -> None:
        super().__init__(state, rows, id=id)
        self._strips: dict[tuple[object, ...], Strip] = {}
        self._empty: Text = Text()

    def show_empty(self, text: Text) -> None:
        """What stands in the table while there is no row."""
        if text.markup != self._empty.markup:
            self._empty = text
            if not len(self.view):
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
        self.lay_out()
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
        """Line 0 are the titles, the others rows, or what is beyond them."""
        palette, width = palette_of(self.app), self.size.width
        if y == 0:
            return plain_strip(self.app, self._titles(), width)
        if not len(self.view):
            return plain_strip(self.app, self._empty_line(y), width)
        index = self.scroll_offset.y - self._head + y - 1
        if not 0 <= index < len(self.view):
            beyond = (index == -1 and self._head) or (index == len(self.view) and self._foot)
            line = end_line(self.rows, palette, older=index == -1) if beyond else Text()
            return plain_strip(self.app, line, width)
        row = self.view[index]
        cursor, mark = row.seq == self.rows.cursor_seq, row.seq in self.marks
        focus = cursor and self.has_focus
        key = (row.id, width, cursor, focus, mark, palette.name)
        strip = self._strips.get(key)
        if strip is None:
            arm = self._state.arm_index(row.tag, row.split)
            line = row_line(row, self.columns, arm, palette.style, cursor=cursor, focus=focus)
            strip = row_strip(self.app, line, width, cursor=cursor, mark=mark)
            if len(self._strips) > _CACHE:
                self._strips.clear()
            self._strips[key] = strip
        return strip

    def _titles(self) -> Text:
        order = self.order
        style = palette_of(self.app).style
        return title_line(self.columns, style, order.column, up=not order.grows_down)

    def _empty_line(self, y: int) -> Text:
        lines = self._empty.split("\n")
        text = Text("  ", no_wrap=True, end="")
        return text.append_text(lines[y - 2]) if y - 2 in range(len(lines)) else text

    # -- moving

    def action_live_follow(self) -> None:
        """Follow, or stop following where the cursor is."""
        if self.following:
            self._move(self.cursor)
        else:
            self.follow()

    def action_item_mark(self) -> None:
        """Marks the request under the cursor, or takes its mark away."""
        row = self.current
        if row is not None:
            if self.marks.pop(row.seq, None) is None:
                self.marks[row.seq] = row
            self._move(self.cursor)

    def action_list_down(self) -> None:
        """One row down; at the newest row while following nothing changes."""
        if not (self.following and self.cursor == len(self.view) - 1):
            self._move(self.cursor + 1)

    def action_list_up(self) -> None:
        """One row up; stops following."""
        self._move(self.cursor - 1)

    def action_list_page_down(self) -> None:
        """A page down."""
        if not self.following:
            self._move(self.cursor + max(self.size.height - 2, 1))

    def action_list_page_up(self) -> None:
        """A page up."""
        self._move(self.cursor - max(self.size.height - 2, 1))

    def action_list_first(self) -> None:
        """The oldest request in the store."""
        if self.rows.older == "end" or self.view is not self.rows:
            self._move(0)
        elif len(self.rows):
            self.post_message(self.WantsOldest())

    def action_list_last(self) -> None:
        """The newest row, and following again; sorted, the last row."""
        if self.is_sorted:
            self._move(len(self.view) - 1)
        else:
            self.follow()

    def action_item_open(self) -> None:
        """Opens the request under the cursor."""
        if self.current is not None:
            self.post_message(self.Opened(self.current))

    def action_item_copy(self) -> None:
        """Copies it."""
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

    def _wheel(self, lines: int) -> None:
        if not len(self.view):
            return
        self.rows.stop()
        self._resize_virtual()
        self._scroll(self.scroll_offset.y + lines)
        top = self.scroll_offset.y - self._head
        self._move(min(max(self.cursor, top), top + max(self.size.height - 1, 1) - 1))

    def on_click(self, event: Click) -> None:
        """A click selects, a second one opens."""
        index = self.scroll_offset.y - self._head + event.y - 1
        if event.y == 0:
            self.click_title(event.x)
        if event.y < 1 or not 0 <= index < len(self.view):
            return
        if event.chain >= 2 and index == self.cursor:
            self.action_item_open()
        else:
            self._move(index)

    def key_escape(self, event: Key) -> None:
        """Ends what runs for this list; without such a thing the key means what it means everywhere."""
        if self.is_sorted:
            event.stop()
            event.prevent_default()
            self.set_order(Order())
        elif self.leaves:
            event.stop()
            event.prevent_default()
            self.post_message(self.Leaves())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling repaints; the titles stay where they are."""
        super().watch_scroll_y(old_value, new_value)
        self.refresh(Region(0, 0, self.size.width, self.size.height))
