"""The editor over a real gateway: completing, finding, repairing, undoing, merging."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from textual.geometry import Size
from textual.pilot import Pilot

from ktui.answers import Edit, Fix, Problem
from ktui.app import KtuiApp
from ktui.editor.merge_screen import MergeScreen
from ktui.link import GatewayLink
from ktui.screens.apply_review import ApplyReview
from ktui.screens.policy import PolicyPane
from ktui.screens.policy_actions import fixes_together
from ktui.widgets.dialog import DEAF_S
from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions

ENV = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
POLICY = """\
# owner: search team
policies:
  - name: ab-test-models
    type: traffic_split
    variants:
      - {model: gpt-4o, weight: 95, tag: variant-a}
      - {model: gpt-4o-mini, weight: 5, tag: variant-b}
  - name: marks
    type: log
    severity: info
"""


@dataclass
class Stage:
    """The application over its gateway, at work on its file."""

    app: KtuiApp
    service: GatewayService
    file: Path
    pilot: Pilot[None]

    @property
    def pane(self) -> PolicyPane:
        return self.app.query_one(PolicyPane)

    @property
    def text(self) -> str:
        return self.pane.editor.text

    def put_cursor(self, words: str) -> None:
        """After `words`."""
        before = self.text[: self.text.index(words) + len(words)]
        self.pane.editor.move_cursor((before.count("\n"), len(before.rpartition("\n")[2])))

    async def until(self, condition: Callable[[], bool], seconds: float = 10.0) -> None:
        for _ in range(int(seconds / 0.05)):
            if condition():
                return
            await self.pilot.pause(0.05)
        assert condition(), screen(self.app)

    async def type(self, words: str) -> None:
        names = {" ": "space", ":": "colon", "-": "minus", "\n": "enter", "[": "left_square_bracket"}
        await self.pilot.press(*(names.get(letter, letter) for letter in words))

    async def apply(self) -> None:
        await self.pilot.press("ctrl+s")
        await self.until(lambda: isinstance(self.app.screen, ApplyReview) and self.app.screen.ready)
        await self.pilot.pause(DEAF_S + 0.1)
        await self.pilot.press("y")
        await self.until(lambda: not self.pane.draft.dirty and len(self.app.screen_stack) == 1)


@asynccontextmanager
async def at_work(
    tmp_path: Path, text: str = POLICY, size: tuple[int, int] = (120, 40)
) -> AsyncIterator[Stage]:
    file = tmp_path / "policy.yaml"
    file.write_text(text)
    options = ServiceOptions(
        policy_path=file,
        state_dir=tmp_path / "state",
        listen="127.0.0.1:0",
        api_listen="127.0.0.1:0",
        env={"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "y"},
    )
    service = GatewayService(options)
    addresses = await service.start()
    link = GatewayLink(f"http://{addresses.api}", service.token)
    app = KtuiApp(link, env=ENV)
    try:
        async with app.run_test(size=size) as pilot:
            stage = Stage(app, service, file, pilot)
            await stage.until(lambda: "● serving" in screen(app))
            await pilot.press("2")
            await stage.until(lambda: stage.text == text)
            await stage.until(lambda: stage.pane.assist.ready)
            yield stage
    finally:
        await link.close()
        await service.stop(drain_s=0.2)


def screen(app: Any) -> str:
    width, height = app.size
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(Size(width, height)))


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_a_key_is_offered_while_it_is_typed_and_tab_writes_it(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    async with at_work(tmp_path, size=size) as stage:
        stage.put_cursor("severity: info")
        await stage.type("\nen")
        await stage.until(lambda: stage.pane.assist.open and "false: the policy" in screen(stage.app))
        await stage.pilot.press("tab")
        assert stage.text.endswith("    severity: info\n    enabled: \n")
        await stage.pilot.press("ctrl+n", "down")
        await stage.until(lambda: "▌false" in screen(stage.app))
        await stage.pilot.press("enter")
        assert stage.text.endswith("    enabled: false\n") and not stage.pane.assist.open


async def test_offers_that_opened_by_themselves_leave_enter_and_esc_alone(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        stage.put_cursor("severity: info")
        await stage.type("\nen")
        await stage.until(lambda: stage.pane.assist.open)
        await stage.pilot.press("escape")
        assert not stage.pane.assist.open and stage.pane.editor.has_focus
        await stage.type("a")
        await stage.until(lambda: stage.pane.assist.open)
        await stage.pilot.press("enter")
        assert stage.text.endswith("    ena\n    \n")


async def test_models_come_with_their_price(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        await stage.until(lambda: "gpt-4o" in stage.pane._known().models)
        stage.put_cursor("severity: info")
        await stage.type("\n  - name: x\ntype: model_filter\npreferred_model: gpt-4o-m")
        await stage.pilot.press("ctrl+n")
        await stage.until(lambda: "per million tokens" in screen(stage.app))


async def test_the_note_and_the_card_tell_what_a_key_means(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        stage.put_cursor("weight")
        await stage.until(lambda: "weight  number, required, from 0. Its share is" in screen(stage.app))
        await stage.pilot.press("ctrl+l")
        await stage.until(lambda: "policies › variants › weight" in screen(stage.app))
        await stage.pilot.press("escape")
        await stage.until(lambda: "policies › variants › weight" not in screen(stage.app))
        assert stage.pane.editor.has_focus


async def test_find_goes_round_and_stays_at_the_hit(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        await stage.pilot.press("ctrl+f")
        await stage.type("name")
        await stage.until(lambda: "1 of 2" in screen(stage.app))
        assert stage.pane.editor.selected_text == "name"
        await stage.pilot.press("enter")
        await stage.until(lambda: "2 of 2" in screen(stage.app))
        await stage.pilot.press("f8")
        await stage.until(lambda: "1 of 2" in screen(stage.app))
        await stage.pilot.press("escape")
        assert stage.pane.editor.has_focus and stage.pane.editor.cursor_location == (2, 8)
        assert "1 of 2" not in screen(stage.app)


async def test_go_to_a_line(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        await stage.pilot.press("ctrl+g", "9", "enter")
        assert stage.pane.editor.cursor_location == (8, 0) and stage.pane.editor.has_focus


async def test_the_digits_of_a_line_count_however_fast_enter_follows(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        await stage.pilot.press("ctrl+g")
        await stage.until(lambda: stage.pane.finder.field.has_focus)
        stage.pane.finder.field.value = ":9"
        stage.pane.finder.action_go(1)  # before the field's message about it is read
        assert stage.pane.editor.cursor_location == (8, 0)


async def test_what_cannot_be_read_is_no_change_of_every_value(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        stage.pane.editor.show_text(POLICY + "x: [\n")
        await stage.until(lambda: "not known until" in screen(stage.app))
        assert "changed" not in screen(stage.app)
        stage.pane.editor.show_text(POLICY.replace("severity: info", "# severity: info"))
        await stage.until(lambda: "value changed" in screen(stage.app))
        assert "not known" not in screen(stage.app)


async def test_a_long_problem_keeps_single_spaces_and_says_that_it_goes_on(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        stage.pane.editor.show_text(POLICY + " x: 1\n")
        await stage.until(lambda: len(stage.pane.list.problems) == 1)
        problem = stage.pane.list.problems[0]
        rows = stage.pane.list._problem(0, problem, 34)
        said = " ".join(row.plain.strip() for row in rows)
        assert len(problem.message) > 100 and len(rows) == 3
        assert "  " not in said and said.endswith("…")


async def test_all_fixes_at_once_and_one_undo(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        broken = POLICY.replace("weight: 95", "wieght: 95").replace("severity", "sevrity")
        stage.pane.editor.show_text(broken)
        await stage.until(lambda: sum(p.fix is not None for p in stage.pane.list.problems) >= 2)
        await stage.pilot.press("escape", "f")
        await stage.until(lambda: stage.text == POLICY)
        await stage.pilot.press("e", "ctrl+z")
        assert stage.text == broken


def test_fixes_of_the_same_place_are_not_made_together() -> None:
    def problem(start: int, end: int) -> Problem:
        return Problem("c", "error", "m", fix=Fix("t", (Edit(start, end, "x"),)))

    edits, fixes, left = fixes_together(
        (problem(0, 3), problem(2, 5), problem(8, 9), Problem("c", "info", "m"))
    )
    assert [edit.start for edit in edits] == [0, 8] and (fixes, left) == (2, 1)


async def test_the_underline_is_the_exact_range(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        stage.pane.editor.show_text(POLICY.replace("weight: 95", "wieght: 95"))
        await stage.until(lambda: any("wieght" in p.message for p in stage.pane.list.problems))
        line = stage.pane.editor.get_line(5)
        found = next(p for p in stage.pane.list.problems if "wieght" in p.message)
        spans = [s for s in line.spans if not isinstance(s.style, str) and s.style.underline]
        exact = (line.plain.index("wieght"), line.plain.index("wieght") + 6)
        assert exact in [(s.start, s.end) for s in spans]
        assert (found.column - 1, found.end_column - 1) == exact


async def test_undo_goes_back_over_an_apply(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        stage.put_cursor("severity: info")
        await stage.pilot.press("enter")
        await stage.type("enabled: false")
        await stage.pilot.press("escape", "e") if stage.pane.assist.open else None
        changed = stage.text
        await stage.apply()
        assert stage.file.read_text() == changed != POLICY
        for _ in range(20):
            if stage.text == POLICY:
                break
            await stage.pilot.press("ctrl+z")
        assert stage.text == POLICY and stage.pane.draft.dirty
        assert stage.file.read_text() == changed


async def test_undo_goes_back_over_a_save_from_outside(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        theirs = POLICY.replace("severity: info", "severity: warn")
        stage.file.write_text(theirs)
        await stage.until(lambda: stage.text == theirs)
        assert not stage.pane.draft.dirty
        await stage.pilot.press("ctrl+z")
        assert stage.text == POLICY and stage.pane.draft.dirty


async def test_both_changes_go_together_as_the_new_draft(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        stage.put_cursor("# owner: search team")
        await stage.type("s")
        stage.file.write_text(POLICY.replace("severity: info", "severity: warn"))
        await stage.until(lambda: stage.pane.draft.theirs is not None)
        await stage.until(lambda: "three-way difference" in screen(stage.app))
        await stage.pilot.press("escape", "d")
        await stage.until(lambda: isinstance(stage.app.screen, MergeScreen))
        await stage.until(lambda: "1 of mine · 1 of theirs · ✓ they go together" in screen(stage.app))
        await stage.pilot.press("m")
        both = POLICY.replace("team", "teams").replace("severity: info", "severity: warn")
        await stage.until(lambda: stage.text == both)
        assert stage.pane.draft.theirs is None and stage.pane.draft.dirty
        await stage.apply()
        assert stage.file.read_text() == both


async def test_a_conflict_is_marked_and_cannot_be_applied(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        stage.put_cursor("severity: info")
        await stage.pilot.press(*["backspace"] * 4)
        await stage.type("error")
        stage.file.write_text(POLICY.replace("severity: info", "severity: warn"))
        await stage.until(lambda: stage.pane.draft.theirs is not None)
        stage.pane.list.focus()
        await stage.pilot.press("d")
        await stage.until(lambda: "1 place both changed differently" in screen(stage.app))
        await stage.pilot.press("m")
        await stage.until(lambda: "<<<<<<< mine\n    severity: error\n" in stage.text)
        await stage.pilot.press("ctrl+s")
        await stage.until(lambda: "✗ not applied: line" in screen(stage.app))
        assert stage.file.read_text() == POLICY.replace("severity: info", "severity: warn")


async def test_loading_theirs_can_be_undone(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        stage.put_cursor("# owner: search team")
        await stage.type("s")
        mine = stage.text
        theirs = POLICY.replace("severity: info", "severity: warn")
        stage.file.write_text(theirs)
        await stage.until(lambda: stage.pane.draft.theirs is not None)
        await stage.pilot.press("escape", "l")
        await stage.until(lambda: stage.text == theirs)
        await stage.pilot.press("e", "ctrl+z")
        assert stage.text == mine


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
async def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        tmp_path.chmod(0o500)
        try:
            stage.put_cursor("# owner: search team")
            await stage.type("s")
            await stage.pilot.press("ctrl+s")
            await stage.until(lambda: isinstance(stage.app.screen, ApplyReview) and stage.app.screen.ready)
            await stage.pilot.pause(DEAF_S + 0.1)
            await stage.pilot.press("y")
            await stage.until(lambda: "✗ not applied" in screen(stage.app))
            assert stage.pane.draft.dirty
        finally:
            tmp_path.chmod(0o700)


async def test_a_file_that_does_not_lint_is_said_in_the_header(tmp_path: Path) -> None:
    async with at_work(tmp_path) as stage:
        stage.file.write_text(POLICY.replace("type: log", "type: lgo"))
        await stage.until(
            lambda: "≠ file" in screen(stage.app) and "error" in screen(stage.app).splitlines()[0]
        )
