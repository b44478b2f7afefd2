"""TableRows: the half of the event table that knows which rows are shown, and where the picture stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from textual.geometry import Size
from textual.message import Message

from ktui.answers import EventRow
from ktui.event_rows import EventRows, RowView
from ktui.state import AppState
from ktui.widgets.table_order import OrderedTable

_NEAR = 200
"""Rows between the picture and an end of what is in memory below which the next page is asked for."""


class TableRows(OrderedTable):
    """Rows, cursor and scroll offset. Whatever is added where, the picture stands or stays at the newest."""

    class Changed(Message, namespace="event_table"):
        """Cursor, follow state or the number of rows changed."""

        def __init__(self, moved: bool) -> None:
            super().__init__()
            self.moved = moved
            """Whether the reader moved, rather than the world."""

    class Needs(Message, namespace="event_table"):
        """The reader is near an end of what is in memory, and more is beyond it."""

        def __init__(self, older: bool) -> None:
            super().__init__()
            self.older = older

    def __init__(self, state: AppState, rows: EventRows, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state = state
        self.rows = rows
        """What is in memory, in the order it was stored."""
        self.view: RowView = rows
        """What is painted: `rows`, or the same requests in another order."""
        self.marks: dict[int, EventRow] = {}
        """Marked requests by `seq`; they stay marked when they are no longer in memory."""
        self.held = False
        """While true nothing moves: new rows wait."""
        self.leaves = False
        """Whether `esc` has something to end here."""

    # -- rows

    def show_rows(self, rows: EventRows) -> None:
        """Another list: its own cursor, its own place."""
        self.rows = rows
        self.in_time_order()
        self._resize_virtual()
        self._to_end() if rows.following else self._reveal(middle=True)
        self.refresh()
        self.post_message(self.Changed(moved=False))
        self.check_ends()

    def flush(self) -> int:
        """Shows what has arrived, at once and in one frame; returns how many rows were new."""
        if self.held or not self.rows.waiting:
            return 0
        with self.steady():
            return self.rows.take()

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Rows may change inside; the picture stands, or stays at the end when following.

        Nothing is drawn when what is in sight did not change.
        """
        top = self.scroll_offset.y - self._head
        at = max(top, 0)
        seq = self.view[at].seq if at < len(self.view) else None
        before = self._picture()
        yield
        if self.rows.following and self.view is self.rows:
            self._resize_virtual()
            self._to_end()
        elif seq is not None and (place := self.view.place_of(seq)) >= 0:
            y = place + self._head + min(top, 0)
            if y != self.scroll_offset.y:
                self._resize_virtual()
                self._scroll(y)
        if self._picture() != before:
            self._resize_virtual()
            self.refresh()
        self.post_message(self.Changed(moved=False))
        self.check_ends()

    def _picture(self) -> tuple[object, ...]:
        """All that the lines in sight depend on."""
        first = self.scroll_offset.y - self._head
        places = range(max(first, 0), min(first + self.size.height - 1, len(self.view)))
        ends = (self._head, self._foot, self.rows.older, self.rows.newer) if first < 0 or self._foot else ()
        return (first, self.rows.cursor_seq, ends, *(self.view[place].seq for place in places))

    @property
    def _head(self) -> int:
        """1 when a line before the oldest row says what is beyond it."""
        return 1 if self.rows.paged and self.view is self.rows else 0

    @property
    def _foot(self) -> int:
        """1 when a line after the newest row says what is beyond it."""
        return 1 if self.rows.gap and self.view is self.rows else 0

    @property
    def following(self) -> bool:
        """Whether the newest is shown, and what comes."""
        return self.rows.following

    @property
    def new_below(self) -> int:
        """Requests that came since following stopped."""
        return self.rows.new_below

    @property
    def cursor(self) -> int:
        """Index of the row under the cursor; -1 without rows."""
        return -1 if self.rows.cursor_seq is None else self.view.place_of(self.rows.cursor_seq)

    @property
    def cursor_row(self) -> int:
        """Row of the cursor in this widget; 0 are the titles."""
        return self.cursor + self._head - self.scroll_offset.y + 1

    @property
    def current(self) -> EventRow | None:
        """The request under the cursor."""
        cursor = self.cursor
        return self.view[cursor] if cursor >= 0 else None

    @property
    def marked(self) -> list[EventRow]:
        """Marked requests, in the order they were stored."""
        return [self.marks[seq] for seq in sorted(self.marks)]

    def check_ends(self) -> None:
        """Asks for the page beyond an end that is near."""
        rows = self.rows
        if self.view is not rows or not self.size.height:
            return
        top = self.scroll_offset.y - self._head
        if rows.older == "open" and (top < _NEAR if len(rows) else rows.paged):
            self.post_message(self.Needs(older=True))
        if rows.newer == "open" and len(rows) - top - self.size.height < _NEAR:
            self.post_message(self.Needs(older=False))

    def _resize_virtual(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.view) + self._head + self._foot + 1)

    # -- moving

    def _scroll(self, y: int) -> None:
        self.scroll_to(y=min(max(y, 0), self.max_scroll_y), animate=False, immediate=True, force=True)

    def _to_end(self) -> None:
        self._scroll(self.max_scroll_y)

    def _reveal(self, *, middle: bool = False) -> None:
        cursor = self.cursor
        if cursor < 0:
            return
        # The lines at the ends are shown with the row beside them.
        line = 0 if cursor == 0 else cursor + self._head
        last = cursor + self._head + (self._foot if cursor == len(self.view) - 1 else 0)
        rows, top = max(self.size.height - 1, 1), self.scroll_offset.y
        if middle and not top <= line < top + rows:
            self._scroll(line - rows // 2)
        elif line < top:
            self._scroll(line)
        elif last >= top + rows:
            self._scroll(last - rows + 1)

    def _move(self, target: int) -> None:
        self._resize_virtual()
        if not len(self.view):
            if self.rows.older in ("failed", "stopped"):
                self.rows.older = "open"
            self.check_ends()
            return
        self.rows.stop()
        target = min(max(target, 0), len(self.view) - 1)
        self.rows.cursor_seq = self.view[target].seq
        self._reveal()
        self.refresh()
        self.post_message(self.Changed(moved=True))
        if target == 0 and self.rows.older in ("failed", "stopped"):
            self.rows.older = "open"
        if target == len(self.view) - 1 and self.rows.newer in ("failed", "stopped"):
            self.rows.newer = "open"
        self.check_ends()

    def show_cursor(self) -> None:
        """The cursor was put somewhere else: its row in the middle, where it was not in sight."""
        self._resize_virtual()
        self._reveal(middle=True)
        self.refresh()
        self.post_message(self.Changed(moved=True))
        self.check_ends()

    def follow(self) -> None:
        """Back to the newest, and along with it."""
        self.in_time_order()
        self.rows.follow()
        self._resize_virtual()
        self._to_end()
        self.refresh()
        self.post_message(self.Changed(moved=True))
        self.check_ends()

    def clear_marks(self) -> None:
        """No request is marked."""
        self.marks.clear()
        self.refresh()
        self.post_message(self.Changed(moved=True))
