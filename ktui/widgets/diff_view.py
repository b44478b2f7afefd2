"""DiffView: a unified diff with line numbers, in one column or with both sides beside each other."""

from __future__ import annotations

from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.events import Blur, Focus, Resize
from textual.geometry import Region, Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from ktui.themes import palette_of
from ktui.unified import DiffRow, counts, rows_of, side_by_side
from proxy.base.sanitise import sanitise

MOST_ROWS = 5_000
"""Rows shown at most; a longer difference says so in its last row."""
SIDES_FROM = 90
"""Columns from which both sides fit beside each other."""
_LONGEST_LINE = 500
_STYLE = {"gone": "bad", "new": "ok", "same": "text", "gap": "muted"}
_SIGN = {"gone": "-", "new": "+", "same": " ", "gap": " "}

_Line = tuple[DiffRow | None, DiffRow | None]


class DiffView(ScrollView, can_focus=True):
    """Scrolls by rows and, for long lines, to the side. What changed within a line is bold."""

    DEFAULT_CSS = """
    DiffView {
        width: 1fr; height: 1fr; background: $kt-base; color: $kt-text;
        scrollbar-size: 0 0; overflow-x: hidden;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "rows(1)", show=False),
        Binding("up,k", "rows(-1)", show=False),
        Binding("pagedown", "pages(1)", show=False),
        Binding("pageup", "pages(-1)", show=False),
        Binding("right,l", "columns(8)", show=False),
        Binding("left,h", "columns(-8)", show=False),
        Binding("home,g", "ends(-1)", show=False),
        Binding("end,G", "ends(1)", show=False),
        Binding("n", "change(1)", show=False),
        Binding("N", "change(-1)", show=False),
        Binding("v", "sides", show=False),
    ]

    def __init__(
        self,
        *,
        ground: str = "base",
        follow_content: bool = False,
        sides: bool | None = False,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self._ground = ground
        self._follow_content = follow_content
        self._rows: list[DiffRow] = []
        self._lines: list[_Line] = []
        self._left = 0
        self._digits = 1
        self._empty = Text()
        self._beside = False
        self.sides = sides
        """Whether both sides stand beside each other; None where every line fits."""

    def show(self, unified: str, empty: Text | str = "") -> None:
        """Shows a unified diff; `empty` when it has no row."""
        rows = rows_of(unified)
        if len(rows) > MOST_ROWS:
            left_out = len(rows) - MOST_ROWS
            rows = [*rows[:MOST_ROWS], DiffRow("gap", f"{left_out:,} more lines are not shown")]
        self._rows = rows
        self._empty = Text(empty) if isinstance(empty, str) else empty
        numbers = [number for row in rows for number in (row.before, row.after) if number is not None]
        self._digits = len(str(max(numbers, default=1)))
        self._left = 0
        self._lay_out()
        self.scroll_to(y=0, animate=False, immediate=True)

    def to_first_change(self) -> None:
        """Scrolls to the first change, with a line before it in sight, where not all rows fit."""
        first = next((index for index, pair in enumerate(self._lines) if _changed(pair)), 0)
        if len(self._lines) > self.size.height:
            self.scroll_to(y=max(first - 1, 0), animate=False, immediate=True, force=True)

    @property
    def counts(self) -> tuple[int, int]:
        """How many lines came and how many went."""
        return counts(self._rows)

    def _lay_out(self) -> None:
        # Rows are painted as they were laid out, also where the width has changed since.
        self._beside = self._fits_beside() if self.sides is None else self.sides
        if self._beside:
            self._lines = list(side_by_side(self._rows))
        else:
            self._lines = [(row, None) for row in self._rows]
        self.virtual_size = Size(self.size.width, max(len(self._lines), 1))
        if self._follow_content:
            self.styles.height = max(len(self._lines), 1)
        self._repaint()

    def _fits_beside(self) -> bool:
        longest = max((cell_len(row.text) for row in self._rows), default=0)
        return self.size.width >= SIDES_FROM and longest + self._digits + 5 <= (self.size.width - 1) // 2

    def _repaint(self) -> None:
        self.refresh(Region(0, 0, self.size.width, self.size.height))

    def on_mount(self) -> None:
        """A new theme paints anew."""
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._repaint())

    def on_resize(self, _event: Resize) -> None:
        """Two columns need room."""
        self._lay_out()

    def on_focus(self, _event: Focus) -> None:
        """Where the reader is shows at the heading, and in the marks of its rows."""
        self._repaint()

    def on_blur(self, _event: Blur) -> None:
        """Not here any more."""
        self._repaint()

    # -- painting

    def render_line(self, y: int) -> Strip:
        """One row, or a pair of them."""
        width = self.size.width
        index = self.scroll_offset.y + y
        if not self._lines:
            return self._strip(Text(" ").append_text(self._empty) if index == 0 else Text(), width)
        if index >= len(self._lines):
            return self._strip(Text(), width)
        left, right = self._lines[index]
        if not self._beside:
            assert left is not None
            return self._strip(self._one(left, width), width)
        if left is not None and left.kind == "gap":
            return self._strip(self._gap(left, width), width)
        half = (width - 1) // 2
        line = self._side(left, half, left=True).append(" ")
        return self._strip(line.append_text(self._side(right, half, left=False)), width)

    def _one(self, row: DiffRow, width: int) -> Text:
        if row.kind == "gap":
            return self._gap(row, width)
        style = palette_of(self.app).style
        digits = self._digits
        line = Text(" ", no_wrap=True, end="")
        for number in (row.before, row.after):
            line.append(f"{number if number is not None else '':>{digits}} ", style("muted"))
        return line.append_text(self._words(row, width - 2 * digits - 4))

    def _side(self, row: DiffRow | None, width: int, *, left: bool) -> Text:
        digits = self._digits
        line = Text(" ", no_wrap=True, end="")
        if row is not None:
            number = row.before if left else row.after
            line.append(f"{number:>{digits}} ", palette_of(self.app).style("muted"))
            line.append_text(self._words(row, width - digits - 3))
        line.truncate(width, pad=True)
        return line

    def _words(self, row: DiffRow, room: int) -> Text:
        """Sign and text; what changed within the line is bold."""
        style = palette_of(self.app).style(_STYLE[row.kind])
        line = Text(no_wrap=True, end="")
        line.append(f"{_SIGN[row.kind]} ", style)
        skipped = self._left
        if row.changed is None:
            words = Text(sanitise(row.text.expandtabs(4), _LONGEST_LINE), style=style)
        else:
            start, end = row.changed
            words = Text()
            words.append(sanitise(row.text[:start], _LONGEST_LINE), style)
            words.append(sanitise(row.text[start:end], _LONGEST_LINE), f"bold {style}")
            words.append(sanitise(row.text[end:], _LONGEST_LINE), style)
            # What changed is in sight also where the line is too long: then its beginning is cut.
            if not skipped and end > room - 3:
                skipped = min(end - room + 6, start)
        if skipped:
            words = words[skipped:] if skipped < len(words) else Text()
            words = Text("…", style=style).append_text(words)
        words.truncate(max(room - 2, 1), overflow="ellipsis")
        return line.append_text(words)

    def _gap(self, row: DiffRow, width: int) -> Text:
        muted = palette_of(self.app).style("muted")
        return Text(f" {'┄' * self._digits} {sanitise(row.text, 80)}".ljust(width), style=muted, no_wrap=True)

    def _strip(self, line: Text, width: int) -> Strip:
        palette = palette_of(self.app)
        text = line.copy()
        text.truncate(width, overflow="ellipsis", pad=True)
        base = palette.rich("text") + palette.rich(self._ground) + self.app.console.get_style(text.style)
        segments = [
            Segment(piece.text, base + piece.style if piece.style else base)
            for piece in text.render(self.app.console, end="")
        ]
        return Strip(segments, width).simplify()

    # -- moving

    def action_rows(self, by: int) -> None:
        """Rows down or up."""
        self.scroll_to(y=self.scroll_offset.y + by, animate=False, immediate=True)

    def action_pages(self, by: int) -> None:
        """Pages down or up."""
        self.action_rows(by * max(self.size.height - 1, 1))

    def action_ends(self, which: int) -> None:
        """To the first or the last row."""
        self.scroll_to(y=0 if which < 0 else self.max_scroll_y, animate=False, immediate=True)

    def action_columns(self, by: int) -> None:
        """To the side, for long lines."""
        longest = max((len(row.text) for row in self._rows), default=0)
        self._left = min(max(self._left + by, 0), max(longest - 8, 0))
        self._repaint()

    def action_change(self, by: int) -> None:
        """To the next place that changed, or the one before."""
        here = self.scroll_offset.y
        places = [
            index
            for index, pair in enumerate(self._lines)
            if _changed(pair) and (index == 0 or not _changed(self._lines[index - 1]))
        ]
        ahead = [place for place in places if (place > here if by > 0 else place < here)]
        if ahead:
            self.scroll_to(y=ahead[0] if by > 0 else ahead[-1], animate=False, immediate=True)

    def action_sides(self) -> None:
        """One column, or both sides beside each other."""
        self.sides = not self._beside
        self._lay_out()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Scrolling repaints."""
        super().watch_scroll_y(old_value, new_value)
        self._repaint()


def _changed(pair: _Line) -> bool:
    return any(row is not None and row.kind in ("gone", "new") for row in pair)
