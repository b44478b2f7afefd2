"""The workbench's screens on terminals without glyphs, without colours, and of every size we promise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_api import FakeGateway
from textual.geometry import Size
from textual.pilot import Pilot

from ktui.app import KtuiApp
from ktui.screens.apply_review import ApplyReview

ENV = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
PLACES: dict[str, tuple[tuple[str, ...], str]] = {
    "history": (("7", "m", "j"), "v11 against v12"),
    "difference": (("7", "j", "d"), "v11"),
    "help": (("7", "question_mark"), "Help"),
    "review": (("3", "greater_than_sign", "A"), "esc"),
    "requests": (("3", "greater_than_sign", "A", "i", "j", "enter"), "other route"),
    "explain": (("x",), "Explain"),
}


def shown(app: Any) -> str:
    width, height = app.size
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(Size(width, height)))


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 8.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    assert condition(), shown(pilot.app)


async def go(app: KtuiApp, pilot: Pilot[None], keys: tuple[str, ...]) -> None:
    await until(pilot, lambda: "serving" in shown(app) and "gpt-4o" in shown(app))
    for key in keys:
        await pilot.press(key)
        if key == "A":
            await until(pilot, lambda: isinstance(app.screen, ApplyReview) and app.screen.ready)
            await until(pilot, lambda: "replayed" in shown(app))
        if key == "7":
            await until(pilot, lambda: "against" in shown(app))


@pytest.mark.parametrize("place", [name for name in PLACES if name != "help"])
async def test_without_glyphs_nothing_but_ascii_is_drawn(place: str) -> None:
    app = KtuiApp(FakeGateway().link(), env=ENV | {"LANG": "POSIX.ISO-8859-1"})
    async with app.run_test(size=(120, 40)) as pilot:
        keys, _ = PLACES[place]
        await go(app, pilot, keys)
        await pilot.pause(0.3)
        assert shown(app).isascii(), sorted({c for c in shown(app) if not c.isascii()})


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (200, 60)])
@pytest.mark.parametrize("place", list(PLACES))
async def test_every_size_shows_where_the_reader_is(place: str, size: tuple[int, int]) -> None:
    app = KtuiApp(FakeGateway().link(), env=ENV)
    async with app.run_test(size=size) as pilot:
        keys, words = PLACES[place]
        await go(app, pilot, keys)
        wanted = "v12 against v11" if place == "history" else words
        await until(pilot, lambda: wanted in shown(app))
        if place == "review":
            await until(pilot, lambda: "▐Cancel▌" in shown(app) and "y" in shown(app))


async def test_a_terminal_without_colours_marks_the_cursor_and_the_safe_button() -> None:
    app = KtuiApp(FakeGateway().link(), env=ENV | {"NO_COLOR": "1"})
    async with app.run_test(size=(80, 24)) as pilot:
        await go(app, pilot, PLACES["review"][0])
        await until(pilot, lambda: "▐Cancel▌" in shown(app))
        await pilot.press("i")
        await until(pilot, lambda: any("▌same route" in line for line in shown(app).splitlines()))
