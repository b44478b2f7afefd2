"""Policy and Rollout over a real gateway: a real file, real lint, real applies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from textual.geometry import Size
from textual.pilot import Pilot

from ktui.app import KtuiApp
from ktui.link import GatewayLink
from ktui.screens.apply_review import ApplyReview
from ktui.screens.policy import PolicyPane
from ktui.screens.rollout import RolloutPane
from ktui.widgets.dialog import DEAF_S
from ktui.widgets.phase_table import PhaseTable
from ktui.widgets.policy_editor import PolicyEditor
from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions

ENV = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
POLICY = """\
# owner: search team
policies:
  - name: ab-test-models
    type: traffic_split
    variants:
      - {model: gpt-4o, weight: 95, tag: variant-a}   # control
      - {model: gpt-4o-mini, weight: 5, tag: variant-b}
    rollout:
      phase: canary
      phases:
        - {name: canary, weights: {variant-a: 95, variant-b: 5}, duration: 3d}
        - {name: expand, weights: {variant-a: 70, variant-b: 30}, duration: 7d}
        - {name: complete, weights: {variant-a: 0, variant-b: 100}}
"""


@dataclass
class Stage:
    """The application, its gateway and its file."""

    app: KtuiApp
    service: GatewayService
    file: Path

    @property
    def editor(self) -> PolicyEditor:
        return self.app.query_one(PolicyEditor)

    @property
    def policy(self) -> PolicyPane:
        return self.app.query_one(PolicyPane)

    @property
    def rollout(self) -> RolloutPane:
        return self.app.query_one(RolloutPane)

    @property
    def phases(self) -> PhaseTable:
        return self.app.query_one(PhaseTable)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    service = GatewayService(
        ServiceOptions(
            policy_path=file,
            state_dir=tmp_path / "state",
            listen="127.0.0.1:0",
            api_listen="127.0.0.1:0",
            env={"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "y"},
        )
    )
    addresses = await service.start()
    link = GatewayLink(f"http://{addresses.api}", service.token)
    try:
        yield Stage(KtuiApp(link, env=ENV), service, file)
    finally:
        await link.close()
        await service.stop(drain_s=0.2)


def screen(app: Any) -> str:
    width, height = app.size
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(Size(width, height)))


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 8.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    assert condition(), screen(pilot.app)


def asks(shown: object) -> bool:
    """Whether a review stands there that `y` would answer."""
    return isinstance(shown, ApplyReview) and shown.ready


async def confirm(pilot: Pilot[None]) -> None:
    """Waits for the dialog, then says yes once it listens."""
    await until(pilot, lambda: asks(pilot.app.screen))
    await pilot.pause(DEAF_S + 0.1)
    await pilot.press("y")


async def opened(stage: Stage, pilot: Pilot[None], key: str) -> None:
    await until(pilot, lambda: "● serving" in screen(stage.app))
    await pilot.press(key)
    if key == "2":
        await until(pilot, lambda: stage.editor.text == stage.file.read_text())


def put_cursor(stage: Stage, before: str) -> None:
    text = stage.editor.text
    head = text[: text.index(before)]
    stage.editor.move_cursor((head.count("\n"), len(head) - head.rfind("\n") - 1))


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_a_typo_is_marked_refused_repaired_and_applied(stage: Stage, size: tuple[int, int]) -> None:
    async with stage.app.run_test(size=size) as pilot:
        await opened(stage, pilot, "2")
        put_cursor(stage, "weight: 5,")
        await pilot.press(*["delete"] * 6, *"wieght")
        await until(
            pilot,
            lambda: (
                "did you mean weight" in screen(stage.app).replace("\n", " ").replace("  ", " ")
                or "✗ 2" in screen(stage.app)
            ),
        )
        await pilot.press("ctrl+s")
        await until(pilot, lambda: "not applied: line" in screen(stage.app))
        assert stage.file.read_text() == POLICY
        put_cursor(stage, "wieght")
        await pilot.press("ctrl+r")
        await until(pilot, lambda: stage.editor.text == POLICY)
        put_cursor(stage, "5, tag: variant-b")
        await pilot.press("delete", "8")
        await until(pilot, lambda: "variant-b weight" in screen(stage.app))
        await pilot.press("ctrl+s")
        await confirm(pilot)
        await until(
            pilot,
            lambda: stage.service.config.running is not None and stage.service.config.running.number == 2,
        )
        assert stage.file.read_text() == POLICY.replace("weight: 5,", "weight: 8,")
        await until(pilot, lambda: not stage.policy.draft.dirty)


async def test_cancel_is_what_enter_does(stage: Stage) -> None:
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await opened(stage, pilot, "2")
        put_cursor(stage, "# owner")
        await pilot.press("#")
        await pilot.press("ctrl+s")
        await until(pilot, lambda: asks(stage.app.screen))
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(stage.app.screen, ApplyReview))
        assert stage.file.read_text() == POLICY


async def test_a_save_from_outside_arrives_and_never_overwrites_a_draft(stage: Stage) -> None:
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await opened(stage, pilot, "2")
        stage.file.write_text(POLICY + "# one\n")
        await until(pilot, lambda: stage.editor.text == POLICY + "# one\n")
        put_cursor(stage, "# owner")
        await pilot.press("#")
        mine = stage.editor.text
        stage.file.write_text(POLICY + "# two\n")
        await until(pilot, lambda: "saved by someone else" in screen(stage.app))
        assert stage.editor.text == mine
        await pilot.press("escape", "k")
        await until(pilot, lambda: "saved by someone else" not in screen(stage.app))
        assert stage.editor.text == mine
        stage.file.write_text(POLICY + "# three\n")
        await until(pilot, lambda: "saved by someone else" in screen(stage.app))
        await pilot.press("l")
        await until(pilot, lambda: stage.editor.text == POLICY + "# three\n")


async def test_a_broken_file_from_outside_is_shown_and_never_runs(stage: Stage) -> None:
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await opened(stage, pilot, "2")
        stage.file.write_text(POLICY.replace("weight: 5,", "wieght: 5,"))
        await until(pilot, lambda: "≠ file: 2 errors" in screen(stage.app))
        running = stage.service.config.running
        assert running is not None and running.text == POLICY


async def test_undo_restores_the_version_before(stage: Stage) -> None:
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await opened(stage, pilot, "2")
        stage.file.write_text(POLICY.replace("weight: 5,", "weight: 6,"))
        await until(pilot, lambda: "weight: 6," in stage.editor.text)
        await pilot.press("escape", "U")
        await confirm(pilot)
        await until(pilot, lambda: stage.file.read_text() == POLICY)


async def test_a_drag_is_a_ghost_until_it_is_applied(stage: Stage) -> None:
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await opened(stage, pilot, "3")
        await until(pilot, lambda: "canary" in screen(stage.app))
        await pilot.press("j", "j", *["l"] * 7, "plus")
        await until(pilot, lambda: "variant-b 5.0 → 12.1 would be off plan" in screen(stage.app))
        assert stage.file.read_text() == POLICY
        await pilot.press("escape")
        await until(pilot, lambda: not stage.rollout.has_draft)
        await pilot.press("equals_sign", *"12.3", "enter")
        await until(pilot, lambda: stage.rollout.has_draft)
        await pilot.press("A")
        await confirm(pilot)
        expected = POLICY.replace("weight: 95,", "weight: 87.7,").replace("weight: 5,", "weight: 12.3,")
        await until(pilot, lambda: stage.file.read_text() == expected)
        await until(pilot, lambda: "! off plan" in screen(stage.app) and not stage.rollout.has_draft)


async def test_a_later_phase_changes_only_its_plan(stage: Stage) -> None:
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await opened(stage, pilot, "3")
        await until(pilot, lambda: "canary" in screen(stage.app))
        await pilot.press("j", "j", "j", "l", "A")
        await confirm(pilot)
        expected = POLICY.replace("variant-a: 70, variant-b: 30", "variant-a: 69, variant-b: 31")
        await until(pilot, lambda: stage.file.read_text() == expected)


async def test_promote_writes_weights_and_phase(stage: Stage) -> None:
    async with stage.app.run_test(size=(80, 24)) as pilot:
        await opened(stage, pilot, "3")
        await until(pilot, lambda: "canary" in screen(stage.app))
        await pilot.press("P")
        await confirm(pilot)
        expected = (
            POLICY.replace("weight: 95,", "weight: 70,")
            .replace("weight: 5,", "weight: 30,")
            .replace("phase: canary", "phase: expand")
        )
        await until(pilot, lambda: stage.file.read_text() == expected)
        await until(pilot, lambda: "Running expand, phase 2 of 3" in screen(stage.app))


async def test_the_mouse_drags_a_slider(stage: Stage) -> None:
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await opened(stage, pilot, "3")
        await until(pilot, lambda: stage.phases.region.height > 5)
        width = stage.phases.size.width - 41 - 25
        await pilot.mouse_down(stage.phases, offset=(41 + 3, 3))
        await pilot.hover(stage.phases, offset=(41 + round((width - 1) * 0.4), 3))
        await pilot.mouse_up(stage.phases, offset=(41 + round((width - 1) * 0.4), 3))
        await until(
            pilot, lambda: stage.phases.ghosts.drafts.get("canary") == {"variant-a": 600, "variant-b": 400}
        )
        assert stage.file.read_text() == POLICY


async def test_control_characters_of_a_file_do_not_reach_the_terminal(stage: Stage) -> None:
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await opened(stage, pilot, "2")
        stage.file.write_text(POLICY + "# \x1b]52;c;QQ==\x07 \u202e\n")
        await until(pilot, lambda: "≠ file" in screen(stage.app) and "]52;c" in screen(stage.app))
        shown = screen(stage.app)
        assert "\x1b" not in shown and "\x07" not in shown and "\u202e" not in shown
