"""FindBar: finding words in the editor as they are typed, and going to a line with `:120`."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Static

from ktui.editor.find import MOST_HITS, hits_of, line_of, nearest, pattern_of
from ktui.themes import role
from ktui.widgets.policy_editor import PolicyEditor

_LONGEST = 200


class FindBar(Horizontal):
    """One line below the editor. `enter` and `down` go on, `up` goes back, `esc` stays at the hit."""

    DEFAULT_CSS = """
    FindBar { height: 1; width: 1fr; display: none; background: $kt-bar; }
    FindBar Static { width: auto; height: 1; background: $kt-bar; color: $kt-muted; }
    FindBar Input, FindBar Input:focus {
        border: none; height: 1; width: 1fr; padding: 0 1; background: $kt-bar; color: $kt-strong;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", show=False, priority=True),
        Binding("enter,down", "go(1)", show=False, priority=True),
        Binding("up", "go(-1)", show=False, priority=True),
    ]

    class Closed(Message):
        """Back to the text."""

    def __init__(self, editor: PolicyEditor, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._editor = editor
        self._from = (0, 0)
        self._label = Static("", markup=False)
        self._said = Static("", markup=False)
        self.field = Input(
            id="find-words",
            max_length=_LONGEST,
            placeholder="words, or :120 for a line",
            select_on_focus=False,
        )

    def compose(self) -> ComposeResult:
        """Label, words, what was found."""
        self._label.update(Text(" find", style=role(self.app, "accent")))
        yield self._label
        yield self.field
        yield self._said

    def open(self, words: str) -> None:
        """Opens with `words` selected; looking begins at the cursor."""
        self._from = min(self._editor.selection)
        self.display = True
        self.field.value = words
        self.field.focus()
        self.field.action_end()
        if words != ":":
            self.field.select_all()
        self._look()

    @property
    def words(self) -> str:
        """What is looked for."""
        return self.field.value

    def on_input_changed(self, event: Input.Changed) -> None:
        """Each letter looks again, from where the cursor was."""
        event.stop()
        if self.display:
            self._look()

    def _look(self) -> None:
        line = line_of(self.words)
        if line is not None:
            last = self._editor.document.line_count
            self._editor.move_cursor((min(max(line, 1), last) - 1, 0), center=True)
            self._say(f"line {min(max(line, 1), last):,} of {last:,}")
        if self.words.startswith(":"):
            self._editor.show_hits(None)
            if line is None:
                self._say("a line's number")
            return
        self._editor.show_hits(pattern_of(self.words))
        self._to(self._from, 0)

    def go(self, step: int) -> None:
        """The next hit or the one before."""
        if not self.words.startswith(":"):
            self._to(min(self._editor.selection), step)

    def _to(self, place: tuple[int, int], step: int) -> None:
        hits = hits_of(self.words, self._editor.text)
        index = nearest(hits, *place, step=step)
        if index is None:
            self._say("nothing found" if self.words else "", bad=True)
            return
        hit = hits[index]
        if step:
            # While words are typed, looking goes on from where it began.
            self._from = (hit.row, hit.start)
        self._editor.move_cursor((hit.row, hit.start), center=True)
        self._editor.move_cursor((hit.row, hit.end), select=True)
        more = "+" if len(hits) == MOST_HITS else ""
        self._say(f"{index + 1:,} of {len(hits):,}{more}")

    def _say(self, words: str, *, bad: bool = False) -> None:
        line = Text(words, style=role(self.app, "warn" if bad else "text"))
        for key, word in (("↓ ↑", "next, before"), ("esc", "done")):
            line.append("   ").append(key, f"bold {role(self.app, 'accent')}")
            line.append(f" {word}", role(self.app, "muted"))
        self._said.update(line.append(" "))

    def action_go(self, step: int) -> None:
        """The next hit or the one before; a line's number is final."""
        if self.words.startswith(":"):
            # Who types fast is here before the field has told of its last digits.
            self._look()
            self.action_close()
        else:
            self.go(step)

    def action_close(self) -> None:
        """The cursor stays where it was found."""
        self.display = False
        self._editor.show_hits(None)
        self.post_message(self.Closed())
