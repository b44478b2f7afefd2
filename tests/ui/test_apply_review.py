"""The apply review: meaning, text and impact of a draft; the safe button first; nothing is written by it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fake_api import EVENTS, POLICY, FakeGateway
from textual.geometry import Size
from textual.pilot import Pilot
from textual.widgets import Input

from ktui.app import KtuiApp
from ktui.screens.apply_review import ApplyReview, ReviewResult, review
from ktui.screens.event_drawer import EventDrawer
from ktui.screens.impact_view import ImpactRequests
from ktui.widgets.dialog import DEAF_S

ENV = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
DRAFT = POLICY.replace("weight: 95", "weight: 88").replace("weight: 5", "weight: 12")
ERROR = {
    "code": "unknown-key", "severity": "error", "message": "unknown key wieght; did you mean weight?",
    "line": 20, "column": 5, "end_line": 20, "end_column": 11, "path": "", "fix": None,
}  # fmt: skip


def shown(app: Any) -> str:
    width, height = app.size
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(Size(width, height)))


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 8.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    assert condition(), shown(pilot.app)


class Asked:
    """An application with a review on it, and what came of it."""

    def __init__(self, fake: FakeGateway, text: str = DRAFT, **more: Any) -> None:
        self.fake = fake
        self.app = KtuiApp(fake.link(), env=ENV)
        self.text, self.more = text, more
        self.results: list[ReviewResult] = []

    async def open(self, pilot: Pilot[None]) -> None:
        await until(pilot, lambda: "● serving" in shown(self.app))

        async def ask() -> None:
            self.results.append(await review(self.app, self.app.link, self.text, **self.more))

        self.app.run_worker(ask())
        await until(pilot, lambda: isinstance(self.app.screen, ApplyReview))

    async def ready(self, pilot: Pilot[None]) -> None:
        await self.open(pilot)
        await until(pilot, lambda: isinstance(self.app.screen, ApplyReview) and self.app.screen.ready)
        await pilot.pause(DEAF_S + 0.05)

    def writes(self) -> list[str]:
        return [path for method, path, _ in self.fake.calls if method == "PUT" or path.endswith("restore")]


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_meaning_text_and_impact_are_shown_with_both_buttons(size: tuple[int, int]) -> None:
    asked = Asked(FakeGateway())
    async with asked.app.run_test(size=size) as pilot:
        await asked.ready(pilot)
        await until(pilot, lambda: "last 10,000 requests replayed" in shown(asked.app))
        await until(pilot, lambda: "apply to live traffic" in shown(asked.app))
        picture = shown(asked.app)
        for words in (
            "Apply as v13",
            "variant-b 5 % → 12 %",
            "✓ lint clean",
            "v12 → draft · +2 -2 lines",
            "other route",
            "344",
            "▐Cancel▌ esc",
            "why",
        ):
            assert words in picture, words
        assert "weight: 95" in picture or "weight: 88" in picture


async def test_enter_and_esc_are_the_safe_answer() -> None:
    for key in ("enter", "escape"):
        asked = Asked(FakeGateway())
        async with asked.app.run_test(size=(120, 40)) as pilot:
            await asked.ready(pilot)
            await pilot.press(key)
            await until(pilot, lambda: bool(asked.results))  # noqa: B023 - awaited within the turn
            assert asked.results == [ReviewResult(False)]
            assert asked.writes() == []


async def test_y_applies_with_the_reason_and_the_hash_that_was_reviewed() -> None:
    asked = Asked(FakeGateway())
    async with asked.app.run_test(size=(120, 40)) as pilot:
        await asked.ready(pilot)
        await pilot.press("w", *"try 12 %", "enter", "y")
        await until(pilot, lambda: bool(asked.results))
        assert asked.results == [ReviewResult(True, "try 12 %", asked.fake.hash)]
        assert asked.writes() == []


async def test_enter_on_the_other_button_applies() -> None:
    asked = Asked(FakeGateway())
    async with asked.app.run_test(size=(120, 40)) as pilot:
        await asked.ready(pilot)
        await pilot.press("tab")
        await until(pilot, lambda: "▐apply to live traffic▌" in shown(asked.app))
        await pilot.press("enter")
        await until(pilot, lambda: bool(asked.results))
        assert asked.results[0].apply


async def test_keys_typed_ahead_confirm_nothing() -> None:
    asked = Asked(FakeGateway())
    async with asked.app.run_test(size=(120, 40)) as pilot:
        await asked.open(pilot)
        asked.app.screen._clock = lambda: asked.app.screen._opened  # type: ignore[attr-defined]
        await until(pilot, lambda: isinstance(asked.app.screen, ApplyReview) and asked.app.screen.ready)
        await pilot.press("y")
        await pilot.pause()
        assert isinstance(asked.app.screen, ApplyReview) and asked.results == []


async def test_esc_in_the_reason_leaves_only_the_field() -> None:
    asked = Asked(FakeGateway())
    async with asked.app.run_test(size=(120, 40)) as pilot:
        await asked.ready(pilot)
        await pilot.press("w", "y")
        assert asked.app.screen.query_one(Input).value == "y"
        await pilot.press("escape")
        await pilot.pause()
        assert isinstance(asked.app.screen, ApplyReview) and asked.results == []
        await pilot.press("escape")
        await until(pilot, lambda: asked.results == [ReviewResult(False)])


async def test_errors_make_the_apply_unavailable_and_are_said() -> None:
    fake = FakeGateway()
    fake.lint_answer = [ERROR]
    asked = Asked(fake)
    async with asked.app.run_test(size=(120, 40)) as pilot:
        await asked.open(pilot)
        await until(pilot, lambda: "apply to live traffic: not with 1 error" in shown(asked.app))
        await until(pilot, lambda: "✗ line 20: unknown key wieght; did you mean weight?" in shown(asked.app))
        assert "waits for a clean lint" in shown(asked.app)
        await pilot.pause(DEAF_S + 0.05)
        await pilot.press("y")
        await pilot.pause()
        assert isinstance(asked.app.screen, ApplyReview) and asked.results == []
        assert not [path for _, path, _ in fake.calls if path == "/v1/policy/impact"]


async def test_the_apply_does_not_wait_for_the_replay() -> None:
    asked = Asked(FakeGateway())
    never = asyncio.Event()

    async def slow(*_: object, **__: object) -> Any:
        await never.wait()

    asked.app.link.impact = slow  # type: ignore[method-assign]
    async with asked.app.run_test(size=(120, 40)) as pilot:
        await asked.ready(pilot)
        assert "replaying the last requests" in shown(asked.app)
        await pilot.press("y")
        await until(pilot, lambda: bool(asked.results))
        assert asked.results[0].apply


async def test_a_gateway_that_cannot_replay_is_said_and_does_not_hinder() -> None:
    fake = FakeGateway()
    fake.impact = {"requests": 0}
    asked = Asked(fake)
    async with asked.app.run_test(size=(80, 24)) as pilot:
        await asked.ready(pilot)
        await until(pilot, lambda: "impact unknown: no traffic recorded yet" in shown(asked.app))


async def test_from_a_number_to_its_requests_to_one_of_them_and_back() -> None:
    asked = Asked(FakeGateway())
    async with asked.app.run_test(size=(120, 40)) as pilot:
        await asked.ready(pilot)
        await until(pilot, lambda: "last 10,000 requests replayed" in shown(asked.app))
        await pilot.press("i", "j", "enter")
        await until(pilot, lambda: isinstance(asked.app.screen, ImpactRequests))
        await until(pilot, lambda: "gpt-4o → claude-sonnet-4-20250514" in shown(asked.app))
        shows = [
            body["show"] for _, path, body in asked.fake.calls if path == "/v1/policy/impact" and body["show"]
        ]
        assert shows == [{"kind": "changed"}]
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(asked.app.screen, EventDrawer))
        first = next(i for i, item in enumerate(EVENTS) if item[2] == "gpt-4o")
        await until(pilot, lambda: f"Request 01976b2e-0000-7000-8000-{first:012d}" in shown(asked.app))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(asked.app.screen, ImpactRequests))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(asked.app.screen, ApplyReview))
        assert asked.results == []


async def test_a_file_that_differs_is_said_with_its_reason() -> None:
    fake = FakeGateway()
    fake.file_text = POLICY + "# theirs\n"
    fake.status["config"]["file"] = {"state": "differs", "reason": "2 errors", "diagnostics": []}
    asked = Asked(fake)
    async with asked.app.run_test(size=(120, 40)) as pilot:
        await asked.ready(pilot)
        assert "≠ policy.yaml is not what runs (2 errors); applying writes over it" in shown(asked.app)


async def test_a_draft_made_on_another_text_is_said_before_the_conflict() -> None:
    asked = Asked(FakeGateway(), base_hash="0" * 64)
    async with asked.app.run_test(size=(120, 40)) as pilot:
        await asked.ready(pilot)
        await until(pilot, lambda: "saved by someone else" in shown(asked.app))
        await pilot.press("y")
        await until(pilot, lambda: bool(asked.results))
        assert asked.results[0].if_match == "0" * 64


async def test_the_text_that_runs_already_is_not_applied_again() -> None:
    asked = Asked(FakeGateway(), text=POLICY)
    async with asked.app.run_test(size=(120, 40)) as pilot:
        await asked.open(pilot)
        await until(pilot, lambda: "apply to live traffic: this text runs already" in shown(asked.app))


async def test_without_an_answer_nothing_can_be_applied() -> None:
    fake = FakeGateway()
    asked = Asked(fake)
    async with asked.app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "● serving" in shown(asked.app))
        fake.down = True
        asked.app.run_worker(review(asked.app, asked.app.link, DRAFT))
        await until(pilot, lambda: "the gateway gave no answer" in shown(asked.app))
        assert "nothing answers at" in shown(asked.app)


async def test_control_characters_of_the_draft_and_its_impact_reach_no_terminal() -> None:
    fake = FakeGateway()
    fake.meaning = ["policy \x1b]52;c;QQ==\x07 \u202e renamed"]
    fake.impact["reasons"] = [{"reason": "header \x1b[31m was not recorded", "requests": 44}]
    tail = "tag: variant-a} # \x1b[4m"
    fake.text = fake.file_text = POLICY.replace("tag: variant-a}", tail)
    asked = Asked(fake, text=DRAFT.replace("tag: variant-a}", tail) + "# \x1b[2J\u202e\n")
    async with asked.app.run_test(size=(120, 40)) as pilot:
        await asked.ready(pilot)
        await until(pilot, lambda: "was not recorded" in shown(asked.app))
        assert "]52;c" in shown(asked.app) and "[2J" in shown(asked.app)
        for bad in ("\x1b", "\x07", "\u202e"):
            assert bad not in shown(asked.app)
