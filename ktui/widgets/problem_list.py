"""ProblemList: the diagnostics of a draft, one under the cursor; letters work here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import RenderResult
from textual.binding import BindingType
from textual.events import Click
from textual.geometry import Region, Size
from textual.message import Message
from textual.widget import Widget

from ktui.answers import Problem
from ktui.commands import bindings
from ktui.themes import role
from ktui.widgets.policy_editor import SEVERITY_GLYPH, SEVERITY_ROLE
from proxy.base.sanitise import sanitise

_LIST_KEYS = ("list.down", "list.up", "list.first", "list.last", "item.open")
_NARROW = 60
_MOST_LINES = 3


class ProblemList(Widget, can_focus=True):
    """Wraps messages when narrow; when wide each problem is one line with its fix at the right."""

    DEFAULT_CSS = "ProblemList { height: auto; width: 1fr; background: $kt-base; color: $kt-text; }"
    BINDINGS: ClassVar[list[BindingType]] = bindings("lists", only=_LIST_KEYS)

    class Chosen(Message):
        """A problem was opened: the editor goes there; None when there is none to open."""

        def __init__(self, problem: Problem | None) -> None:
            super().__init__()
            self.problem = problem

    class Moved(Message):
        """The cursor moved."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.problems: tuple[Problem, ...] = ()
        self.cursor = 0
        self._starts: list[int] = []

    def show(self, problems: Sequence[Problem]) -> None:
        """Shows `problems` in file order."""
        if tuple(problems) != self.problems:
            self.problems = tuple(problems)
            self.cursor = min(self.cursor, max(len(self.problems) - 1, 0))
            self.refresh(layout=True)

    @property
    def current(self) -> Problem | None:
        """The problem under the cursor."""
        return self.problems[self.cursor] if self.problems else None

    def step(self, by: int) -> Problem | None:
        """Moves the cursor round and round."""
        if self.problems:
            self.cursor = (self.cursor + by) % len(self.problems)
            self.refresh()
        return self.current

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """One row at least."""
        return max(sum(len(rows) for rows in self._rows(width)), 1)

    def _rows(self, width: int) -> list[list[Text]]:
        return [self._problem(number, problem, width) for number, problem in enumerate(self.problems)]

    def _problem(self, number: int, problem: Problem, width: int) -> list[Text]:
        selected = number == self.cursor and self.has_focus
        style = role(self.app, SEVERITY_ROLE.get(problem.severity, "info"))
        muted, accent = role(self.app, "muted"), f"bold {role(self.app, 'accent')}"
        head = Text("▌" if selected else " ", style=role(self.app, "focus"), no_wrap=True, end="")
        head.append(f"{SEVERITY_GLYPH.get(problem.severity, 'i')} ", style)
        head.append(f"{problem.line}:{problem.column}", role(self.app, "text")).append(" ")
        message = Text(sanitise(problem.message, 400), style=role(self.app, "text"))
        fix = Text()
        if problem.fix is not None:
            fix.append("ctrl+r", accent).append(f" {sanitise(problem.fix.title, 40)}", muted)
        if width >= _NARROW:
            room = width - head.cell_len - fix.cell_len - 3
            message.truncate(max(room, 8), overflow="ellipsis", pad=bool(fix.cell_len))
            rows = [head.append_text(message).append("  ").append_text(fix)]
        else:
            rows = self._wrapped(head, message, fix, width)
        for row in rows:
            row.truncate(width - 1, pad=True, overflow="ellipsis")
            if selected:
                row.stylize_before(role(self.app, "raised"))
        return rows

    def _wrapped(self, head: Text, message: Text, fix: Text, width: int) -> list[Text]:
        room = max(width - 4, 8)
        first, *others = message.wrap(self.app.console, max(width - head.cell_len - 1, 8))
        rows = [head.append_text(first)]
        rest = " ".join(line.plain.strip() for line in others)
        while rest and len(rows) < _MOST_LINES:
            line = Text(rest, style=message.style)
            if len(rows) < _MOST_LINES - 1:
                line = line.wrap(self.app.console, room)[0]
            rest = rest[len(line.plain) :].lstrip()
            line.truncate(room, overflow="ellipsis")
            rows.append(Text("   ", end="").append_text(line))
        if fix.cell_len:
            rows.append(Text("   ", end="").append_text(fix))
        return rows

    def render(self) -> RenderResult:
        """All problems, or that there is none."""
        if not self.problems:
            return Text(" ✓ no problems", style=role(self.app, "ok"))
        self._starts = []
        lines: list[Text] = []
        for rows in self._rows(self.size.width):
            self._starts.append(len(lines))
            lines += rows
        return Text("\n", no_wrap=True, end="").join(lines)

    def on_click(self, event: Click) -> None:
        """A click goes there."""
        below = [number for number, start in enumerate(self._starts) if start <= event.y]
        if below and self.problems:
            self.cursor = below[-1]
            self.action_item_open()

    def action_list_down(self) -> None:
        """The next problem."""
        self._to(self.cursor + 1)

    def action_list_up(self) -> None:
        """The problem before."""
        self._to(self.cursor - 1)

    def action_list_first(self) -> None:
        """The first."""
        self._to(0)

    def action_list_last(self) -> None:
        """The last."""
        self._to(len(self.problems) - 1)

    def _to(self, number: int) -> None:
        self.cursor = max(0, min(number, len(self.problems) - 1))
        self.refresh()
        if self._starts and isinstance(self.parent, Widget):
            self.parent.scroll_to_region(
                Region(0, self._starts[min(self.cursor, len(self._starts) - 1)], 1, 1)
            )
        self.post_message(self.Moved())

    def action_item_open(self) -> None:
        """The editor goes there; without a problem, to its own cursor."""
        self.post_message(self.Chosen(self.current))
