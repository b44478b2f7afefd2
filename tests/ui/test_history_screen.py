"""History: the versions, what each changed, any two compared, an earlier one restored after a review."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from fake_api import VERSIONS, FakeGateway
from textual.geometry import Size
from textual.pilot import Pilot

from ktui.app import KtuiApp
from ktui.screens.apply_review import ApplyReview
from ktui.screens.diff_screen import DiffScreen
from ktui.screens.history import HistoryPane
from ktui.widgets.dialog import DEAF_S

ENV = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}


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


async def opened(app: KtuiApp, pilot: Pilot[None]) -> HistoryPane:
    await until(pilot, lambda: "● serving" in shown(app))
    await pilot.press("7")
    await until(pilot, lambda: "v12 against v11" in shown(app) and "12 since 6 Jun" in shown(app))
    return app.query_one(HistoryPane)


def row(app: KtuiApp, version: str) -> str:
    lines = shown(app).splitlines()[5:]
    return next(line for line in lines if re.match(rf"[ ▌]*{version} ", line) and "against" not in line[:20])


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_each_version_says_who_how_why_and_how_many_requests(size: tuple[int, int]) -> None:
    app = app_of(FakeGateway())
    async with app.run_test(size=size) as pilot:
        await opened(app, pilot)
        running = row(app, "v12")
        for words in ("●", "ops", "editor", "make the deadline", "2,620"):
            assert words in running, (words, running)
        assert "●" not in row(app, "v11")
        assert "40,318" in row(app, "v11") and "screen" in row(app, "v11")
        # What is not given is looked up in the text: v12 differs from v11 in a weight.
        await until(pilot, lambda: "- {model: gpt-4o, weight: " in shown(app) and "96" in shown(app))


async def test_a_version_without_a_reason_says_what_changed_in_it() -> None:
    fake = FakeGateway()
    fake.meaning = ["target anthropic: base_url changed"]
    app = app_of(fake)
    async with app.run_test(size=(160, 40)) as pilot:
        await opened(app, pilot)
        await until(pilot, lambda: "target anthropic: base_url changed" in row(app, "v7"))
        assert "the first text" in row(app, "v1")


async def test_a_marked_version_is_what_the_others_are_compared_with() -> None:
    app = app_of(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("j", "j", "m", "G")
        await until(pilot, lambda: "v10 against v1 " in shown(app) and "v10 is marked" in shown(app))
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, DiffScreen) and "v1 → v10" in shown(app))
        await pilot.press("escape", "k", "k")
        await until(pilot, lambda: "v10 against v3" in shown(app))
        await pilot.press("g", "j", "j", "m", "j")
        await until(pilot, lambda: "v9 against v8" in shown(app))


async def test_without_a_mark_d_compares_with_what_runs() -> None:
    app = app_of(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("j", "j", "j")
        await until(pilot, lambda: "v9 against v8" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, DiffScreen) and "v9 → v12 (runs)" in shown(app))
        assert "weight: 94" in shown(app) and "weight: 95" in shown(app)


async def test_restore_asks_and_makes_a_new_version() -> None:
    fake = FakeGateway()
    app = app_of(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("j", "j", "A")
        await until(pilot, lambda: isinstance(app.screen, ApplyReview) and app.screen.ready)
        await until(pilot, lambda: "Restore v10 as v13" in shown(app))
        await pilot.pause(DEAF_S + 0.05)
        await pilot.press("y")
        await until(pilot, lambda: fake.number == 13)
        await until(pilot, lambda: "runs again as v13 · U undoes" in shown(app))
        body = next(body for _, path, body in fake.calls if path == "/v1/config/restore")
        assert body == {"hash": fake._version(10)["hash"], "why": "v10 restored"}
        assert "weight: 95" in fake.text
        await until(pilot, lambda: "13 since 6 Jun" in shown(app))


async def test_cancel_restores_nothing() -> None:
    fake = FakeGateway()
    app = app_of(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("j", "A")
        await until(pilot, lambda: isinstance(app.screen, ApplyReview) and app.screen.ready)
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, ApplyReview))
        assert fake.number == 12


async def test_what_runs_already_is_not_restored() -> None:
    app = app_of(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("A")
        await until(pilot, lambda: "v12 is what runs: nothing to restore" in shown(app))
        assert not isinstance(app.screen, ApplyReview)


async def test_a_frozen_picture_counts_new_versions_and_thawing_shows_them() -> None:
    fake = FakeGateway()
    app = app_of(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("space")
        fake._apply(fake.text + "# more\n")
        await until(pilot, lambda: "+1 new · 12 since 6 Jun" in shown(app))
        await pilot.press("space")
        await until(pilot, lambda: "13 since 6 Jun" in shown(app))


async def test_the_hash_can_be_copied() -> None:
    fake = FakeGateway()
    app = app_of(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        await pilot.press("j", "y")
        await until(pilot, lambda: app.clipboard == fake._version(11)["hash"])


async def test_who_and_why_reach_no_terminal_raw(monkeypatch: pytest.MonkeyPatch) -> None:
    hostile = ("2026-06-11T12:22:00Z", "o\x1bps", "editor", "why\x07\u202e", 1)
    monkeypatch.setitem(VERSIONS, 12, hostile)
    app = app_of(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        assert "ps" in row(app, "v12")
        for bad in ("\x1b", "\x07", "\u202e"):
            assert bad not in shown(app)


async def test_a_lost_gateway_is_said_and_the_list_stays() -> None:
    fake = FakeGateway()
    app = app_of(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(app, pilot)
        fake.down = True
        await pilot.press("G", "A")
        await until(pilot, lambda: "nothing answers at" in shown(app))
        assert "811,036" in row(app, "v1")


async def test_counts_grow_while_the_screen_is_open_and_the_cursor_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ktui.screens.history.RENEW_S", 0.0)
    fake = FakeGateway()
    app = app_of(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        pane = await opened(app, pilot)
        await pilot.press("j", "j")
        monkeypatch.setitem(VERSIONS, 12, (*VERSIONS[12][:4], 2777))
        fake.push_status()
        await until(pilot, lambda: "2,777" in row(app, "v12"))
        assert pane.list.cursor == 2
