"""Policy: the file as a draft, linted as it is typed, applied after a look at what changes."""

from __future__ import annotations

import re
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.events import Key
from textual.timer import Timer
from textual.widgets import Static, TextArea

from ktui.answers import Config, Difference, Problem, ValueChange
from ktui.commands import bindings
from ktui.draft import Draft, changed_lines, file_of
from ktui.geometry import WIDE
from ktui.link import Conflict, GatewayLink, LinkError, LintRefused
from ktui.screens.apply_review import ReviewResult, review
from ktui.screens.diff_screen import DiffScreen
from ktui.screens.pane import Pane
from ktui.state import AppState
from ktui.themes import role
from ktui.widgets.heading import Heading
from ktui.widgets.policy_editor import SEVERITY_GLYPH, SEVERITY_ROLE, PolicyEditor
from ktui.widgets.problem_list import ProblemList
from proxy.base.sanitise import sanitise

LINT_AFTER_S = 0.15
_SHOWN_VALUES = 8


class PolicyPane(Pane):
    """The second screen."""

    place: ClassVar[str] = "policy"
    title: ClassVar[str] = "Policy"
    BINDINGS: ClassVar[list[BindingType]] = bindings("policy")

    def __init__(self, link: GatewayLink, state: AppState, *, id: str | None = None) -> None:
        super().__init__(link, state, id=id)
        self.draft = Draft()
        self._problems: tuple[Problem, ...] = ()
        self._difference = Difference()
        self._lint_timer: Timer | None = None
        self._loaded = False
        self.editor = PolicyEditor(id="editor")
        self.list = ProblemList(id="problem-list")
        self._heading = Heading("policy", "waiting for the gateway", region=self.editor)
        self._banner = Static(id="policy-banner", markup=False)
        self._problem_heading = Heading("Problems", "", region=self.list)
        self._change_heading = Heading("Change", "")
        self._change = Static(id="policy-change", markup=False)

    def compose(self) -> ComposeResult:
        """Editor; problems and changes beside it, or below it when narrow."""
        with Vertical(id="editor-region"):
            yield self._heading
            yield self._banner
            yield self.editor
        with Vertical(id="policy-side"):
            yield self._problem_heading
            with VerticalScroll(id="problem-scroll", can_focus=False):
                yield self.list
            with Vertical(id="change-region"):
                yield self._change_heading
                yield self._change

    # -- what arrives

    def on_config(self, config: Config) -> None:
        """The file or what runs has changed: a clean editor follows, a dirty one asks."""
        if not self._loaded or self.draft.meet(config):
            text, digest = file_of(config)
            self._loaded = True
            self.draft.begin(text, digest)
            if self.editor.text != text:
                self.editor.show_text(text)
        self._changed()

    def watch_shown(self, shown: bool) -> None:
        """A pane that comes back shows the present."""
        if shown:
            self._changed()

    def on_resize(self) -> None:
        """Headings tell less when narrow."""
        self._show_headings()

    def on_text_area_changed(self, event: TextArea.Changed) -> None:
        """The draft is what the editor says; lint waits for a pause in typing."""
        event.stop()
        self.draft.text = self.editor.text
        self._changed()

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        """Cursor and note follow."""
        event.stop()
        self._show_headings()
        self.note_changed()

    def _changed(self) -> None:
        running = self.state.config.text if self.state.config is not None else self.draft.base
        self.editor.show_changed(changed_lines(running, self.draft.text))
        if self._lint_timer is not None:
            self._lint_timer.stop()
        self._lint_timer = self.set_timer(LINT_AFTER_S, self._lint)
        self._show_banner()
        self._show_headings()
        self.note_changed()

    @work(exclusive=True, group="lint", exit_on_error=False)
    async def _lint(self) -> None:
        text = self.editor.text
        try:
            linted = await self.link.lint(text)
            running = self.state.config.text if self.state.config is not None else text
            difference = await self.link.diff(running, text) if running != text else Difference()
        except LinkError:
            return  # The header says that the link is lost; the last result stays.
        if text == self.editor.text:
            self._problems, self._difference = linted.diagnostics, difference
            self._show_result()

    # -- drawing

    def _show_result(self) -> None:
        self.editor.show_problems(self._problems)
        self.list.show(self._problems)
        self._show_headings()
        self._show_change()
        self.note_changed()

    def _show_headings(self) -> None:
        config = self.state.config
        name = sanitise(config.name if config is not None else "policy", 60)
        row, column = self.editor.cursor_location
        wide = self.app.size.width >= WIDE
        meta = Text(style=role(self.app, "muted"))
        if not wide:
            meta.append_text(self._counts()).append(" · ")
        if self.editor.read_only:
            meta.append("read-only · ")
        if not self.editor.highlighted:
            meta.append("no highlighting beyond 1,500 lines · ")
        if self.draft.dirty:
            edits = len(self._difference.values)
            meta.append(f"{edits} value{'s' if edits != 1 else ''} changed · " if edits else "edited · ")
        if wide:
            meta.append(f"{self.editor.document.line_count} lines · ")
        meta.append(f"{row + 1}:{column + 1}")
        self._heading.update(name, meta)
        self._problem_heading.update(meta=self._counts() if wide else self._place_in_list())

    def _counts(self) -> Text:
        line = Text()
        for severity in ("error", "warning", "info"):
            number = sum(problem.severity == severity for problem in self._problems)
            style = role(self.app, SEVERITY_ROLE[severity] if number else "muted")
            line.append(f"{SEVERITY_GLYPH[severity]} {number}", style).append(
                " " if severity != "info" else ""
            )
        return line

    def _place_in_list(self) -> str:
        return f"{self.list.cursor + 1} of {len(self._problems)}" if self._problems else ""

    def _show_change(self) -> None:
        region = self.query_one("#change-region")
        region.display = self.draft.dirty or bool(self._difference.unified)
        if not region.display:
            return
        values = self._difference.values
        self._change_heading.update(meta=f"{len(values)} value{'s' if len(values) != 1 else ''}")
        lines = [self._value_line(value) for value in values[:_SHOWN_VALUES]]
        if len(values) > _SHOWN_VALUES:
            lines.append(Text(f" and {len(values) - _SHOWN_VALUES} more", style=role(self.app, "muted")))
        if not values:
            lines = [Text(" comments or spelling only", style=role(self.app, "muted"))]
        keys = Text(" ctrl+s", style=f"bold {role(self.app, 'accent')}")
        errors = any(problem.severity == "error" for problem in self._problems)
        number = self.state.config.number + 1 if self.state.config is not None else 1
        said = " waits for a clean lint" if errors else f" apply as v{number}"
        lines.append(keys.append(said, role(self.app, "muted")))
        self._change.update(Text("\n", no_wrap=True, overflow="ellipsis").join(lines))

    def _value_line(self, value: ValueChange) -> Text:
        line = Text(
            f" {_short(sanitise(value.path, 200))}  ", style=role(self.app, "muted"), overflow="ellipsis"
        )
        before, after = (_word(item) for item in (value.before, value.after))
        line.append(before, role(self.app, "text")).append(" → ", role(self.app, "muted"))
        return line.append(after, role(self.app, "strong"))

    def _show_banner(self) -> None:
        theirs = self.draft.theirs
        self._banner.display = theirs is not None
        if theirs is None:
            return
        accent = f"bold {role(self.app, 'accent')}"
        line = Text(" ! ", style=role(self.app, "warn"))
        line.append(f"{sanitise(theirs.name or 'the file', 40)} was saved by someone else   after esc: ")
        for key, word in (("k", "keep my draft"), ("l", "load theirs"), ("d", "difference")):
            line.append(key, accent).append(f" {word}   ", role(self.app, "muted"))
        self._banner.update(line)

    def note(self) -> Text:
        """The problem of the cursor's line, else what this place is."""
        here = self.editor.problem_at_cursor()
        if self.list.has_focus and self.list.current is not None:
            here = self.list.current
        if here is not None:
            style = role(self.app, SEVERITY_ROLE.get(here.severity, "info"))
            line = Text(f"{SEVERITY_GLYPH.get(here.severity, 'i')} ", style=style)
            line.append(sanitise(here.message, 300), role(self.app, "text"))
            if here.fix is not None:
                line.append("  ctrl+r", f"bold {role(self.app, 'accent')}").append(
                    f" {sanitise(here.fix.title, 60)}"
                )
            return line
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
        errors = sum(problem.severity == "error" for problem in self._problems)
        return note.append(f" ✗ {errors}", role(self.app, "bad")) if errors else note

    @property
    def has_draft(self) -> bool:
        """Whether leaving would lose something."""
        return self.draft.dirty

    def focus_main(self) -> None:
        """The editor."""
        self.editor.focus()

    # -- keys

    def on_policy_editor_left(self, event: PolicyEditor.Left) -> None:
        """Out to the problems, where letters work."""
        event.stop()
        self.list.focus()

    def on_problem_list_chosen(self, event: ProblemList.Chosen) -> None:
        """Into the editor, at the problem."""
        event.stop()
        if event.problem is not None:
            self.editor.go_to(event.problem)
        self.editor.focus()

    def on_problem_list_moved(self, event: ProblemList.Moved) -> None:
        """The note follows."""
        event.stop()
        self._show_headings()
        self.note_changed()

    def on_key(self, event: Key) -> None:
        """While someone else's save waits for an answer, `k` and `l` outside the editor are that answer."""
        if self.draft.theirs is None or self.editor.has_focus or event.key not in ("k", "l"):
            return
        event.stop()
        event.prevent_default()
        text, digest = file_of(self.draft.theirs)
        if event.key == "l":
            self.draft.begin(text, digest)
            self.editor.show_text(text)
        else:
            self.draft.keep(text, digest)
        self._changed()

    def show_line(self, line: int, column: int = 1) -> None:
        """Puts the cursor on a line of the text, counted from 1, and gives the editor the focus."""
        self.editor.move_cursor(self.editor.clamp_visitable((line - 1, column - 1)), center=True)
        self.editor.focus()

    def action_policy_edit(self) -> None:
        """Back into the editor, to the same cursor."""
        self.editor.focus()

    def action_find_next(self) -> None:
        """The next problem."""
        self._jump(1)

    def action_find_previous(self) -> None:
        """The problem before."""
        self._jump(-1)

    def _jump(self, by: int) -> None:
        problem = self.list.step(by)
        if problem is not None:
            self.editor.go_to(problem)
            self._show_headings()
            self.note_changed()

    def action_policy_repair(self) -> None:
        """The fix of the problem under the cursor."""
        here = self.list.current if self.list.has_focus else self.editor.problem_at_cursor(with_fix=True)
        if here is None or here.fix is None:
            self.say("no quick fix here")
            return
        self.editor.apply_edits(here.fix.edits)

    @work(exclusive=True, group="difference", exit_on_error=False)
    async def action_version_diff(self) -> None:
        """The draft against what runs; while someone else's save waits, against theirs."""
        theirs = self.draft.theirs
        other = (
            file_of(theirs)[0]
            if theirs is not None
            else (self.state.config.text if self.state.config else "")
        )
        try:
            found = await self.link.diff(other, self.editor.text)
        except LinkError as error:
            self.say(Text(f"✗ {error}", style=role(self.app, "bad")))
            return
        if not found.unified:
            self.say("the draft says what runs")
            return
        title = "theirs → my draft" if theirs is not None else "running → draft"
        self.app.push_screen(DiffScreen(title, found))

    def action_draft_apply_letter(self) -> None:
        """`A`, outside the editor."""
        self.action_draft_apply()

    @work(exclusive=True, group="apply", exit_on_error=False)
    async def action_draft_apply(self) -> None:
        """Shows what changes, then writes the file and runs it."""
        text = self.editor.text
        try:
            linted = await self.link.lint(text)
            config = await self.link.config()
            difference = await self.link.diff(config.text, text)
        except LinkError as error:
            self.say(Text(f"✗ {error}", style=role(self.app, "bad")))
            return
        self._problems = linted.diagnostics
        self._show_result()
        if not linted.valid:
            self._to_first_error(linted.diagnostics)
            return
        if not difference.unified and config.file.state == "same":
            self.say("nothing to apply: the draft says what runs")
            return
        result = await review(self.app, self.link, text, base_hash=self.draft.hash)
        if result.apply:
            await self._apply(text, result)

    def _to_first_error(self, problems: tuple[Problem, ...]) -> None:
        first = next(problem for problem in problems if problem.severity == "error")
        self.editor.go_to(first)
        self.editor.focus()
        message = f"✗ not applied: line {first.line}: {sanitise(first.message, 200)}"
        self.say(Text(message, style=role(self.app, "bad")))

    async def _apply(self, text: str, reviewed: ReviewResult) -> None:
        try:
            applied = await self.link.put_config(text, if_match=reviewed.if_match, why=reviewed.why)
        except Conflict:
            self.draft.theirs = await self._present()
            self._show_banner()
            self.say(
                Text(
                    "! not applied: the file was saved by someone else meanwhile",
                    style=role(self.app, "warn"),
                )
            )
        except LintRefused as error:
            self._to_first_error(error.diagnostics)
        except LinkError as error:
            self.say(Text(f"✗ not applied: {error}", style=role(self.app, "bad")))
        else:
            if self.editor.text == text:
                self.draft.begin(text, applied.hash)
            else:
                self.draft.keep(text, applied.hash)
            took = f" in {applied.applied_ms:.1f} ms" if applied.applied_ms is not None else ""
            self.say(Text(f"✓ v{applied.number} applied{took} · U undoes", style=role(self.app, "ok")))
            self._changed()

    async def _present(self) -> Config | None:
        try:
            return await self.link.config()
        except LinkError:
            return None


def _short(path: str) -> str:
    """The part of a path that tells values apart: `variant-b weight`, `ab-test-models phase`."""
    steps = re.findall(r"\[(?:\w+=)?([^\]]+)\]|([^.\[\]]+)", path)
    return " ".join(named or plain for named, plain in steps[-2:])


def _word(value: object) -> str:
    return "none" if value is None else sanitise(value, 60) or "empty"
