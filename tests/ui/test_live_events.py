"""The list of requests: filter line, pages from the store, jumps, marks, against the fake control API."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fake_api import NOW, FakeGateway, event
from textual.geometry import Size
from textual.pilot import Pilot
from textual.widgets import Input

from ktui.app import KtuiApp
from ktui.screens.live_events import EventsRegion
from ktui.widgets.event_table import EventTable
from ktui.widgets.prompt import Prompt

ENV = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}


def gateway(count: int) -> FakeGateway:
    """`count` requests, one a second, the newest now."""
    fake = FakeGateway()
    start = NOW - timedelta(seconds=count - 1)
    fake.events = [event(i, start + timedelta(seconds=i)) for i in range(count)]
    fake.status["events"] |= {"last_seq": count, "total": count}
    return fake


def app_of(fake: FakeGateway) -> KtuiApp:
    return KtuiApp(fake.link(), env=ENV)


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 8.0) -> None:
    """Waits for a condition; the assertion shows the screen."""
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    assert condition(), text(pilot.app)


def text(app: Any) -> str:
    lines = app.screen._compositor.render_strips(Size(*app.size))
    return "\n".join(strip.text for strip in lines)


def table(app: KtuiApp) -> EventTable:
    return app.query_one(EventTable)


def region(app: KtuiApp) -> EventsRegion:
    return app.query_one(EventsRegion)


def at(app: KtuiApp) -> int:
    row = table(app).current
    return row.seq if row is not None else -1


def seqs(app: KtuiApp) -> list[int]:
    return [table(app).rows[i].seq for i in range(len(table(app).rows))]


async def more_than(pilot: Pilot[None], app: KtuiApp, count: int) -> None:
    await until(pilot, lambda: len(table(app).rows) > count)


async def typed(pilot: Pilot[None], words: str) -> None:
    """Types a filter and sends it."""
    await pilot.press("slash")
    region(pilot.app).line.field.value = words  # type: ignore[arg-type]
    await pilot.press("enter")


async def test_a_filter_lists_what_matches_and_what_comes() -> None:
    fake = gateway(600)
    app = app_of(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 500)
        await typed(pilot, "decision:block")
        await until(pilot, lambda: "31 of 600 stored" in text(app))
        assert " / decision:block" in text(app)
        assert {table(app).rows[i].decision for i in range(31)} == {"block"}
        assert table(app).has_focus and table(app).following
        fake.add_events(19)
        await until(pilot, lambda: len(table(app).rows) == 32 and at(app) == 603)
        await until(pilot, lambda: "32 of " in text(app))
        await pilot.press("backslash")
        await until(pilot, lambda: "‖ off" in text(app) and "following" in text(app))
        assert len(table(app).rows) > 500
        await pilot.press("backslash")
        await until(pilot, lambda: "‖ off" not in text(app) and len(table(app).rows) == 32)
        await typed(pilot, "")
        await until(pilot, lambda: "type a filter:" in text(app) and len(table(app).rows) > 500)


async def test_a_fault_stands_under_its_column_and_the_last_good_filter_stays() -> None:
    app = app_of(gateway(40))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 40)
        await typed(pilot, "status:503")
        await until(pilot, lambda: len(table(app).rows) == 2)
        await typed(pilot, "status:503 vriant:b")
        await until(pilot, lambda: "did you mean variant?" in text(app))
        line = next(line for line in text(app).splitlines() if "did you mean" in line)
        assert line.index("✗") == len(" / ") + 11
        assert region(app).filter_text == "status:503" and len(table(app).rows) == 2
        assert region(app).line.typing
        await pilot.press("escape")
        await until(pilot, lambda: "did you mean" not in text(app) and table(app).has_focus)
        assert " / status:503 " in text(app)
        await pilot.press("slash", "up")
        assert region(app).line.field.value == "status:503 vriant:b"


async def test_typing_offers_and_tab_takes() -> None:
    app = app_of(gateway(40))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 40)
        await pilot.press("slash")
        await until(pilot, lambda: bool(region(app).line.fields))
        await pilot.press(*"vari")
        await until(pilot, lambda: "▌variant" in text(app))
        await pilot.press("tab")
        assert region(app).line.field.value == "variant:"
        await until(pilot, lambda: "▌variant-a" in text(app))
        await pilot.press("down", "down", "enter")
        await until(pilot, lambda: region(app).line.field.value == "variant:variant-b")
        await pilot.press(*" la")
        await until(pilot, lambda: "▌latency" in text(app))
        await pilot.press("escape")
        await until(pilot, lambda: not region(app).line.offers.display)
        assert region(app).line.typing
        await pilot.press("backspace", "backspace", "backspace", "enter")
        await until(pilot, lambda: region(app).filter_text == "variant:variant-b")
        assert {table(app).rows[i].tag for i in range(len(table(app).rows))} == {"variant-b"}


async def test_older_pages_come_without_moving_the_picture() -> None:
    app = app_of(gateway(1_700))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 500)
        await pilot.press(*["pageup"] * 30)
        await until(pilot, lambda: len(table(app).rows) >= 1_000)
        await pilot.pause(0.3)
        held = at(app)
        assert seqs(app) == list(
            range(701, 1_701)
        )  # One page: the picture did not fall to the new rows above it.
        assert table(app).current is not None and 1_200 < held < 1_400
        lines = text(app).splitlines()[8:21]
        while seqs(app)[0] > 1:
            region(app).load_older(region(app).listing)
            await more_than(pilot, app, len(table(app).rows))
            assert text(app).splitlines()[8:21] == lines
            assert at(app) == held
        await pilot.press("g")
        await until(pilot, lambda: at(app) == 1 and "nothing older in the store" in text(app))


async def test_g_goes_to_the_oldest_in_the_store_and_end_back_to_the_newest() -> None:
    app = app_of(gateway(3_000))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 500)
        await pilot.press("g")
        await until(pilot, lambda: at(app) == 1 and "from the store" in text(app))
        assert seqs(app)[0] == 1 and len(table(app).rows) < 1_500
        await pilot.press(*["pagedown"] * 18)
        await until(pilot, lambda: len(table(app).rows) >= 900 and seqs(app)[0] == 1)
        assert seqs(app) == list(range(1, len(seqs(app)) + 1))
        await pilot.press("end")
        await until(pilot, lambda: at(app) == 3_000 and table(app).following)


async def test_after_a_jump_under_a_filter_the_heading_names_the_span_on_show() -> None:
    app = app_of(gateway(6_000))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 500)
        await typed(pilot, "decision:allow")
        await until(
            pilot, lambda: region(app).filter_text == "decision:allow" and "looked back to" in text(app)
        )
        await pilot.press("g")
        await until(pilot, lambda: at(app) < 10 and "from the store" in text(app))
        assert "looked back to" not in text(app)
        await pilot.press("end")
        await until(pilot, lambda: table(app).rows.following and "looked back to" in text(app))
        assert "from the store" not in text(app)


async def test_the_cursor_goes_to_a_time() -> None:
    app = app_of(gateway(3_000))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 500)
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(app.screen, Prompt))
        app.screen.query_one(Input).value = "2026-06-11T14:00:00Z"
        await pilot.press("enter")
        then = (NOW - NOW.replace(hour=14, minute=0, second=0, microsecond=0)).total_seconds()
        await until(pilot, lambda: at(app) == 3_000 - int(then))
        assert not table(app).following
        await pilot.press("ctrl+g")
        await until(pilot, lambda: isinstance(app.screen, Prompt))
        await pilot.press("x", "enter")
        await until(pilot, lambda: "is no moment" in text(app))


async def test_marks_are_kept_and_walked_even_when_they_are_no_longer_in_memory() -> None:
    app = app_of(gateway(3_000))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 500)
        await pilot.press("k", "m", "k", "k", "m")
        await until(pilot, lambda: "2 marked" in text(app))
        assert [row.seq for row in table(app).marked] == [2_997, 2_999]
        assert sum(line.startswith("m") for line in text(app).splitlines()) == 2
        await pilot.press("g")
        await until(pilot, lambda: at(app) == 1)
        await pilot.press("n")
        await until(pilot, lambda: at(app) == 2_997)
        await pilot.press("n")
        await until(pilot, lambda: at(app) == 2_999)
        await pilot.press("n")
        await until(pilot, lambda: "no mark below" in text(app))
        await pilot.press("N")
        await until(pilot, lambda: at(app) == 2_997)
        await app.run_action("mark_clear", app.pane())
        await until(pilot, lambda: not table(app).marked and "marked" not in text(app))
        await pilot.press("N")
        failed = table(app).current
        assert failed is not None and failed.failed


async def test_a_search_that_finds_nothing_says_so_and_can_be_stopped() -> None:
    fake = gateway(2_500)
    app = app_of(fake)
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 500)
        await typed(pilot, "model:nosuch")
        await until(pilot, lambda: "No stored request matches" in text(app))
        assert "\\ shows all requests" in text(app)
        fake.hold_search = True
        await typed(pilot, "model:another")
        await until(pilot, lambda: "searching 2,500 stored" in text(app) and "back to" in text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "stopped, back to" in text(app))
        assert region(app).filter_text == "model:another"
        fake.hold_search = False
        await pilot.press("k")
        await until(pilot, lambda: "No stored request matches" in text(app))


async def test_a_pause_with_more_missed_than_is_fetched_leaves_a_hole_that_is_read_when_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ktui.feed.MOST_MISSED", 50)
    fake = gateway(300)
    app = app_of(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 300)
        await pilot.press("k")
        held = at(app)
        fake.down = True
        fake.break_streams()
        await until(pilot, lambda: "? not live" in text(app))
        fake.add_events(120)
        fake.down = False
        await until(pilot, lambda: table(app).new_below == 50)
        assert at(app) == held
        await until(pilot, lambda: seqs(app) == list(range(1, 421)))
        await pilot.press("end")
        await until(pilot, lambda: at(app) == 420)


async def test_saved_filters_are_in_the_palette() -> None:
    app = app_of(gateway(40))
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 40)
        await typed(pilot, "status:503")
        await until(pilot, lambda: len(table(app).rows) == 2)
        await pilot.press("colon", *"save the f")
        await until(pilot, lambda: "Save the filter under a name" in text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Prompt))
        await pilot.press(*"broken", "enter")
        await until(pilot, lambda: region(app).named == {"broken": "status:503"})
        region(app).set_filter("")
        await until(pilot, lambda: len(table(app).rows) == 40)
        app.open_screen("history")
        await pilot.press("colon", *"brok")
        await until(pilot, lambda: "Filter: broken" in text(app) and "status:503" in text(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.pane().place == "live" and region(app).filter_text == "status:503")


async def test_the_mouse_types_toggles_and_turns_pages() -> None:
    app = app_of(gateway(1_200))
    async with app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: "500 in memory" in text(app) and "p95 ■ 2" in text(app))
        await pilot.click("#filter", offset=(4, 0))
        await until(pilot, lambda: region(app).line.typing)
        await typed(pilot, "status:503")
        await until(pilot, lambda: "503" in region(app).filter_text)
        await pilot.click("#filter-state", offset=(4, 0))
        await until(pilot, lambda: region(app).filter_text == "")
        for _ in range(110):
            table(app)._wheel(-3)
        await until(pilot, lambda: len(table(app).rows) == 1_000 and not table(app).following)
        assert seqs(app)[0] == 201
