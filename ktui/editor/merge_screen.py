"""MergeScreen: what someone else saved and what the draft says, against what both began from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ktui.editor.merge import Chunk, Merge
from ktui.themes import role
from proxy.base.sanitise import sanitise

Choice = Literal["merge", "keep", "load", ""]
"""Take the merged text as the draft, keep the draft, load theirs; empty: nothing yet."""

_AROUND = 2
_MOST_ROWS = 4_000
_WIDEST_LINE = 400
_ROLE = {"mine": "info", "theirs": "ok", "both": "muted", "conflict": "bad"}
_TAG = {"mine": "mine  ", "theirs": "theirs", "both": "both  ", "conflict": "!     "}


@dataclass(frozen=True, slots=True)
class _Row:
    kind: str
    sign: str
    text: str
    number: int | None = None


class MergeScreen(ModalScreen[Choice]):
    """Shows each stretch with who changed it; dismisses with the reader's choice."""

    DEFAULT_CSS = """
    MergeScreen { align: center middle; background: $kt-base 60%; }
    MergeScreen:ansi { background: transparent; }
    MergeScreen > Vertical {
        width: 100%; height: auto; max-height: 100%; padding: 0 1;
        background: $kt-dialog; color: $kt-text; border: solid $kt-rule;
        border-title-color: $kt-strong; border-title-style: bold;
    }
    MergeScreen VerticalScroll { height: auto; scrollbar-size: 0 0; margin-top: 1; }
    MergeScreen Static { width: 1fr; height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    MergeScreen #merge-keys { margin-top: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "choose('')", show=False, id="dialog.cancel"),
        Binding("m", "choose('merge')", show=False),
        Binding("k", "choose('keep')", show=False),
        Binding("l", "choose('load')", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up", "scroll(-1)", show=False),
        Binding("pagedown", "scroll(12)", show=False),
        Binding("pageup", "scroll(-12)", show=False),
    ]

    def __init__(self, name: str, merged: Merge) -> None:
        super().__init__()
        self._name = name
        self._merge = merged

    def compose(self) -> ComposeResult:
        """What it comes to, the stretches, the choices."""
        with Vertical() as box:
            box.border_title = Text(f"{self._name}: the draft and what was saved meanwhile").markup
            yield Static(self._summary(), markup=False)
            with VerticalScroll(can_focus=False):
                yield Static(self._body(), markup=False)
            yield Static(self._keys(), id="merge-keys", markup=False)

    def on_resize(self) -> None:
        """The stretches take the rows the other lines leave."""
        self.query_one(VerticalScroll).styles.max_height = max(self.app.size.height - 6, 3)

    def _summary(self) -> Text:
        counts = {side: self._merge.count(side) for side in ("mine", "theirs", "both", "conflict")}
        line = Text()
        line.append(f"{counts['mine']} of mine", role(self.app, "info")).append(" · ")
        line.append(f"{counts['theirs']} of theirs", role(self.app, "ok"))
        if counts["both"]:
            line.append(f" · {counts['both']} alike")
        number = counts["conflict"]
        if number:
            noun = "place" if number == 1 else "places"
            line.append(f" · ✗ {number} {noun} both changed differently", role(self.app, "bad"))
        else:
            line.append(" · ✓ they go together", role(self.app, "ok"))
        return line

    def _keys(self) -> Text:
        merged = "merge, with marks where they differ" if self._merge.conflicts else "merge as the draft"
        line = Text()
        for key, word in (("m", merged), ("k", "keep mine"), ("l", "load theirs"), ("esc", "later")):
            line.append(key, f"bold {role(self.app, 'accent')}").append(
                f" {word}   ", role(self.app, "muted")
            )
        return line

    def _body(self) -> Text:
        rows = list(_rows(self._merge))[:_MOST_ROWS]
        digits = len(str(max((row.number or 0 for row in rows), default=0)))
        lines = []
        for row in rows:
            if row.kind == "gap":
                lines.append(Text("  ⋯", style=role(self.app, "muted")))
                continue
            style = role(self.app, _ROLE.get(row.kind, "text"))
            line = Text(f"{_TAG.get(row.kind, '      ')} ", style=style)
            line.append(f"{row.number if row.number is not None else '':>{digits}} ", role(self.app, "muted"))
            lines.append(line.append(f"{row.sign} {sanitise(row.text, _WIDEST_LINE)}", style))
        return Text("\n", no_wrap=True, overflow="ellipsis").join(lines)

    def action_choose(self, choice: Choice) -> None:
        """Done."""
        self.dismiss(choice)

    def action_scroll(self, by: int) -> None:
        """Further down or up."""
        self.query_one(VerticalScroll).scroll_relative(y=by, animate=False)


def _rows(merged: Merge) -> Iterator[_Row]:
    """Changed stretches with a little of what stands around them; numbers are those of the merged text."""
    number = 1
    last = len(merged.chunks) - 1
    for index, chunk in enumerate(merged.chunks):
        if chunk.side == "same":
            yield from _around(chunk, number, first=index == 0, last=index == last)
        else:
            yield from _changed(chunk, number)
        number += len(chunk.merged)


def _around(chunk: Chunk, number: int, *, first: bool, last: bool) -> Iterator[_Row]:
    lines = chunk.base
    head = 0 if first else min(_AROUND, len(lines))
    tail = 0 if last else min(_AROUND, len(lines) - head)
    for at in range(head):
        yield _Row("same", " ", lines[at].rstrip("\r\n"), number + at)
    if head + tail < len(lines):
        yield _Row("gap", "", "")
    for at in range(len(lines) - tail, len(lines)):
        yield _Row("same", " ", lines[at].rstrip("\r\n"), number + at)


def _changed(chunk: Chunk, number: int) -> Iterator[_Row]:
    if chunk.side == "conflict":
        yield _Row("conflict", "✗", "both changed this differently")
        for kind, lines in (("mine", chunk.mine), ("theirs", chunk.theirs)):
            for line in lines:
                yield _Row(kind, "+", line.rstrip("\r\n"))
            if not lines:
                yield _Row(kind, "-", "(nothing)")
        return
    for line in chunk.base:
        yield _Row(chunk.side, "-", line.rstrip("\r\n"))
    for at, line in enumerate(chunk.merged):
        yield _Row(chunk.side, "+", line.rstrip("\r\n"), number + at)
