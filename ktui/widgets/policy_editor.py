"""PolicyEditor: a text area that knows YAML, roles, diagnostics and what differs from the running version."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.events import Key
from textual.message import Message
from textual.strip import Strip
from textual.widgets import TextArea
from textual.widgets.text_area import TextAreaTheme

from ktui.answers import Edit, Problem
from ktui.themes import role

HIGHLIGHT_UP_TO = 1_500
"""Lines; beyond it the highlighter takes longer than a key may."""
SEVERITY_GLYPH: Mapping[str, str] = {"error": "✗", "warning": "!", "info": "i"}
SEVERITY_ROLE: Mapping[str, str] = {"error": "bad", "warning": "warn", "info": "info"}
_RANK = {"error": 0, "warning": 1, "info": 2}
_SYNTAX = {
    "yaml.field": "syntax.key",
    "string": "syntax.string",
    "number": "syntax.number",
    "boolean": "syntax.number",
    "constant.builtin": "syntax.number",
    "comment": "syntax.comment",
    "punctuation.bracket": "syntax.punctuation",
    "punctuation.delimiter": "syntax.punctuation",
    "punctuation.special": "syntax.punctuation",
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
        super().__init__(
            "", language="yaml", soft_wrap=False, show_line_numbers=True, tab_behavior="indent", id=id
        )
        self.indent_width = 2
        if self.is_syntax_aware:
            # A plain word is no string to the eye: only quoted text has the colour of strings.
            query = self._get_builtin_highlight_query("yaml").replace("\n(string_scalar) @string\n", "\n")
            self.update_highlight_query("yaml", query)
        self.cursor_blink = False
        self._problems: dict[int, list[Problem]] = {}
        self._changed: frozenset[int] = frozenset()

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
        self.register_theme(theme)
        self.theme = "ktui"

    # -- what it shows

    def show_text(self, text: str) -> None:
        """Loads `text` in place of everything, undo history too; the cursor stays where it can."""
        cursor = self.cursor_location
        self.language = "yaml" if text.count("\n") < HIGHLIGHT_UP_TO else None
        self.load_text(text)
        self.move_cursor(self.clamp_visitable(cursor))

    @property
    def highlighted(self) -> bool:
        """Whether the text is short enough for highlighting."""
        return self.language is not None

    def show_problems(self, problems: Sequence[Problem]) -> None:
        """Underlines ranges and marks lines."""
        found: dict[int, list[Problem]] = {}
        for problem in problems:
            found.setdefault(problem.line - 1, []).append(problem)
        if found != self._problems:
            self._problems = found
            self._redraw()

    def show_changed(self, lines: Collection[int]) -> None:
        """Marks lines (from 0) that differ from the running version."""
        if frozenset(lines) != self._changed:
            self._changed = frozenset(lines)
            self._redraw()

    def _redraw(self) -> None:
        # The line cache of the text area does not know of problems.
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
        """Makes the edits of a fix; one undo takes each back."""
        for edit in sorted(edits, key=lambda item: item.start, reverse=True):
            start = self._location(edit.start)
            end = self._location(edit.end)
            self.replace(edit.text, start, end, maintain_selection_offset=False)

    def _location(self, offset: int) -> tuple[int, int]:
        text = self.text[:offset]
        # Lines as the document splits them; an edit never starts inside a line ending.
        row = text.count("\n")
        return row, len(text) - (text.rfind("\n") + 1)

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
        for problem in self._problems.get(line_index, ()):
            end = problem.end_column - 1 if problem.end_line == problem.line else len(line)
            style = Style.parse(role(self.app, SEVERITY_ROLE.get(problem.severity, "info"))) + Style(
                underline=True
            )
            start = min(problem.column - 1, max(len(line) - 1, 0))
            line.stylize(style, start, max(end, start + 1))
        return line

    def _render_line(self, y: int) -> Strip:
        strip = super()._render_line(y)
        line = y + self.scroll_offset.y
        if line >= self.document.line_count:
            return strip
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
        if event.key == "escape":
            event.stop()
            event.prevent_default()
            self.post_message(self.Left())
            return
        await super()._on_key(event)
