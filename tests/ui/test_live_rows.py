"""What Live does with requests: order, columns, copies, files, the drawer and the panel beside the table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from fake_api import FakeGateway
from test_live_frame import ENV, line_of, make, screen_text, table, until
from textual.pilot import Pilot

from ktui.app import KtuiApp
from ktui.screens.column_chooser import ColumnChooser
from ktui.screens.event_drawer import EventDrawer
from ktui.screens.live import LivePane
from ktui.widgets.choice_menu import ChoiceMenu
from ktui.widgets.event_table import EventTable

LAST = "01976b2e-0000-7000-8000-000000000018"


async def ready(app: KtuiApp, pilot: Pilot[None]) -> None:
    await until(pilot, lambda: "19 in memory" in screen_text(app) and table(app).has_focus)


def with_files(fake: FakeGateway, tmp_path: Path, **kwargs: Any) -> KtuiApp:
    """Copies go to a file below `tmp_path`."""
    env = {**ENV, "TERM": "linux", "XDG_STATE_HOME": str(tmp_path)}
    return make(fake, env=env, **kwargs)


# -- order


async def test_s_sorts_what_is_loaded_and_f_goes_back_to_time() -> None:
    fake = FakeGateway()
    app = make(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("s", "s", "s", "s")
        await until(pilot, lambda: "sorted by latency, largest first: 19 loaded" in screen_text(app))
        assert "latency↑" in screen_text(app)
        view = table(app).view
        values = [view[place].latency_ms or 0.0 for place in range(len(view))]
        assert values == sorted(values, reverse=True)
        assert table(app).current is view[0]
        fake.add_events(3)
        await until(pilot, lambda: "+3 new" in screen_text(app))
        assert len(table(app).view) == 19, "the picture stands"
        await pilot.press("r")
        await until(pilot, lambda: "latency, smallest first: 22 loaded" in screen_text(app))
        await pilot.press("f")
        await until(pilot, lambda: "following · 22 in memory" in screen_text(app))
        assert table(app).view is table(app).rows and "time ↓" in screen_text(app)


async def test_a_click_on_a_title_sorts_a_second_one_turns_round_and_esc_ends_it() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        row = next(y for y in range(40) if "variant     latency" in line_of(app, y))
        offset = (line_of(app, row).index(" cost ") + 2, 0)
        await pilot.click(EventTable, offset=offset)
        await until(pilot, lambda: "sorted by cost, largest first" in screen_text(app))
        await pilot.click(EventTable, offset=offset)
        await until(pilot, lambda: "sorted by cost, smallest first" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "time ↓" in screen_text(app))
        assert not table(app).is_sorted and not table(app).following


# -- columns


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_chosen_columns_are_seen_at_once_and_remembered(tmp_path: Path, size: tuple[int, int]) -> None:
    settings = tmp_path / "settings.yaml"
    app = make(FakeGateway(), settings=settings)
    async with app.run_test(size=size) as pilot:
        await ready(app, pilot)
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, ColumnChooser) and "✓ time" in screen_text(app))
        await pilot.press("j", "j", "space", "G", "k", "k", "k", "space")
        for _ in range(len(table(app).columns.columns) + 4):
            await pilot.press("less_than_sign")
        names = [column.name for column in table(app).columns.columns]
        assert names[0] == "attempts" and "model" not in names
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, ColumnChooser))
        assert "tries  time" in screen_text(app)
    kept = yaml.safe_load(settings.read_text())["columns"]
    assert kept[:3] == ["attempts", "time", "status"] and "model" not in kept
    again = make(FakeGateway(), settings=settings)
    async with again.run_test(size=size) as pilot:
        await until(pilot, lambda: "tries  time" in screen_text(again))


async def test_what_does_not_fit_is_named_and_defaults_and_undo_work() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(80, 24)) as pilot:
        await ready(app, pilot)
        await pilot.press("o")
        await until(pilot, lambda: "no room for ttft, in, decision: a wider" in screen_text(app))
        await pilot.press("space")
        await until(pilot, lambda: "time" not in [c.name for c in table(app).columns.columns])
        await pilot.press("u")
        await until(pilot, lambda: table(app).columns.columns[0].name == "time")
        await pilot.press("space", "r", "escape")
        await until(pilot, lambda: not isinstance(app.screen, ColumnChooser))
        assert app.state.settings.now.columns == ()


async def test_a_broken_settings_file_is_told_and_left_alone(tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("columns: [time")
    app = make(FakeGateway(), settings=settings)
    async with app.run_test(size=(160, 40)) as pilot:
        await until(pilot, lambda: "not valid YAML" in screen_text(app))
    assert settings.read_text() == "columns: [time"


# -- copies


async def test_each_form_is_copied_and_the_way_is_told(tmp_path: Path) -> None:
    app = with_files(FakeGateway(), tmp_path)
    path = tmp_path / "ktui" / "copied.txt"
    parts = {
        "1": LAST,
        "2": '"requested_model"',
        "3": "curl -N http://127.0.0.1:41002",
        "4": "1.47 s",
        "5": "| time |",
    }
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(app, pilot)
        for key, part in parts.items():
            path.unlink(missing_ok=True)
            await pilot.press("y")
            await until(pilot, lambda: isinstance(app.screen, ChoiceMenu))
            await pilot.press(key)
            await until(pilot, lambda: path.exists() and "wrote" in screen_text(app))
            assert part in path.read_text(encoding="utf-8")


async def test_without_a_request_the_first_one_is_copied(tmp_path: Path) -> None:
    fake = FakeGateway()
    fake.events.clear()
    app = with_files(fake, tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "No request yet" in screen_text(app) and table(app).has_focus)
        await pilot.press("y")
        path = tmp_path / "ktui" / "copied.txt"
        await until(pilot, path.exists)
        assert '"content": "hello"' in path.read_text()


async def test_marked_requests_are_copied_together(tmp_path: Path) -> None:
    app = with_files(FakeGateway(), tmp_path)
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("m", "k", "k", "m", "y")
        await until(pilot, lambda: "Copy 2 marked requests" in screen_text(app))
        await pilot.press("2")
        path = tmp_path / "ktui" / "copied.txt"
        await until(pilot, path.exists)
        assert [item["seq"] for item in json.loads(path.read_text())] == [17, 19]


# -- files


async def test_w_writes_what_the_filter_finds_under_a_new_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.jsonl").write_text("")
    app = make(FakeGateway())
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await ready(app, pilot)
        app.query_one(LivePane).events.set_filter("variant:variant-b")
        await until(pilot, lambda: "3 of " in screen_text(app))
        await pilot.press("w")
        await until(pilot, lambda: "all stored requests that match variant:variant-b" in screen_text(app))
        await pilot.press("ctrl+u", *"there.jsonl", "enter")
        await until(pilot, lambda: "never overwritten" in screen_text(app))
        await pilot.press("ctrl+u", *"found.jsonl", "enter")
        path = tmp_path / "found.jsonl"
        await until(pilot, lambda: path.exists() and "written, " in screen_text(app))
    rows = [json.loads(item) for item in path.read_text().splitlines()]
    assert [row["metadata"]["ab_tag"] for row in rows] == ["variant-b"] * 3
    assert [row["seq"] for row in rows] == sorted(row["seq"] for row in rows)


# -- one request


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_the_drawer_goes_from_request_to_request(size: tuple[int, int]) -> None:
    app = make(FakeGateway())
    async with app.run_test(size=size) as pilot:
        await ready(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "Request 01976b2e-0000-7000-8000-000000000018" in screen_text(app))
        await until(pilot, lambda: "first token" in screen_text(app) and "389 ms" in screen_text(app))
        await pilot.press("N")
        await until(pilot, lambda: "Request 01976b2e-0000-7000-8000-000000000017" in screen_text(app))
        await pilot.press("n")
        await until(pilot, lambda: "Request 01976b2e-0000-7000-8000-000000000018" in screen_text(app))
        await pilot.press("G")
        await until(pilot, lambda: "Bodies ─" in screen_text(app) and "/body" in screen_text(app))
        await pilot.press("escape")
        assert not isinstance(app.screen, EventDrawer)


async def test_e_in_the_drawer_goes_to_the_line_that_decided() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await ready(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, EventDrawer))
        await pilot.press("e")
        await until(pilot, lambda: app.pane().place == "policy" and not isinstance(app.screen, EventDrawer))


async def test_on_a_wide_screen_it_stands_beside_the_table_and_follows_the_cursor() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(170, 45)) as pilot:
        await ready(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "Request 01976b2e-0000-7000-8000-000000000018" in screen_text(app))
        assert not isinstance(app.screen, EventDrawer) and table(app).has_focus
        await pilot.press("k")
        await until(pilot, lambda: "Request 01976b2e-0000-7000-8000-000000000017" in screen_text(app))
        await pilot.press("escape")
        await until(pilot, lambda: "Request 0197" not in screen_text(app))
        assert table(app).has_focus


async def test_nothing_in_the_drawer_is_acted_on_by_the_terminal() -> None:
    fake = FakeGateway()
    evil = "x\x1b]52;c;QQ==\x07\u202e"
    fake.events[-1] |= {
        "target": evil, "upstream_model": evil, "price_source": evil, "finish_reason": evil, "error_message": evil, "key": evil,
        "policies_triggered": [evil], "feedback": [{"score": 0.5, "label": evil, "comment": evil, "who": evil, "given": evil}],
    }  # fmt: skip
    fake.events[-1]["metadata"] |= {"request": {evil: evil}, "dropped_params": [evil], "unit_digest": evil}
    app = make(fake)
    async with app.run_test(size=(120, 60)) as pilot:
        await ready(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: "Feedback ─" in screen_text(app) and "/body" in screen_text(app))
        assert not set("\x1b\x07\u202e") & set(screen_text(app))
