"""Policy: the file as a draft, linted as it is typed, applied after a look at what changes."""

from __future__ import annotations

import os
from datetime import datetime
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.events import Key
from textual.timer import Timer
from textual.widgets import Static, TextArea

from ktui.answers import Config, Difference, Problem
from ktui.commands import bindings
from ktui.draft import Draft, changed_lines, file_of
from ktui.editor.assist import Assist
from ktui.editor.completion import Known
from ktui.editor.find_bar import FindBar
from ktui.editor.popup import OfferList
from ktui.geometry import WIDE
from ktui.link import GatewayLink, LinkError
from ktui.policy_words import price_line, problem_counts, problem_line, saved_by_someone_else
from ktui.screens.policy_actions import PolicyActions
from ktui.state import AppState
from ktui.themes import role
from ktui.widgets.change_panel import ChangePanel
from ktui.widgets.heading import Heading
from ktui.widgets.policy_editor import PolicyEditor
from ktui.widgets.problem_list import ProblemList
from proxy.base.sanitise import sanitise

LINT_AFTER_S = 0.15
ASSIST_AFTER_S = 0.04
_UNREAD = ("syntax", "too-large", "control-character")
"""Codes of a text of which no value is known."""
_KEY_NAMES = ("_KEY", "_TOKEN", "_SECRET")


class PolicyPane(PolicyActions):
    """The second screen."""

    place: ClassVar[str] = "policy"
    title: ClassVar[str] = "Policy"
    BINDINGS: ClassVar[list[BindingType]] = bindings("policy")

    def __init__(self, link: GatewayLink, state: AppState, *, id: str | None = None) -> None:
        super().__init__(link, state, id=id)
        self.draft = Draft()
        self._problems: tuple[Problem, ...] = ()
        self._difference = Difference()
        self._linted: str | None = None
        self._lint_timer: Timer | None = None
        self._assist_timer: Timer | None = None
        self._loaded = False
        self._models: dict[str, str] = {}
        self.editor = PolicyEditor(id="editor")
        self.list = ProblemList(id="problem-list")
        self.finder = FindBar(self.editor, id="finder")
        self.assist = Assist(self.editor, lambda: self.query_one("#editor-region"), self._known)
        self.editor.intercept = self.assist.key
        self._change = ChangePanel(id="change-region")
        self._heading = Heading("policy", "waiting for the gateway", region=self.editor)
        self._banner = Static(id="policy-banner", markup=False)
        self._problem_heading = Heading("Problems", "", region=self.list)

    def compose(self) -> ComposeResult:
        """Editor; problems and changes beside it, or below it when narrow."""
        with Vertical(id="editor-region"):
            yield self._heading
            yield self._banner
            yield self.editor
            yield self.finder
            yield self.assist.offers
            yield self.assist.card
        with Vertical(id="policy-side"):
            yield self._problem_heading
            with VerticalScroll(id="problem-scroll", can_focus=False):
                yield self.list
            yield self._change

    # -- what arrives

    def on_config(self, config: Config) -> None:
        """The file or what runs has changed: a clean editor follows, a dirty one asks."""
        if not self._loaded or self.draft.meet(config):
            text, digest = file_of(config)
            self.draft.begin(text, digest)
            if self.editor.text != text:
                self.editor.show_text(text, undoable=self._loaded)
            self._loaded = True
        self.changed()

    def on_moment(self, at: datetime | None) -> None:
        """The text of an earlier moment can be read only; a draft stays, and stays as it is."""
        self.editor.read_only = at is not None
        self.changed()

    def watch_shown(self, shown: bool) -> None:
        """A pane that comes back shows the present."""
        if shown:
            self.changed()
            self._learn()
        else:
            self.assist.close()

    @work(exclusive=True, group="learn", exit_on_error=False)
    async def _learn(self) -> None:
        """What completion and help need: the schema once, models and prices as they are now."""
        await self.assist.prepare()
        self.note_changed()
        try:
            self._models = {item.model: price_line(item) for item in await self.link.model_prices()}
        except LinkError:
            # Completion then knows the models the file and the targets name.
            return

    def _known(self) -> Known:
        status = self.state.status
        targets = status.targets if status is not None else ()
        models = {name: f"at {target.id}" for target in targets for name in target.models if "*" not in name}
        # Of a gateway elsewhere nobody here knows the environment.
        env = () if self.state.attached else (n for n in os.environ if n.endswith(_KEY_NAMES))
        return Known({**models, **self._models}, tuple(t.id for t in targets), tuple(sorted(env)))

    def on_resize(self) -> None:
        """Headings tell less when narrow."""
        self.assist.close()
        self.show_headings()

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """The draft is what the editor says; lint waits for a pause in typing."""
        event.stop()
        self.draft.text = self.editor.text
        self.changed()
        self.assist.typed(self.editor.last_key)
        # What was typed is painted first, and offers wait for the last of several quick keys.
        if self._assist_timer is not None:
            self._assist_timer.stop()
        self._assist_timer = self.set_timer(ASSIST_AFTER_S, self.assist.settle)

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        """Cursor and note follow."""
        event.stop()
        self.assist.moved()
        self.show_headings()
        self.note_changed()

    def changed(self) -> None:
        """Marks what changed, and lints once the typing pauses."""
        running = self.state.config.text if self.state.config is not None else self.draft.base
        self.editor.show_changed(changed_lines(running, self.draft.text))
        if self._lint_timer is not None:
            self._lint_timer.stop()
        self._lint_timer = self.set_timer(LINT_AFTER_S, self._lint)
        self._show_banner()
        self.show_headings()
        self.note_changed()

    @work(exclusive=True, group="lint", exit_on_error=False)
    async def _lint(self) -> None:
        await self.check_now(again=True)

    async def check_now(self, *, again: bool = False) -> bool:
        """Lints the text as it is; whether the result is that of the text as it is now."""
        text = self.editor.text
        if text == self._linted and not again:
            return True
        try:
            linted = await self.link.lint(text)
            running = self.state.config.text if self.state.config is not None else text
            difference = await self.link.diff(running, text) if running != text else Difference()
        except LinkError:
            return False  # The header says that the link is lost; the last result stays.
        if text != self.editor.text:
            return False
        self._linted, self._problems, self._difference = text, linted.diagnostics, difference
        self._show_result()
        return True

    # -- drawing

    def _show_result(self) -> None:
        self.editor.show_problems(self._problems)
        self.list.show(self._problems)
        self.show_headings()
        number = self.state.config.number + 1 if self.state.config is not None else 1
        self._change.show(
            self._difference,
            dirty=self.draft.dirty,
            readable=self._readable(),
            errors=bool(self._errors()),
            next_number=number,
        )
        self.note_changed()

    def _errors(self) -> int:
        return sum(problem.severity == "error" for problem in self._problems)

    def _readable(self) -> bool:
        return not any(problem.code in _UNREAD for problem in self._problems)

    def show_headings(self) -> None:
        """File, draft and cursor; how many problems there are."""
        config = self.state.config
        name = sanitise(config.name if config is not None else "policy", 60)
        row, column = self.editor.cursor_location
        wide = self.app.size.width >= WIDE
        meta = Text(style=role(self.app, "muted"))
        if not wide:
            meta.append_text(problem_counts(self.app, self._problems)).append(" · ")
        if self.editor.read_only:
            meta.append("read-only · ")
        if self.draft.dirty:
            edits = len(self._difference.values) if self._readable() else 0
            meta.append(f"{edits} value{'s' if edits != 1 else ''} changed · " if edits else "edited · ")
        if wide:
            meta.append(f"{self.editor.document.line_count} lines · ")
        meta.append(f"{row + 1}:{column + 1}")
        self._heading.update(name, meta)
        self._problem_heading.update(
            meta=problem_counts(self.app, self._problems) if wide else self._place_in_list()
        )

    def _place_in_list(self) -> str:
        return f"{self.list.cursor + 1} of {len(self._problems)}" if self._problems else ""

    def _show_banner(self) -> None:
        theirs = self.draft.theirs
        self._banner.display = theirs is not None
        if theirs is not None:
            self._banner.update(saved_by_someone_else(self.app, theirs))

    def note(self) -> Text:
        """The problem of the cursor's line, else help for its key, else what this place is."""
        here = self.editor.problem_at_cursor()
        if self.list.has_focus and self.list.current is not None:
            here = self.list.current
        if here is not None:
            return problem_line(self.app, here)
        help_ = self.assist.help() if self.editor.has_focus else None
        if help_ is not None and help_.field is not None:
            name, _, rest = sanitise(help_.sentence, 300).partition("  ")
            line = Text("i ", style=role(self.app, "info")).append(name, role(self.app, "strong"))
            return line.append(f"  {rest}", role(self.app, "text"))
        if self.draft.dirty:
            return Text("• a draft; what runs stays until ctrl+s")
        return Text("saving is applying; a text with errors never replaces what runs")

    def tab_mark(self) -> str:
        """A draft."""
        return "•" if self.draft.dirty else ""

    def draft_note(self) -> Text:
        """Beside the file's state in the header."""
        if not self.draft.dirty:
            return Text()
        note = Text("• draft", style=role(self.app, "warn"))
        errors = self._errors()
        return note.append(f" ✗ {errors}", role(self.app, "bad")) if errors else note

    @property
    def has_draft(self) -> bool:
        """Whether leaving would lose something."""
        return self.draft.dirty

    def focus_main(self) -> None:
        """The editor."""
        self.editor.focus()

    # -- what the parts tell

    def on_policy_editor_left(self, event: PolicyEditor.Left) -> None:
        """Out to the problems, where letters work."""
        event.stop()
        self.list.focus()

    def on_find_bar_closed(self, event: FindBar.Closed) -> None:
        """Back into the text."""
        event.stop()
        self.editor.focus()

    def on_offer_list_chosen(self, event: OfferList.Chosen) -> None:
        """An offer was clicked."""
        event.stop()
        self.assist.take(event.index)

    def on_problem_list_chosen(self, event: ProblemList.Chosen) -> None:
        """Into the editor, at the problem."""
        event.stop()
        if event.problem is not None:
            self.editor.go_to(event.problem)
        self.editor.focus()

    def on_problem_list_moved(self, event: ProblemList.Moved) -> None:
        """The note follows."""
        event.stop()
        self.show_headings()
        self.note_changed()

    def on_key(self, event: Key) -> None:
        """While someone else's save waits for an answer, `k` and `l` outside the editor are that answer."""
        typing = self.editor.has_focus or self.finder.field.has_focus
        if self.draft.theirs is None or typing or event.key not in ("k", "l"):
            return
        event.stop()
        event.prevent_default()
        self.answer_theirs("load" if event.key == "l" else "keep")
