"""What the commands of the Policy screen do."""

from __future__ import annotations

import os
from collections.abc import Mapping

from rich.text import Text
from textual import work
from textual.app import SuspendNotSupported

from ktui.answers import Config, Edit, Problem
from ktui.draft import Draft, file_of
from ktui.editor.assist import Assist
from ktui.editor.find_bar import FindBar
from ktui.editor.hand_off import HandOffError, editor_of, hand_off
from ktui.editor.merge import merge
from ktui.editor.merge_screen import MergeScreen
from ktui.link import Conflict, LinkError, LintRefused
from ktui.screens.apply_review import ReviewResult, review
from ktui.screens.diff_screen import DiffScreen
from ktui.screens.pane import Pane
from ktui.themes import role
from ktui.widgets.policy_editor import PolicyEditor
from ktui.widgets.problem_list import ProblemList
from proxy.base.sanitise import sanitise


class PolicyActions(Pane):
    """Actions; the screen adds what is seen."""

    draft: Draft
    editor: PolicyEditor
    list: ProblemList
    finder: FindBar
    assist: Assist
    editor_env: Mapping[str, str] = os.environ
    """Where $VISUAL and $EDITOR are looked up."""

    def changed(self) -> None:
        """The draft or what it stands on is another."""
        raise NotImplementedError

    def show_headings(self) -> None:
        """Headings say where the cursor is."""
        raise NotImplementedError

    async def check_now(self) -> bool:
        """Lints the text as it is; whether the result is that of the text as it is now."""
        raise NotImplementedError

    def fail(self, error: LinkError | str) -> None:
        """Says what went wrong."""
        self.say(Text(f"✗ {error}", style=role(self.app, "bad")))

    # -- moving about

    def show_line(self, line: int, column: int = 1) -> None:
        """Puts the cursor on a line of the text, counted from 1, and gives the editor the focus."""
        self.editor.move_cursor(self.editor.clamp_visitable((line - 1, column - 1)), center=True)
        self.editor.focus()

    def action_policy_edit(self) -> None:
        """Back into the editor, to the same cursor."""
        self.editor.focus()

    def action_find_next(self) -> None:
        """The next problem, or the next hit while something is looked for."""
        self._step(1)

    def action_find_previous(self) -> None:
        """The problem or the hit before."""
        self._step(-1)

    def action_find_previous_letter(self) -> None:
        """`N`, outside the editor."""
        self._step(-1)

    def _step(self, by: int) -> None:
        if self.finder.display:
            self.finder.go(by)
            return
        problem = self.list.step(by)
        if problem is not None:
            self.assist.close()
            self.editor.go_to(problem)
            self.show_headings()
            self.note_changed()

    def action_find_open(self) -> None:
        """Finds words; what is selected is looked for first."""
        if self.finder.display and self.finder.field.has_focus:
            self.finder.go(1)
            return
        self.assist.close()
        selected = self.editor.selected_text
        self.finder.open(selected if selected and "\n" not in selected else self.finder.words)

    def action_find_open_letter(self) -> None:
        """`/`, outside the editor."""
        self.action_find_open()

    def action_policy_line(self) -> None:
        """Goes to a line by its number."""
        self.assist.close()
        self.finder.open(":")

    # -- help while writing

    def action_policy_complete(self) -> None:
        """Offers what can be written here."""
        self.editor.focus()
        if not self.assist.ask():
            self.say("nothing to complete here")

    def action_policy_describe(self) -> None:
        """A card about the key under the cursor."""
        if not self.assist.describe():
            self.say("no key under the cursor")

    def action_policy_repair_letter(self) -> None:
        """`r`, outside the editor."""
        self.action_policy_repair()

    @work(exclusive=True, group="repair", exit_on_error=False)
    async def action_policy_repair(self) -> None:
        """The fix of the problem under the cursor."""
        if not await self.check_now():
            return
        here = self.list.current if self.list.has_focus else self.editor.problem_at_cursor(with_fix=True)
        if here is None or here.fix is None:
            self.say("no quick fix here")
            return
        self.editor.apply_edits(here.fix.edits)

    @work(exclusive=True, group="repair", exit_on_error=False)
    async def action_policy_repair_all(self) -> None:
        """All fixes that do not touch the same place."""
        if not await self.check_now():
            return
        edits, fixes, left = fixes_together(self.list.problems)
        if not fixes:
            self.say("no quick fix")
            return
        self.editor.apply_edits(edits)
        more = f"; {left} more at the same places" if left else ""
        self.say(f"{fixes} fixed{more} · ctrl+z takes it back")

    @work(exclusive=True, group="hand-off", exit_on_error=False)
    async def action_policy_external(self) -> None:
        """Hands the draft to $VISUAL or $EDITOR; what comes back is the draft, not yet applied."""
        self.assist.close()
        name = self.state.config.name if self.state.config is not None else "policy"
        before = self.editor.text
        try:
            command = editor_of(self.editor_env)
            # Batched, for whatever repaints would wait for a writer that stands still.
            with self.app.batch_update(), self.app.suspend():
                came = await hand_off(command, before, name)
        except (HandOffError, SuspendNotSupported) as error:
            said = error if isinstance(error, HandOffError) else "this terminal cannot be handed over"
            self.fail(str(said))
            return
        self.app.refresh(layout=True)
        if came.text is None:
            self.fail(f"the draft is as it was: {sanitise(came.reason, 120)}")
        elif came.text == before:
            self.say("the editor changed nothing")
        else:
            self.editor.show_text(came.text)
            self.say("taken over as the draft, not applied · ctrl+s applies, ctrl+z takes it back")
        self.editor.focus()

    # -- what someone else saved

    def answer_theirs(self, choice: str) -> None:
        """`keep` the draft or `load` what was saved; undo brings the draft back."""
        if self.draft.theirs is None:
            return
        text, digest = file_of(self.draft.theirs)
        if choice == "load":
            self.draft.begin(text, digest)
            self.editor.show_text(text)
        else:
            self.draft.keep(text, digest)
        self.changed()

    @work(exclusive=True, group="difference", exit_on_error=False)
    async def action_version_diff(self) -> None:
        """The draft against what runs; while someone else's save waits, all three texts."""
        if self.draft.theirs is not None:
            await self._three_way(self.draft.theirs)
            return
        running = self.state.config.text if self.state.config else ""
        try:
            found = await self.link.diff(running, self.editor.text)
        except LinkError as error:
            self.fail(error)
            return
        if not found.unified:
            self.say("the draft says what runs")
            return
        self.app.push_screen(DiffScreen("running → draft", found))

    async def _three_way(self, theirs: Config) -> None:
        text, digest = file_of(theirs)
        mine = self.editor.text
        merged = merge(self.draft.base, mine, text)
        name = sanitise(theirs.name or "the file", 40)
        choice = await self.app.push_screen_wait(MergeScreen(name, merged))
        if self.draft.theirs is not theirs or self.editor.text != mine:
            if choice:
                self.say("the file was saved once more: look again")
            return
        if choice == "merge":
            self.draft.keep(text, digest)
            self.editor.show_text(merged.text)
            self.changed()
            left = merged.conflicts
            words = f"merged; {left} to settle between <<<<<<< and >>>>>>>" if left else "merged as the draft"
            self.say(f"{words} · ctrl+z takes it back")
        elif choice:
            self.answer_theirs(choice)

    # -- applying

    def action_draft_apply_letter(self) -> None:
        """`A`, outside the editor."""
        self.action_draft_apply()

    @work(exclusive=True, group="apply", exit_on_error=False)
    async def action_draft_apply(self) -> None:
        """Shows what changes, then writes the file and runs it."""
        self.assist.close()
        text = self.editor.text
        try:
            linted = await self.link.lint(text)
            config = await self.link.config()
        except LinkError as error:
            self.fail(error)
            return
        if not linted.valid:
            self._to_first_error(linted.diagnostics)
            return
        if text == config.text and config.file.state == "same":
            self.say("nothing to apply: the draft says what runs")
            return
        result = await review(self.app, self.link, text, base_hash=self.draft.hash)
        if result.apply:
            await self._apply(text, result)

    def _to_first_error(self, problems: tuple[Problem, ...]) -> None:
        first = next((problem for problem in problems if problem.severity == "error"), None)
        if first is None:
            self.fail("not applied: the text has errors")
            return
        self.editor.go_to(first)
        self.editor.focus()
        self.fail(f"not applied: line {first.line}: {sanitise(first.message, 200)}")

    async def _apply(self, text: str, reviewed: ReviewResult) -> None:
        try:
            applied = await self.link.put_config(text, if_match=reviewed.if_match, why=reviewed.why)
        except Conflict:
            await self._fetch_theirs()
            said = "! not applied: the file was saved by someone else meanwhile"
            self.say(Text(said, style=role(self.app, "warn")))
        except LintRefused as error:
            self._to_first_error(error.diagnostics)
        except LinkError as error:
            self.fail(f"not applied: {error}")
        else:
            if self.editor.text == text:
                self.draft.begin(text, applied.hash)
            else:
                self.draft.keep(text, applied.hash)
            self.editor.history.checkpoint()
            took = f" in {applied.applied_ms:.1f} ms" if applied.applied_ms is not None else ""
            self.changed()
            self.say(Text(f"✓ v{applied.number} applied{took} · U undoes", style=role(self.app, "ok")))

    async def _fetch_theirs(self) -> None:
        try:
            self.draft.theirs = await self.link.config()
        except LinkError:
            # The header says that the link is lost; the next apply meets the conflict again.
            self.draft.theirs = None
        self.changed()


def fixes_together(problems: tuple[Problem, ...]) -> tuple[tuple[Edit, ...], int, int]:
    """Edits of all fixes that can be made at once, how many fixes that is, and how many are left out.

    Two fixes that touch the same place cannot both be made: the first one in the file is.
    """
    taken: list[Edit] = []
    fixes = left = 0
    for problem in problems:
        edits = problem.fix.edits if problem.fix is not None else ()
        if not edits:
            continue
        if any(_touch(edit, other) for edit in edits for other in taken):
            left += 1
            continue
        taken += edits
        fixes += 1
    return tuple(taken), fixes, left


def _touch(a: Edit, b: Edit) -> bool:
    return a.start <= b.end and b.start <= a.end
