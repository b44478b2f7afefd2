"""Explain: the steps of one request's decision, the hash that chose, and the jump to the line that decided."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from fake_api import POLICY, FakeGateway
from textual.geometry import Size
from textual.pilot import Pilot

from ktui import app as app_module
from ktui.app import KtuiApp
from ktui.screens.event_drawer import EventDrawer
from ktui.screens.explain_view import line_of_policy
from ktui.screens.policy import PolicyPane
from ktui.widgets.policy_editor import PolicyEditor

ENV = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
RAN = hashlib.sha256(POLICY.encode()).hexdigest()


def shown(app: Any) -> str:
    width, height = app.size
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(Size(width, height)))


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 8.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    assert condition(), shown(pilot.app)


def app_of(fake: FakeGateway) -> KtuiApp:
    return KtuiApp(fake.link(), env=ENV)


def explained(fake: FakeGateway) -> dict[str, Any]:
    assert fake.explanation is not None
    return fake.explanation


async def opened(app: KtuiApp, pilot: Pilot[None]) -> None:
    await until(pilot, lambda: "● serving" in shown(app) and "gpt-4-turbo" in shown(app))
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(app.screen, EventDrawer))
    await pilot.press("x")
    await until(pilot, lambda: "as it ran" in shown(app))


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_steps_reasons_and_the_hash_that_chose(size: tuple[int, int]) -> None:
    app = app_of(FakeGateway())
    async with app.run_test(size=size) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: "✓ chosen" in shown(app))
        picture = shown(app)
        for words in (
            "under v12 3fa9c1e, as it ran",
            "✓ model-routing",
            "- route-simple-tasks",
            "does not hold: max_tokens_lte 200",
            "✓ ab-test-models",
            "digest 9b1c5a7e40d2…",
            "phase canary",
            "score 0.0112",
        ):
            assert words in picture, words
        chosen = next(line for line in picture.splitlines() if "✓ chosen" in line)
        assert "variant-b" in chosen and "0.0058" in chosen


async def test_x_on_the_table_explains_at_once_and_x_again_folds_it() -> None:
    app = app_of(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "● serving" in shown(app) and "gpt-4-turbo" in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: "✓ chosen" in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: "✓ chosen" not in shown(app))
        assert isinstance(app.screen, EventDrawer)


async def test_the_whole_reason_of_a_cut_row_stands_below_the_steps() -> None:
    fake = FakeGateway()
    reason = "does not hold: " + " and ".join(f"condition-{number}" for number in range(9)) + " END"
    explained(fake)["steps"][1]["reason"] = reason
    app = app_of(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        assert "END" not in shown(app)
        await pilot.press("k")
        await until(pilot, lambda: "END" in shown(app))


@pytest.mark.parametrize("key", ["e", "enter"])
async def test_a_step_leads_to_its_line_in_the_editor(key: str) -> None:
    fake = FakeGateway()
    explained(fake)["version"]["hash"] = RAN
    app = app_of(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("k", key)
        editor = app.query_one(PolicyEditor)
        await until(pilot, lambda: not isinstance(app.screen, EventDrawer) and editor.has_focus)
        await until(pilot, lambda: editor.cursor_location[0] == 10)
        assert "the text is another now" not in shown(app)


async def test_where_the_text_has_changed_since_the_policy_is_found_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(app_module, "SAID_S", 60.0)
    fake = FakeGateway()
    fake.text = fake.file_text = "# one more line\n" + POLICY
    app = app_of(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("e")
        editor = app.query_one(PolicyEditor)
        await until(pilot, lambda: editor.has_focus and editor.cursor_location[0] == 16)
        await until(pilot, lambda: "the text is another now" in shown(app) and "✓ no problems" in shown(app))
        # Neither its own jump nor a result that comes later takes the message away; the reader's next move does.
        pane = app.query_one(PolicyPane)
        pane.note_changed()
        await pilot.pause()
        app.scheduler.now("note")
        assert "the text is another now" in shown(app)
        await pilot.press("up")
        await until(pilot, lambda: "the text is another now" not in shown(app))


async def test_a_policy_that_is_gone_is_said_with_the_line_it_had() -> None:
    fake = FakeGateway()
    fake.text = fake.file_text = POLICY.replace("ab-test-models", "other-name")
    app = app_of(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("e")
        await until(pilot, lambda: "ab-test-models is not in this text; it was line 15" in shown(app))


async def test_what_was_not_recorded_is_said_and_never_guessed() -> None:
    fake = FakeGateway()
    fake.explanation = {
        "decision": "block", "steps": [], "assignment": None, "version": None,
        "cannot_tell": ["header x-team was not recorded"], "text": "",
    }  # fmt: skip
    app = app_of(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "● serving" in shown(app) and "gpt-4-turbo" in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: "header x-team was not recorded" in shown(app))
        assert "the version that ran is not known" in shown(app)


async def test_an_event_that_cannot_be_explained_says_why() -> None:
    fake = FakeGateway()
    fake.explanation = None
    app = app_of(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "● serving" in shown(app) and "gpt-4-turbo" in shown(app))
        await pilot.press("x")
        await until(pilot, lambda: "✗ there is no event of that id" in shown(app))


async def test_reasons_reach_no_terminal_raw() -> None:
    fake = FakeGateway()
    explained(fake)["steps"][2]["reason"] = "unit \x1b]52;c;QQ==\x07 \u202e"
    app = app_of(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        assert "]52;c" in shown(app)
        for bad in ("\x1b", "\x07", "\u202e"):
            assert bad not in shown(app)


def test_the_line_of_a_policy_is_where_its_item_begins() -> None:
    assert line_of_policy(POLICY, "model-routing") == 7
    assert line_of_policy(POLICY, "ab-test-models") == 16
    assert line_of_policy(POLICY, "no-such") is None
    assert line_of_policy("policies: [", "x") is None
    assert line_of_policy("- a\n", "a") is None


async def test_each_try_is_shown_where_it_stood_in_the_whole() -> None:
    fake = FakeGateway()
    fake.events[-1]["attempt_log"] = [
        {"target": "openai", "model": "gpt-4o", "status": 503, "error": "over\x1bloaded", "ms": 735.0, "reason": "status"},
        {"target": "azure", "model": "gpt-4o", "status": 200, "error": None, "ms": 735.0, "reason": None},
    ]  # fmt: skip
    app = app_of(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "● serving" in shown(app) and "gpt-4-turbo" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: "try 2" in shown(app))
        tries = {
            number: next(line for line in shown(app).splitlines() if f"try {number}" in line)
            for number in (1, 2)
        }
        assert "openai  503  over" in tries[1] and "azure  200" in tries[2]
        assert tries[1].index("█") + tries[1].count("█") == tries[2].index("█")
        assert tries[1].count("█") == tries[2].count("█") >= 12
        assert "\x1b" not in shown(app)


async def test_an_answer_at_the_first_try_shows_no_list_of_tries() -> None:
    app = app_of(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: "✓ chosen" in shown(app))
        assert "try 1" not in shown(app)
