"""PhaseTable: the phases of one split as rows of bars; the selected one opens to a slider for each arm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from rich.text import Text
from textual.app import RenderResult
from textual.binding import BindingType
from textual.events import Click, Key, MouseDown, MouseMove, MouseScrollDown, MouseScrollUp, MouseUp
from textual.geometry import Size
from textual.message import Message
from textual.widget import Widget

from ktui.answers import Split
from ktui.commands import bindings
from ktui.geometry import WIDE
from ktui.glyphs import arm_glyph
from ktui.ladder import Ghosts, Rung, rungs
from ktui.themes import arm_role, role
from ktui.widgets.bars import percent, slider, split_bar
from proxy.base.sanitise import sanitise

_LIST_KEYS = ("list.down", "list.up", "list.first", "list.last", "item.open")


@dataclass(frozen=True, slots=True)
class _Line:
    """One line: the bar of a rung (`arm` None) or the slider of an arm."""

    rung: int
    arm: int | None


@dataclass(frozen=True, slots=True)
class _Columns:
    name: int
    hold: int
    state: int
    left: int
    bar: int
    bar_width: int
    right: int


def _columns(width: int) -> _Columns:
    """Where things stand: as wide as the bar may be, never less than ten cells."""
    if width >= WIDE:
        bar = 41
        return _Columns(5, 17, 24, 35, bar, max(width - bar - 25, 10), width - 24)
    bar = 34
    return _Columns(4, 13, 18, 28, bar, max(width - bar - 9, 10), width - 8)


class PhaseTable(Widget, can_focus=True):
    """Rows of phases. Nothing it does moves traffic: it edits ghosts and says so."""

    DEFAULT_CSS = "PhaseTable { height: auto; width: 1fr; background: $kt-base; color: $kt-text; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("bars"), *bindings("lists", only=_LIST_KEYS)]

    class Changed(Message):
        """The cursor or a draft changed."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.split: Split | None = None
        self.rungs: tuple[Rung, ...] = ()
        self.ghosts = Ghosts()
        self._open = 0
        self._cursor = 0
        self._typed: str | None = None
        self._dragged: _Line | None = None

    # -- what it shows

    def show(self, split: Split | None) -> None:
        """Show `split`; another one than before drops cursor and drafts."""
        other = (split.name if split else None) != (self.split.name if self.split else None)
        before = next((rung.name for rung in self.rungs if rung.live), None)
        self.split = split
        self.rungs = rungs(split) if split is not None else ()
        live = next((index for index, rung in enumerate(self.rungs) if rung.live), 0)
        if other:
            self.ghosts = Ghosts()
            self._open = self._cursor = live
        elif self.rungs and self.rungs[live].name != before:
            # The live phase moved on: the reader's eye goes with it.
            self._open = self._cursor = live
        self._open = min(self._open, max(len(self.rungs) - 1, 0))
        self._cursor = min(self._cursor, max(len(self._lines()) - 1, 0))
        self.ghosts.settle(self.rungs)
        self.refresh(layout=True)

    @property
    def current(self) -> tuple[Rung, str] | None:
        """The rung under the cursor and the arm that keys move (on a bar: the last one)."""
        lines = self._lines()
        if not lines or self.split is None:
            return None
        line = lines[self._cursor]
        tags = self.split.tags
        return self.rungs[line.rung], tags[line.arm if line.arm is not None else len(tags) - 1]

    def _lines(self) -> list[_Line]:
        lines: list[_Line] = []
        for index in range(len(self.rungs)):
            lines.append(_Line(index, None))
            if index == self._open and self.split is not None:
                lines += [_Line(index, arm) for arm in range(len(self.split.arms))]
        return lines

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Names of the columns and one row for each line."""
        return len(self._lines()) + 1

    def render(self) -> RenderResult:
        """All rows."""
        if self.split is None:
            return Text()
        width = self.size.width
        rows = [self._heads(width)]
        for number, line in enumerate(self._lines()):
            text = self._rung_row(line, width) if line.arm is None else self._arm_row(line, width)
            if number == self._cursor and self.has_focus:
                text.stylize_before(role(self.app, "raised"))
                text = Text("▌", role(self.app, "focus"), end="").append_text(text[1:])
            rows.append(Text(" ", end="").append_text(text))
        return Text("\n", no_wrap=True, end="").join(rows)

    def _heads(self, width: int) -> Text:
        at = _columns(width)
        muted = role(self.app, "muted")
        arms = self.split.arms if self.split is not None else ()
        line = _Row(muted)
        line.put(at.name, "phase")
        line.put(at.hold, "hold")
        line.put(at.state, "state")
        if width < WIDE or len(arms) != 2:
            return line.end(width)
        first, last = arms[0], arms[-1]
        left = f"{arm_glyph(0)} {sanitise(first.tag, 20)} {sanitise(first.model, 30)}"
        right = f"{sanitise(last.model, 30)} {sanitise(last.tag, 20)} {arm_glyph(1)}"
        line.put(at.left, left, role(self.app, arm_role(0)))
        if len(left) + len(right) + 2 <= at.right + 5 - at.left:
            line.put(at.right + 5 - len(right), right, role(self.app, arm_role(1)))
        line.put(width - 1 - len("seen, users"), "seen, users")
        return line.end(width)

    def _rung_row(self, line: _Line, width: int) -> Text:
        rung, at = self.rungs[line.rung], _columns(width)
        shares = self.ghosts.shares(rung)
        tags = list(shares)
        row = _Row(role(self.app, "text"))
        muted = role(self.app, "muted")
        row.put(at.name - 3, "▾" if line.rung == self._open else "▸", muted)
        row.put(
            at.name - 1, sanitise(rung.name, at.hold - at.name), role(self.app, "strong") if rung.live else ""
        )
        row.put(at.hold - 1, rung.duration or "-", muted)
        word, style = self._state_of(rung)
        row.put(at.state - 1, word, style)
        drafted = rung.name in self.ghosts.drafts
        number = role(self.app, "ghost" if drafted else "strong" if rung.live else "text")
        row.put(at.bar - 2 - len(percent(shares[tags[0]])), percent(shares[tags[0]]), number)
        row.put_text(at.bar - 1, split_bar(self.app, shares, at.bar_width))
        row.put(at.right + 5 - 1 - len(percent(shares[tags[-1]])), percent(shares[tags[-1]]), number)
        if width >= WIDE and rung.live and self.split is not None:
            seen = self.split.arms[-1].observed_share
            units = sum(arm.observed_units for arm in self.split.arms)
            text = f"{seen:.1f} %  {units:,}" if seen is not None else "no data"
            row.put(width - 2 - len(text), text, muted if seen is not None else role(self.app, "unknown"))
        return row.end(width - 1)

    def _state_of(self, rung: Rung) -> tuple[str, str]:
        if rung.name in self.ghosts.drafts:
            return "◇ draft", role(self.app, "ghost")
        if rung.off_plan:
            return "! off plan", role(self.app, "warn")
        if rung.live:
            return "● now", role(self.app, "live")
        if rung.place == "done":
            return "✓ done", role(self.app, "ok")
        return "○ later", role(self.app, "muted")

    def _arm_row(self, line: _Line, width: int) -> Text:
        assert self.split is not None and line.arm is not None
        rung, at, arm = self.rungs[line.rung], _columns(width), self.split.arms[line.arm]
        runs, would = rung.shares[arm.tag], self.ghosts.shares(rung)[arm.tag]
        colour = role(self.app, arm_role(line.arm))
        muted = role(self.app, "muted")
        row = _Row(role(self.app, "text"))
        row.put(
            at.name + 1, f"{arm_glyph(line.arm)} {sanitise(arm.tag, max(at.bar - at.name - 21, 8))}", colour
        )
        if arm.tag in self.ghosts.held:
            row.put(at.bar - 17, "= held", role(self.app, "paused"))
        elif would != runs:
            row.put(at.bar - 16, f"{percent(runs):>5} →", muted)
        typing = self._typed is not None and self.current is not None and self.current[1] == arm.tag
        typing = typing and self._lines()[self._cursor] == line
        shown = f"{self._typed}▌" if typing else percent(would)
        row.put(at.bar - 2 - len(shown), shown, role(self.app, "strong"))
        row.put_text(at.bar - 1, slider(self.app, line.arm, runs, would, at.bar_width))
        if would != runs:
            row.put(
                at.right + 5 - 1 - len(f"{(would - runs) / 10:+.1f}"), f"{(would - runs) / 10:+.1f}", muted
            )
        elif width >= WIDE and rung.live:
            seen = arm.observed_share
            text = f"seen {seen:4.1f} %" if seen is not None else "seen no data"
            row.put(width - 2 - len(text), text, muted)
        return row.end(width - 1)

    # -- keys

    def action_list_down(self) -> None:
        """The next line."""
        self._move_cursor(self._cursor + 1)

    def action_list_up(self) -> None:
        """The line before."""
        self._move_cursor(self._cursor - 1)

    def action_list_first(self) -> None:
        """The first line."""
        self._move_cursor(0)

    def action_list_last(self) -> None:
        """The last line."""
        self._move_cursor(len(self._lines()) - 1)

    def action_item_open(self) -> None:
        """Opens the phase under the cursor to its sliders."""
        lines = self._lines()
        if lines:
            self._open_rung(lines[self._cursor].rung)

    def _open_rung(self, index: int) -> None:
        self._open = index
        self._cursor = self._lines().index(_Line(index, None))
        self.refresh(layout=True)
        self.post_message(self.Changed())

    def _move_cursor(self, to: int) -> None:
        self._typed = None
        self._cursor = max(0, min(to, len(self._lines()) - 1))
        self.refresh()
        self.post_message(self.Changed())

    def action_weight_step_down(self) -> None:
        """1 % less."""
        self._step(-10)

    def action_weight_step_up(self) -> None:
        """1 % more."""
        self._step(10)

    def action_weight_leap_down(self) -> None:
        """10 % less."""
        self._step(-100)

    def action_weight_leap_up(self) -> None:
        """10 % more."""
        self._step(100)

    def action_weight_fine_down(self) -> None:
        """0.1 % less."""
        self._step(-1)

    def action_weight_fine_up(self) -> None:
        """0.1 % more."""
        self._step(1)

    def action_weight_fix(self) -> None:
        """Holds the arm under the cursor, or lets it go."""
        if self.current is not None:
            self.ghosts.held ^= {self.current[1]}
            self._edited()

    def action_weight_number(self) -> None:
        """Begins typing a number."""
        if self.current is None:
            return
        lines = self._lines()
        line = lines[self._cursor]
        if line.arm is None and self.split is not None:
            self._open_rung(line.rung)
            self._cursor = self._lines().index(_Line(line.rung, len(self.split.arms) - 1))
        self._typed = ""
        self.refresh()

    def on_key(self, event: Key) -> None:
        """While a number is typed, keys belong to it."""
        if self._typed is None:
            return
        event.stop()
        event.prevent_default()
        if event.key == "enter":
            self._take_number()
        elif event.key == "escape":
            self._typed = None
        elif event.key == "backspace":
            self._typed = self._typed[:-1]
        elif event.character and event.character in "0123456789." and len(self._typed) < 5:
            self._typed += event.character
        self.refresh()

    def _take_number(self) -> None:
        typed, self._typed = self._typed or "", None
        try:
            tenths = round(float(typed) * 10)
        except ValueError:
            return
        if self.current is not None:
            rung, tag = self.current
            self.ghosts.move(rung, tag, tenths)
        self._edited()

    def _step(self, tenths: int) -> None:
        if self.current is None:
            return
        rung, tag = self.current
        self.ghosts.move(rung, tag, self.ghosts.shares(rung)[tag] + tenths)
        self._edited()

    def _edited(self) -> None:
        self.refresh()
        self.post_message(self.Changed())

    def discard(self) -> None:
        """Forgets all drafts."""
        self.ghosts.discard()
        self._edited()

    @property
    def typing(self) -> bool:
        """Whether a number is being typed."""
        return self._typed is not None

    # -- mouse

    def _line_at(self, y: int) -> _Line | None:
        lines = self._lines()
        return lines[y - 1] if 1 <= y <= len(lines) else None

    def on_mouse_down(self, event: MouseDown) -> None:
        """Takes the bar under the mouse."""
        line = self._line_at(event.y)
        if line is None:
            return
        self._move_cursor(self._lines().index(line))
        at = _columns(self.size.width)
        if at.bar <= event.x < at.bar + at.bar_width:
            self._dragged = line
            self.capture_mouse()
            self._drag_to(event.x)

    def on_mouse_move(self, event: MouseMove) -> None:
        """Drags it; the last position wins."""
        if self._dragged is not None:
            self._drag_to(event.x)

    def on_mouse_up(self, event: MouseUp) -> None:
        """Lets it go."""
        if self._dragged is not None:
            self._dragged = None
            self.release_mouse()

    def on_click(self, event: Click) -> None:
        """A click beside the bar opens the phase."""
        line = self._line_at(event.y)
        at = _columns(self.size.width)
        if line is not None and line.arm is None and event.x < at.bar:
            self._open_rung(line.rung)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """The wheel moves the bar under it."""
        self._wheel(event.y, 10, event)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """The wheel moves the bar under it."""
        self._wheel(event.y, -10, event)

    def _wheel(self, y: int, tenths: int, event: Message) -> None:
        line = self._line_at(y)
        if line is not None:
            event.stop()
            self._cursor = self._lines().index(line)
            self._step(tenths)

    def _drag_to(self, x: int) -> None:
        line = self._dragged
        if line is None or self.split is None:
            return
        at = _columns(self.size.width)
        fraction = max(0.0, min((x - at.bar) / max(at.bar_width - 1, 1), 1.0))
        rung, tags = self.rungs[line.rung], self.split.tags
        # On a bar of all arms the mouse moves the first boundary: the share of control.
        self.ghosts.move(rung, tags[line.arm or 0], round(fraction * 100) * 10)
        self._edited()

    def on_focus(self) -> None:
        """The cursor shows."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor hides; a half typed number is dropped."""
        self._typed = None
        self.refresh()


class _Row:
    """A line written at columns."""

    def __init__(self, style: str) -> None:
        self._text = Text(no_wrap=True, end="", style=style)

    def put(self, column: int, text: str, style: str = "") -> None:
        """`text` at `column`, or right behind what stands there."""
        self.put_text(column, Text(text, style=style))

    def put_text(self, column: int, text: Text) -> None:
        """The same for text with styles."""
        gap = column - self._text.cell_len
        self._text.append(" " * max(gap, 0)).append_text(text)

    def end(self, width: int) -> Text:
        """Exactly `width` cells."""
        self._text.truncate(width, overflow="ellipsis", pad=True)
        return self._text
