"""What a chart shows is chosen, read along time, and a span of it filters the list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_api import FakeGateway
from test_live_frame import line_of, make, screen_text, until

from ktui.answers import Line, Series
from ktui.chart_choice import GROUPS, MEASURES, WINDOWS, Choice, after, choice_from, step_of
from ktui.screens.live import LivePane
from ktui.state import AppState
from ktui.widgets.chart import MOST_GROUPS
from ktui.widgets.chart_lines import measured
from proxy.events.metrics import METRICS
from proxy.events.rollups.cells import DIMENSIONS

LEFT = "left-chart"


def test_every_measure_and_group_is_one_the_gateway_has() -> None:
    assert set(MEASURES) <= set(METRICS) and set(GROUPS) <= set(DIMENSIONS)


@pytest.mark.parametrize("metric", MEASURES)
def test_a_choice_is_remembered_as_text(metric: str) -> None:
    for window in WINDOWS:
        choice = Choice(metric, "model", window.name)
        assert choice_from(choice.text(), Choice("errors")) == choice
    assert choice_from("nonsense by no over ever", Choice("errors")) == Choice("errors")


def test_places_in_a_list() -> None:
    assert [after(("a", "b"), "b"), after(("a", "b"), "b", around=False)] == ["a", "b"]
    assert after(("a", "b"), "a", -1) == "b" and step_of(30.0) == "10s" and step_of(86_400) == "860s"


def test_the_largest_groups_are_drawn_and_the_rest_is_counted() -> None:
    lines = tuple(Line(f"model-{n}", None, (1.0,), 1.0, n) for n in range(MOST_GROUPS + 3))
    shown, more = measured(Series(times=(0.0,), series=lines), AppState(), "model")
    assert [entry.name for entry in shown] == [f"model-{n}" for n in range(MOST_GROUPS + 2, 2, -1)]
    assert more == 3 and len({(entry.look.glyph, entry.look.role) for entry in shown}) == MOST_GROUPS


def chart(app: Any, name: str = LEFT) -> Any:
    return app.query_one(f"#{name}")


async def test_keys_choose_measure_group_and_window_and_are_remembered(tmp_path: Path) -> None:
    fake, settings = FakeGateway(), tmp_path / "settings.yaml"
    app = make(fake, settings=settings)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Latency p95 ■" in screen_text(app))
        chart(app).focus()
        await pilot.press("b", "plus", "plus", "v")
        assert chart(app).choice == Choice("latency_p99", "all", "6 h")
        await until(pilot, lambda: "by all · 6 h" in screen_text(app))
        asked = dict(fake.series_asked[-2:][0])
        assert (asked["group_by"], asked["window"]) == ("all", "6h")
        await pilot.press(*["minus"] * 9)
        assert chart(app).choice.window == "5 min"
        assert chart(app, "right-chart").choice == Choice("cost_per_1k")
        assert app.state.settings.now.charts["left"] == "latency_p99 by all over 5 min"
    again = make(fake, settings=settings)
    async with again.run_test(size=(120, 40)):
        assert chart(again).choice == Choice("latency_p99", "all", "5 min")


async def test_a_span_is_read_chosen_and_taken_back() -> None:
    fake = FakeGateway()
    app = make(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Latency p95 ■" in screen_text(app))
        region = chart(app)
        region.focus()
        await pilot.press("h", "h", "h")
        times = region._plot.series.times
        assert region._cursor == len(times) - 3
        await pilot.press("enter", "h", "h", "enter")
        live = app.query_one(LivePane)
        low, high = live.charts.span or (0.0, 0.0)
        assert (low, high) == (times[-5], times[-3] + region._plot.series.step_s)
        await until(pilot, lambda: any("since" in asked for asked in fake.series_asked))
        await until(pilot, lambda: live.events.filter_text.startswith("time>="))
        await pilot.press("escape")
        await until(pilot, lambda: live.charts.span is None and live.events.filter_text == "")
        await pilot.press("escape")
        assert app.focused is live.table


async def test_reading_begins_where_something_was_measured() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Latency p95 ■" in screen_text(app))
        region = chart(app)
        series = region._plot.series
        emptied = [replace(line, values=(*line.values[:-2], None, None)) for line in series.series]
        region.show(replace(series, series=tuple(emptied)))
        region.focus()
        await pilot.press("h")
        assert region._cursor == len(region._plot.series.times) - 3
        assert "no data" not in line_of(app, region.region.y)


async def test_escape_forgets_one_thing_at_a_time() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Latency p95 ■" in screen_text(app))
        region = chart(app)
        region.focus()
        await pilot.press("l", "enter")
        assert (region._cursor is None, region._anchor is None) == (False, False)
        await pilot.press("escape")
        assert (region._cursor is None, region._anchor is None) == (False, True)
        await pilot.press("escape")
        assert region._cursor is None and app.focused is region


async def test_a_drag_is_a_span() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Latency p95 ■" in screen_text(app))
        live = app.query_one(LivePane)
        assert await pilot.mouse_down(f"#{LEFT} Chart", offset=(20, 5))
        await pilot.hover(f"#{LEFT} Chart", offset=(30, 5))
        await pilot.mouse_up(f"#{LEFT} Chart", offset=(30, 5))
        await until(pilot, lambda: live.charts.span is not None)


async def test_measures_by_name_in_the_palette() -> None:
    app = make(FakeGateway())
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "Latency p95 ■" in screen_text(app))
        entry = next(
            entry for entry in app.query_one(LivePane).palette_entries() if entry.title == "Chart: Error rate"
        )
        entry.run()
        assert chart(app).choice == replace(Choice("error_rate"))


async def test_without_a_split_all_requests_are_one_line() -> None:
    fake = FakeGateway()
    fake.status["splits"] = []
    app = make(fake)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "by all · 15 min" in screen_text(app))
        await until(pilot, lambda: {asked["group_by"] for asked in fake.series_asked} == {"all"})
        assert chart(app).choice.group == "variant", "what was chosen comes back with a split"
