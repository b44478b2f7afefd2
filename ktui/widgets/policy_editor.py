"""PolicyEditor: a text area that knows YAML, roles, diagnostics and what differs from the running version."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.cache import LRUCache
from textual.events import Key, Paste
from textual.geometry import Offset
from textual.message import Message
from textual.strip import Strip
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme

from ktui.answers import Edit, Problem
from ktui.editor.highlights import Highlights
from ktui.themes import role

UNDO_STEPS = 1_000
"""Steps that can be undone, applies and reloads among them."""
SEVERITY_GLYPH: Mapping[str, str] = {"error": "✗", "warning": "!", "info": "i"}
SEVERITY_ROLE: Mapping[str, str] = {"error": "bad", "warning": "warn", "info": "info"}
_PAINTED_ROWS = 1_024
_RANK = {"error": 0, "warning": 1, "info": 2}
_SYNTAX = {
    "yaml.field": "syntax.key",
    "string": "syntax.string",
    "number": "syntax.number",
    "comment": "syntax.comment",
    "punctuation.delimiter": "syntax.punctuation",
    "error": "syntax.error",
}
_VISIBLE = {code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)} | {0x7F: 0x2421}
_HIDDEN = {
    code: "·"
    for start, end in ((0x80, 0x9F), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF))
    for code in range(start, end + 1)
}
_TABLE: dict[int, Any] = _VISIBLE | _HIDDEN


class PolicyEditor(TextArea):
    """Edits the draft. `esc` leaves it; letters type."""

    DEFAULT_CSS = """
    PolicyEditor, PolicyEditor:focus {
        border: none; padding: 0; width: 1fr; height: 1fr; background: $kt-base; color: $kt-text;
        scrollbar-size: 0 0;
    }
    """

    class Left(Message):
        """`esc`: the reader wants out."""

    def __init__(self, *, id: str | None = None) -> None:
        self._painted: LRUCache[tuple[object, ...], Strip] = LRUCache(_PAINTED_ROWS)
        super().__init__(
            "",
            soft_wrap=False,
            show_line_numbers=True,
            tab_behavior="indent",
            max_checkpoints=UNDO_STEPS,
            id=id,
        )
        self.indent_width = 2
        self.cursor_blink = False
        self._problems: dict[int, list[Problem]] = {}
        self._underlined: dict[int, list[Problem]] = {}
        self._changed: frozenset[int] = frozenset()
        self._hits: re.Pattern[str] | None = None
        self.intercept: Callable[[str], bool] | None = None
        """Asked first with each key; True keeps the key from the editor."""
        self.last_key: str | None = None
        """The key whose change comes next; None after a paste, an undo or a load."""

    def on_mount(self) -> None:
        """Colours follow the theme."""
        self._dress()
        self.app.theme_changed_signal.subscribe(self, lambda _theme: self._dress())

    def _dress(self) -> None:
        def style(name: str) -> Style:
            return Style.parse(role(self.app, name))

        cursor_line = style("raised")
        theme = TextAreaTheme(
            name="ktui",
            base_style=style("text") + style("base"),
            gutter_style=style("muted"),
            cursor_style=Style(reverse=True),
            cursor_line_style=cursor_line if not cursor_line.reverse else Style(),
            cursor_line_gutter_style=style("strong"),
            bracket_matching_style=Style(bold=True),
            selection_style=Style(reverse=True),
            syntax_styles={token: style(name) for token, name in _SYNTAX.items()},
        )
        self._painted.clear()
        self.register_theme(theme)
        self.theme = "ktui"

    # -- what it shows

    def show_text(self, text: str, *, undoable: bool = True) -> None:
        """Shows `text` in place of everything; the cursor stays where it can. `undo` brings the old text back,
        unless it is said that there is none worth it.
        """
        self.last_key = None
        cursor = self.cursor_location
        if undoable:
            self._replace_difference(text)
        else:
            self.load_text(text)
            self.move_cursor(self.clamp_visitable(cursor))

    def _replace_difference(self, text: str) -> None:
        """One edit of what differs: marks, cursor and view stay where nothing changed."""
        before = self.text
        if before == text:
            return
        head = _common(before, text)
        tail = _common(before[head:][::-1], text[head:][::-1])
        self.history.checkpoint()
        start, end = self._location(head), self._location(len(before) - tail)
        self.replace(text[head : len(text) - tail], start, end, maintain_selection_offset=True)
        self.history.checkpoint()
        self.move_cursor(self.clamp_visitable(self.cursor_location))

    def show_problems(self, problems: Sequence[Problem]) -> None:
        """Underlines ranges and marks lines."""
        found: dict[int, list[Problem]] = {}
        for problem in problems:
            found.setdefault(problem.line - 1, []).append(problem)
        if found != self._problems:
            self._problems = found
            self._underlined = _by_row(problems)
            self._redraw()

    def show_hits(self, pattern: re.Pattern[str] | None) -> None:
        """Marks what the pattern finds in the lines in sight; None marks nothing."""
        if pattern != self._hits:
            self._hits = pattern
            self._redraw()

    def show_changed(self, lines: Collection[int]) -> None:
        """Marks lines (from 0) that differ from the running version."""
        if frozenset(lines) != self._changed:
            self._changed = frozenset(lines)
            self.notify_style_update()
            self.refresh()

    def _redraw(self) -> None:
        # The line cache of the text area does not know of problems.
        self._painted.clear()
        self.notify_style_update()
        self.refresh()

    def problem_at_cursor(self, *, with_fix: bool = False) -> Problem | None:
        """The problem the cursor stands in, else the gravest of its line; `with_fix`: of those that have one."""
        row, column = self.cursor_location
        here = [item for item in self._problems.get(row, []) if item.fix is not None or not with_fix]

        def rank(problem: Problem) -> tuple[bool, int]:
            inside = problem.column - 1 <= column < problem.end_column or problem.end_line != problem.line
            return not inside, _RANK.get(problem.severity, 3)

        return min(here, key=rank, default=None)

    def go_to(self, problem: Problem) -> None:
        """Puts the cursor on a problem."""
        self.move_cursor(self.clamp_visitable((problem.line - 1, problem.column - 1)), center=True)

    def apply_edits(self, edits: Sequence[Edit]) -> None:
        """Makes the edits of one fix or of several; one undo takes all of them back."""
        text = self.text
        for edit in sorted(edits, key=lambda item: (item.start, item.end), reverse=True):
            text = text[: edit.start] + edit.text + text[edit.end :]
        self.last_key = None
        self._replace_difference(text)

    def _location(self, offset: int) -> tuple[int, int]:
        text = self.text[:offset]
        # Lines as the document splits them; an edit never starts inside a line ending.
        row = text.count("\n")
        return row, len(text) - (text.rfind("\n") + 1)

    def scroll_cursor_visible(self, center: bool = False, animate: bool = False) -> Offset:
        """As every text area; a line that fits is shown from its beginning again."""
        moved = super().scroll_cursor_visible(center=center, animate=animate)
        row, column = self.cursor_location
        if (
            self.scroll_offset.x
            and self.get_column_width(row, column) < self.size.width - self.gutter_width - 1
        ):
            self.scroll_to(x=0, animate=False)
        return moved

    # -- drawing

    @property
    def gutter_width(self) -> int:
        """Change bar, number, severity."""
        return len(str(self.document.line_count)) + 5

    def get_line(self, line_index: int) -> Text:
        """The line, nothing active in it, problems underlined."""
        line = super().get_line(line_index)
        safe = line.plain.translate(_TABLE)
        if safe != line.plain:
            line = Text(safe, spans=line.spans, end="", no_wrap=True)
        if self._hits is not None:
            # The one found stands out of these: it is selected.
            hit = Style.parse(role(self.app, "accent")) + Style(bold=True, underline=True)
            for match in self._hits.finditer(line.plain):
                line.stylize(hit, *match.span())
        # The gravest is put on last, over the others.
        here = self._underlined.get(line_index, ())
        for problem in sorted(here, key=lambda item: _RANK.get(item.severity, 3), reverse=True):
            start, end = _range_in(problem, line_index + 1, line.plain)
            colour = Style.parse(role(self.app, SEVERITY_ROLE.get(problem.severity, "info")))
            line.stylize(colour + Style(underline=True), start, end)
        return line

    def _build_highlight_map(self) -> None:
        self._line_cache.clear()
        self._highlights = Highlights(self.document)

    def _render_line(self, y: int) -> Strip:
        row = y + self.scroll_offset.y
        if row >= self.document.line_count:
            return super()._render_line(y)
        key = self._look_of(row)
        painted = self._painted.get(key) if key is not None else None
        if painted is None:
            painted = self._paint(y, row)
            if key is not None:
                self._painted[key] = painted
        return painted

    def _look_of(self, row: int) -> tuple[object, ...] | None:
        """All that decides how a row looks; None where the cursor, the selection or a bracket takes part.

        A text area paints every row anew after each key; most of them look as before.
        """
        top, bottom = sorted(self.selection)
        bracket = self._matching_bracket_location
        if top[0] <= row <= bottom[0] or (bracket is not None and bracket[0] == row):
            return None
        highlights = self._highlights
        within_text = isinstance(highlights, Highlights) and highlights.within_text(row)
        return (
            row,
            self.document.get_line(row),
            within_text,
            row in self._changed,
            self.scroll_offset.x,
            self.size.width,
            max(self.virtual_size.width, self.size.width),
            self.gutter_width,
        )

    def _paint(self, y: int, line: int) -> Strip:
        strip = super()._render_line(y)
        width, room = self.gutter_width, self.size.width
        text = strip.crop(width, room)
        if cell_len(self.document[line]) - self.scroll_offset.x > room - width:
            cut = Segment("…", Style.parse(role(self.app, "base")) + Style.parse(role(self.app, "muted")))
            text = Strip.join([strip.crop(width, room - 1), Strip([cut], 1)])
        return Strip.join([self._gutter(line, width), text])

    def _gutter(self, line: int, width: int) -> Strip:
        here = self._problems.get(line, [])
        worst = min(here, key=lambda problem: _RANK.get(problem.severity, 3), default=None)
        is_cursor = line == self.cursor_location[0]
        ground = Style.parse(role(self.app, "base"))
        number_style = Style.parse(role(self.app, "strong" if is_cursor else "muted"))
        bar_style = Style.parse(role(self.app, "warn"))
        mark, mark_style = " ", number_style
        if worst is not None:
            mark = SEVERITY_GLYPH.get(worst.severity, "i")
            mark_style = Style.parse(role(self.app, SEVERITY_ROLE.get(worst.severity, "info")))
        number = f"{line + 1:>{width - 4}}"
        return Strip(
            [
                Segment(" ", ground),
                Segment("▌" if line in self._changed else " ", ground + bar_style),
                Segment(number, ground + number_style),
                Segment(mark, ground + mark_style),
                Segment(" ", ground),
            ],
            width,
        )

    # -- keys

    async def _on_key(self, event: Key) -> None:
        self.last_key = event.character if event.is_printable else event.key
        if self.intercept is not None and self.intercept(event.key):
            event.stop()
            event.prevent_default()
            return
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            self.post_message(self.Left())
            return
        if event.key == "enter" and not self.read_only:
            event.stop()
            event.prevent_default()
            self._new_line()
            return
        await super()._on_key(event)

    def _new_line(self) -> None:
        """A new line begins below the text of this one; below a key without a value one step further in."""
        start, end = sorted(self.selection)
        before = self.document.get_line(start[0])[: start[1]]
        indent = before[: len(before) - len(before.lstrip(" "))]
        opened = before.rstrip()
        if opened.endswith(":") and not opened.lstrip().startswith("#"):
            inside = len(opened) - len(opened.lstrip(" -"))
            indent = " " * (inside + self.indent_width)
        elif opened.lstrip().startswith("- ") and ": " in opened and "{" not in opened:
            indent = " " * (len(opened) - len(opened.lstrip(" -")))
        self.replace("\n" + indent, start, end, maintain_selection_offset=False)

    async def _on_paste(self, event: Paste) -> None:
        self.last_key = None
        await super()._on_paste(event)


def _by_row(problems: Sequence[Problem]) -> dict[int, list[Problem]]:
    """Problems by each row (from 0) they cover."""
    found: dict[int, list[Problem]] = {}
    for problem in problems:
        for line in range(problem.line, max(problem.end_line, problem.line) + 1):
            found.setdefault(line - 1, []).append(problem)
    return found


def _range_in(problem: Problem, line: int, text: str) -> tuple[int, int]:
    """Columns (from 0, the end excluded) a problem covers of one of its lines; at least one cell of a line."""
    indent = len(text) - len(text.lstrip())
    start = problem.column - 1 if line == problem.line else indent
    end = problem.end_column - 1 if line == problem.end_line else len(text.rstrip())
    start = min(start, max(len(text) - 1, 0))
    if line != problem.line and end <= start:
        return 0, 0
    return start, max(end, start + 1)


def _common(a: str, b: str) -> int:
    """How many characters both begin with."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
