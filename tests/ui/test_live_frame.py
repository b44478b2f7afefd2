"""The frame and Live against the fake control API: what a reader sees and what keys do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from fake_api import FakeGateway
from rich.console import Console
from textual.drivers.headless_driver import HeadlessDriver
from textual.geometry import Size
from textual.pilot import Pilot

from ktui import app as app_module
from ktui.answers import EventCounts
from ktui.app import KtuiApp
from ktui.frame_actions import conservation
from ktui.link import GatewayLink
from ktui.screens.apply_review import ApplyReview
from ktui.screens.event_drawer import EventDrawer
from ktui.screens.help import HelpScreen
from ktui.widgets.dialog import ConfirmDialog
from ktui.widgets.event_table import EventTable
from proxy.base.secret import Secret

ENV = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}


def make(fake: FakeGateway, **kwargs: Any) -> KtuiApp:
    return KtuiApp(fake.link(), env=kwargs.pop("env", ENV), **kwargs)


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Waits for a condition; the assertion names it."""
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    assert condition(), screen_text(pilot.app)


def screen_text(app: Any) -> str:
    """What stands on the screen, line by line."""
    width, height = app.size
    lines = app.screen._compositor.render_strips(Size(width, height))
    return "\n".join(strip.text for strip in lines)


def line_of(app: Any, row: int) -> str:
    """One row of the screen, as it stands now; empty where the screen has none."""
    lines = screen_text(app).splitlines()
    return lines[row] if row < len(lines) else ""


def table(app: KtuiApp) -> EventTable:
    return app.query_one(EventTable)


async def test_the_first_picture_has_everything() -> None:
    fake = FakeGateway()
    app = make(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        expected = ("Latency p95 ■ 2.31 s ◆ 2.05 s", "$4.97 ─", "answered in", "v12 3fa9c1e", "19 in memory")
        await until(pilot, lambda: all(part in screen_text(app) for part in expected))
        shown = screen_text(app)
        assert "● serving  127.0.0.1:41002" in shown
        assert "v12 3fa9c1e = file" in shown
        assert "Latency p95 ■ 2.31 s ◆ 2.05 s ─" in shown
        assert "Cost per 1,000 requests ■ $4.12 ◆ $4.97 ─" in shown
        assert "▌Events ━" in shown
        assert "following · 19 in memory" in shown
        assert "gpt-4o answered in 1.47 s; variant-a chosen by user in ab-test-models" in shown
        assert shown.splitlines()[-1].startswith(" ? help  : commands  / filter  f follow  enter open")
        assert shown.splitlines()[-1].rstrip().endswith("q quit")


async def test_the_short_screen_has_two_lines_instead_of_charts() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "2.05 s" in line_of(app, 3) and "/ 1k" in line_of(app, 4))
        lines = screen_text(app).splitlines()
        assert lines[3].startswith(" p95   ■ a ")
        assert lines[3].rstrip().endswith("2.05 s")
        assert lines[4].startswith(" cost  ■ a ")
        assert lines[4].rstrip().endswith("$4.97 / 1k")
        assert lines[5].startswith("▌Events ━")
        assert "Latency" not in "\n".join(lines)


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (80, 40), (100, 30), (120, 40), (200, 60)])
@pytest.mark.parametrize("theme", ["kt-dark", "mono"])
async def test_every_size_and_kind_of_theme_draws(size: tuple[int, int], theme: str) -> None:
    app = make(FakeGateway(), theme=theme)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "0397" in screen_text(app))
        for line in screen_text(app).splitlines()[3:]:
            assert line.ljust(size[0])[-1] in " │", line


async def test_too_small_is_one_sentence() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(52, 14)) as pilot:
        await until(pilot, lambda: "ktui needs 60x16, this is 52x14; traffic goes on" in screen_text(app))
        assert "serving" not in screen_text(app)


async def test_moving_up_stops_following_and_new_rows_are_counted_not_scrolled() -> None:
    fake = FakeGateway()
    app = make(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 19)
        await pilot.press("k", "k")
        pinned = table(app).current
        assert pinned is not None and pinned.seq == 17
        before = screen_text(app).splitlines()[7:20]
        fake.add_events(37)
        await until(pilot, lambda: table(app).new_below == 37)
        await until(pilot, lambda: "‖ follow off · +37 new below, none lost · f or end" in screen_text(app))
        assert table(app).current is pinned
        assert screen_text(app).splitlines()[7:20] == before
        await pilot.press("end")
        assert table(app).following
        await until(pilot, lambda: "following · 56 in memory" in screen_text(app))
        newest = table(app).current
        assert newest is not None and newest.seq == 56


async def test_a_message_stays_while_the_list_moves_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeGateway()
    app = make(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 19 and "answered in" in line_of(app, -2))
        app.say_words("copied to tmux")
        fake.add_events(3)
        await until(pilot, lambda: table(app).current is not None and table(app).current.seq == 22)
        await until(pilot, lambda: "following · 22 in memory" in screen_text(app))
        await pilot.pause()
        app.scheduler.now("note")
        assert "copied to tmux" in line_of(app, -2)
        monkeypatch.setattr(app_module, "SAID_S", 0.0)
        fake.add_events(1)
        await until(pilot, lambda: "answered in" in line_of(app, -2))
        app.say_words("copied to tmux")
        monkeypatch.setattr(app_module, "SAID_S", 60.0)
        await pilot.press("k")
        await until(pilot, lambda: "copied to tmux" not in screen_text(app))


async def test_the_cursor_stays_on_its_request_when_more_comes_than_memory_holds() -> None:
    fake = FakeGateway()
    app = make(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 19)
        table(app).rows.limit = table(app).rows.window_limit = 30
        await pilot.press("k")
        pinned = table(app).current
        assert pinned is not None
        before = screen_text(app).splitlines()[8:20]
        for count in (20, 40):
            fake.add_events(count)
            await until(pilot, lambda count=count: table(app).new_below >= count)
        await until(pilot, lambda: table(app).new_below == 60)
        assert table(app).current is pinned
        assert screen_text(app).splitlines()[8:20] == before
        await pilot.press("G")
        assert table(app).following
        fake.add_events(10)
        await until(pilot, lambda: (row := table(app).current) is not None and row.seq == 89)
        assert len(table(app).rows) <= 60


async def test_f_toggles_and_the_wheel_pauses() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 19)
        await pilot.press("f")
        assert not table(app).following
        await pilot.press("f")
        assert table(app).following
        table(app)._wheel(-3)
        await pilot.pause()
        assert not table(app).following
        await pilot.press("g")
        first = table(app).current
        assert first is not None and first.seq == 1
        await pilot.press("G")
        assert table(app).following


async def test_a_click_selects_a_row_and_the_second_opens_it() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: table(app).size.height >= 20 and "19 in memory" in screen_text(app))
        await pilot.click(EventTable, offset=(20, 1))
        await until(pilot, lambda: (row := table(app).current) is not None and row.seq == 1)
        await pilot.click(EventTable, offset=(20, 1), times=2)
        await until(pilot, lambda: isinstance(app.screen, EventDrawer))
        await until(pilot, lambda: "Request 01976b2e-0000-7000-8000-000000000000" in screen_text(app))
        assert "redirect route-simple-tasks" in screen_text(app)
        await pilot.press("escape")
        assert not isinstance(app.screen, EventDrawer)


async def test_v_shows_the_next_measure() -> None:
    fake = FakeGateway()
    app = make(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Latency p95 ■" in screen_text(app))
        for word in ("p99", "p50", "p90"):
            await pilot.press("v")
            await until(pilot, lambda word=word: f"Latency {word} ■" in screen_text(app))


async def test_tab_goes_through_the_regions_and_one_has_the_heavy_rule() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "▌Events ━" in screen_text(app))
        for name in ("▌Latency", "▌Cost", "▌Events"):
            await pilot.press("tab")
            await until(pilot, lambda name=name: name in screen_text(app))
            assert screen_text(app).count("━━━") >= 1
            assert sum(f"▌{title}" in screen_text(app) for title in ("Latency", "Cost", "Events")) == 1


async def test_freeze_holds_the_body_and_loses_nothing() -> None:
    fake = FakeGateway()
    app = make(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 19 and "2.31 s" in screen_text(app))
        await pilot.press("space")
        await until(pilot, lambda: "‖ frozen at" in screen_text(app))
        body = screen_text(app).splitlines()[17:]
        fake.status["traffic"]["requests_per_s"] = 7.7
        fake.push_status()
        fake.add_events(5)
        await until(pilot, lambda: "7.7 req/s" in screen_text(app))
        await until(pilot, lambda: table(app).rows.waiting == 5)
        assert screen_text(app).splitlines()[17:] == body
        await pilot.press("space")
        await until(pilot, lambda: len(table(app).rows) == 24)
        assert "frozen" not in screen_text(app)


async def test_a_lost_gateway_keeps_the_picture_and_comes_back_by_itself() -> None:
    fake = FakeGateway()
    app = make(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 19)
        fake.down = True
        fake.break_streams()
        await until(pilot, lambda: "? unreachable, last answer" in screen_text(app))
        assert "gpt-4-turbo" in screen_text(app)
        assert "? not live" in screen_text(app)
        fake.events.append(fake.events[0] | {"id": "missed", "seq": 20})
        fake.down = False
        await until(pilot, lambda: "● serving" in screen_text(app), 8)
        await until(pilot, lambda: len(table(app).rows) == 20)


async def test_the_screen_is_drawn_before_its_gateway_listens() -> None:
    fake = FakeGateway()
    link = GatewayLink(transport=fake.link()._transport)
    go = asyncio.Event()

    async def starter(wanted: GatewayLink) -> None:
        await go.wait()
        wanted.connect("http://127.0.0.1:41003", Secret("fake-token"))

    app = KtuiApp(link, starter=starter, env=ENV)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "◐ starting" in screen_text(app))
        go.set()
        await until(pilot, lambda: "● serving" in screen_text(app))


async def test_a_gateway_that_cannot_start_says_why() -> None:
    async def starter(_link: GatewayLink) -> None:
        raise OSError("port 41002 is in use")

    app = KtuiApp(GatewayLink(), starter=starter, env=ENV)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "✗ not ready: port 41002 is in use" in screen_text(app))


async def test_a_wrong_token_is_said() -> None:
    fake = FakeGateway()
    link = GatewayLink("http://127.0.0.1:41003", Secret("wrong"), transport=fake.link()._transport)
    app = KtuiApp(link, env=ENV)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "✗ not ready: the token is wrong" in screen_text(app))


async def test_trouble_with_the_database_is_said_above_the_table() -> None:
    fake = FakeGateway()
    app = make(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 19)
        fake.status["events"]["trouble"] = "database is locked: events are in the journal, 0 lost"
        fake.push_status()
        await until(
            pilot, lambda: " ! database is locked: events are in the journal, 0 lost" in screen_text(app)
        )
        fake.status["events"]["trouble"] = None
        fake.push_status()
        await until(pilot, lambda: "database is locked" not in screen_text(app))


async def test_no_request_yet_shows_how_to_send_one() -> None:
    fake = FakeGateway()
    fake.events.clear()
    fake.series_data = False
    app = make(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "No request yet. Try:" in screen_text(app))
        assert "curl http://127.0.0.1:41002/v1/chat/completions" in screen_text(app)
        assert "no request in the last 15 min" in screen_text(app)


async def test_help_lists_the_keys_of_the_place() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "● serving" in screen_text(app))
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen) and "Keys on Live" in screen_text(app))
        assert "Follow the newest" in screen_text(app)
        await pilot.press("escape")
        assert not isinstance(app.screen, HelpScreen)


def test_every_accepted_event_is_accounted_for_in_the_help() -> None:
    counts = EventCounts(accepted=1_240, stored=1_200, spilled=37, dropped={"full": 3})
    words = "1,240 accepted = 1,200 stored + 37 in journal or memory + 3 dropped (full 3)"
    assert conservation(counts) == words


async def test_the_palette_runs_a_command_by_name() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(table(app).rows) == 19)
        await pilot.press("colon")
        await until(pilot, lambda: "Help for this place" in screen_text(app))
        await pilot.press(*"stop following")
        await until(pilot, lambda: "Help for this place" not in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: not table(app).following)


async def test_ctrl_z_and_ctrl_c_only_say_something() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "● serving" in screen_text(app))
        await pilot.press("ctrl+z")
        await until(pilot, lambda: "ktui is serving: ctrl+z would stop the requests too" in screen_text(app))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "q or ctrl+q quits" in screen_text(app))
        assert app.is_running


@pytest.mark.parametrize("key", ["q", "ctrl+q"])
async def test_the_demo_quits_at_once(key: str) -> None:
    fake = FakeGateway()
    fake.status["gateway"]["in_flight"] = 3
    app = make(fake, demo=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "● serving" in screen_text(app))
        await pilot.press(key)
        await until(pilot, lambda: not app.is_running, 2)


async def test_quitting_asks_while_requests_are_in_flight_and_y_is_deaf_at_first() -> None:
    fake = FakeGateway()
    fake.status["gateway"]["in_flight"] = 3
    app = make(fake)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: "● serving" in screen_text(app))
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.press("y")
        assert app.is_running
        await until(pilot, lambda: "3 requests are in flight" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: not isinstance(app.screen, ConfirmDialog))
        assert app.is_running
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        await pilot.pause(0.6)
        await pilot.press("y")
        await until(pilot, lambda: not app.is_running)


async def test_undo_shows_what_changes_and_restores() -> None:
    fake = FakeGateway()
    app = make(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "● serving" in screen_text(app))
        await pilot.press("U")
        await until(pilot, lambda: isinstance(app.screen, ApplyReview) and app.screen.ready)
        await until(pilot, lambda: "weight: 96" in screen_text(app))
        await pilot.pause(0.6)
        await pilot.press("y")
        await until(pilot, lambda: fake.number == 13)
        await until(pilot, lambda: "restored, runs as v13" in screen_text(app))


async def test_ascii_terminals_get_no_glyph() -> None:
    app = make(FakeGateway(), env=ENV | {"LANG": "POSIX.ISO-8859-1"})
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "gpt-4-turbo" in screen_text(app) and "2.31 s" in screen_text(app))
        assert screen_text(app).isascii()
        for key in ("question_mark", "enter", "U", "colon"):
            await pilot.press(key)
            await pilot.pause(0.2)
            assert screen_text(app).isascii(), key
            await pilot.press("escape")


class Recording(HeadlessDriver):
    """Counts what would go to a terminal."""

    written: int = 0

    @property
    def is_headless(self) -> bool:
        return False

    def write(self, data: str) -> None:
        Recording.written += len(data.encode())


async def test_an_idle_screen_sends_nothing() -> None:
    fake = FakeGateway()
    app = make(fake, driver_class=Recording)
    async with app.run_test(headless=False, size=(80, 24)) as pilot:
        await until(pilot, lambda: "2.31 s" in screen_text(app) and len(table(app).rows) == 19)
        await pilot.pause(2.5)
        before = Recording.written
        assert before > 0
        await pilot.pause(2.5)
        assert Recording.written == before


async def test_a_busy_screen_stays_in_its_budget() -> None:
    fake = FakeGateway()
    app = make(fake, driver_class=Recording)
    async with app.run_test(headless=False, size=(80, 24)) as pilot:
        await until(pilot, lambda: "2.31 s" in screen_text(app) and len(table(app).rows) == 19)
        before, seconds = Recording.written, 3
        for tick in range(seconds * 10):
            fake.add_events(10)
            if tick % 10 == 0:
                fake.status["traffic"]["requests_per_s"] = 90 + tick
                fake.push_status()
            await pilot.pause(0.1)
        rate = (Recording.written - before) / seconds
        assert 0 < rate < 20_000, rate


async def test_a_crash_shows_no_values() -> None:
    app = make(FakeGateway())
    with pytest.raises(ZeroDivisionError):
        async with app.run_test(size=(80, 24)):
            secret = "sk-very-secret"  # noqa: F841 - a local that must not be shown
            try:
                _ = 1 / 0
            except ZeroDivisionError as error:
                app._handle_exception(error)
            shown = app._exit_renderables
            console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
            for renderable in shown:
                console.print(renderable)
            said = console.export_text()
            assert "ZeroDivisionError" in said
            assert "│ secret = " not in said and "locals" not in said
