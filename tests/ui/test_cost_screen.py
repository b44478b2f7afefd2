"""Cost: what is spent as sentence, bars, table and findings; grouped, sorted, written, and led on to other screens."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from fake_api import FakeGateway
from rich.text import Text
from test_live_frame import screen_text
from textual.geometry import Region
from textual.pilot import Pilot
from textual.widgets import Static

from ktui.app import KtuiApp
from ktui.cost_chart_words import bars_of
from ktui.cost_table import SORTS
from ktui.cost_words import window_for
from ktui.policy_words import line_naming
from ktui.screens.cost import CostPane
from ktui.screens.cost_row import CostRowScreen
from ktui.screens.live import LivePane
from ktui.screens.policy import PolicyPane
from ktui.widgets.prompt import Prompt

WIDE, NARROW = (120, 40), (80, 24)


async def wait_for(pilot: Pilot[None], condition: object) -> None:
    assert callable(condition)
    for _ in range(400):
        await pilot.pause(0.02)
        if condition():
            return
    raise AssertionError("the condition did not come true in time")


async def opened(app: KtuiApp, pilot: Pilot[None]) -> CostPane:
    await pilot.press("5")
    pane = app.query_one(CostPane)
    await wait_for(pilot, lambda: pane.cost is not None and pane.advice is not None)
    await pilot.pause()
    return pane


def words(pane: CostPane, name: str) -> str:
    shown = pane.query_one(f"#cost-{name}", Static).render()
    return shown.plain if isinstance(shown, Text) else str(shown)


def row_texts(app: KtuiApp, selector: str) -> list[str]:
    shown = app.query_one(selector)
    return ["".join(s.text for s in shown.render_line(y)).rstrip() for y in range(shown.size.height)]


async def test_the_whole_screen_reads_like_the_sentence_table_and_findings() -> None:
    fake = FakeGateway()
    app = KtuiApp(fake.link())
    async with app.run_test(size=WIDE) as pilot:
        pane = await opened(app, pilot)
        sentence = words(pane, "sentence")
        assert "$5,142.39 in 7 days, plus ? 6,020 requests unpriced; 0.3 % of the sum" in sentence
        assert "June so far $7,787.12, heading for $21,600 to $22,500. Today $442.10" in sentence
        rows = row_texts(app, "#cost-rows")
        assert rows[0].split() == ["model", "requests", "spend", "↓", "share", "per", "request", "1k", "tokens", "success", "quality", "out/in", "trend"]  # fmt: skip
        assert rows[1].replace("▌", "").split()[:4] == ["gpt-4o", "1,214,880", "$5,005.31", "97.3"]
        unpriced = next(row for row in rows if "llama" in row)
        assert "unpriced" in unpriced and "unknown" in unpriced and "$" not in unpriced
        assert rows[7].split()[:3] == ["all", "1,827,468", "$5,142.39+?"] and "≥$0.00277" in rows[7]
        findings = row_texts(app, "#cost-findings")
        assert "114,200 short gpt-4o requests could go to gpt-4o-mini" in findings[1]
        assert "$441 to $472" in findings[1] and "✓ equal" in findings[1] and "≈ not yet" in findings[2]
        assert "unpriced" in words(pane, "kinds") and "11.8 % cached" in words(pane, "kinds")
        chart = row_texts(app, "#cost-chart")
        assert "█" in chart[-4] and "peak" in chart[0] and "Mon 8" in chart[-1]


async def test_a_short_screen_shows_findings_in_place_of_the_table() -> None:
    app = KtuiApp(FakeGateway().link())
    async with app.run_test(size=NARROW) as pilot:
        pane = await opened(app, pilot)
        assert words(pane, "sentence").startswith("$5,142.39 in 7 days + ? 6,020 unpriced. June $7,787.12")
        assert "3 findings for cheaper routing, up to $472 a week; v shows them" in words(pane, "best")
        assert not pane.findings.region
        await pilot.press("v")
        await wait_for(pilot, lambda: pane.findings.has_focus and bool(pane.findings.region))
        assert not pane.list.region
        assert "114,200 short gpt-4o → gpt-4o-mini" in row_texts(app, "#cost-findings")[1]
        await pilot.press("v")
        await wait_for(pilot, lambda: pane.list.has_focus and bool(pane.list.region))


async def test_grouping_window_sort_and_measure() -> None:
    fake = FakeGateway()
    app = KtuiApp(fake.link())
    async with app.run_test(size=WIDE) as pilot:
        pane = await opened(app, pilot)
        await pilot.press("s")
        assert [row.name for row in pane.list.items][:2] == ["gpt-4o", "gpt-4o-mini"]
        assert pane.list.items[-1].name == "all"
        assert "requests ↓" in row_texts(app, "#cost-rows")[0]
        await pilot.press("s")
        assert SORTS[2] == "per request" and pane.list.items[0].name == "gpt-4-turbo"
        await pilot.press("r")
        assert [row.name for row in pane.list.items][-2:] == ["llama-3.1-70b", "all"], "unknown stays last"
        for group in ("provider", "variant", "key", "user", "policy"):
            await pilot.press("b")
            await wait_for(pilot, lambda group=group: pane.cost is not None and pane.cost.group_by == group)
            if group == "variant":
                assert "ab-test-models variant-a" in {row.name for row in pane.list.items}
        assert "rows overlap" in str(pane.query("Heading").last().render()) or pane.list.items[0].overlap
        await pilot.press("plus")
        await wait_for(pilot, lambda: fake.cost.asked[-1] == ("30d", "policy"))
        await pilot.press("minus", "minus")
        await wait_for(pilot, lambda: pane.cost is not None and pane.cost.window_s == 86_400)
        await pilot.press("v", "v")
        await wait_for(pilot, lambda: "Requests per" in str(pane._chart_heading.title))


async def test_a_young_store_is_shown_in_a_short_window() -> None:
    fake = FakeGateway()
    fake.cost.first = int(fake.cost.answer("5m", "model")["calendar"]["now"]) - 1_200
    app = KtuiApp(fake.link())
    async with app.run_test(size=WIDE) as pilot:
        pane = await opened(app, pilot)
        assert pane.cost is not None and pane.cost.window_s == 3_600
        bars = bars_of(pane.cost, 0)
        assert bars.values[0] is None and bars.values[-1], "what was not recorded is not the sum 0"
        assert all(value is not None for value in bars.values[-20:])
    assert [window_for(age) for age in (0, 300, 301, 86_400, 10**9)] == [0, 0, 1, 4, 5]


async def test_traffic_leads_to_live_and_edit_to_the_policy() -> None:
    fake = FakeGateway()
    app = KtuiApp(fake.link())
    async with app.run_test(size=WIDE) as pilot:
        pane = await opened(app, pilot)
        await pilot.press("j", "t")
        live = app.query_one(LivePane)
        await wait_for(pilot, lambda: live.shown and "model:gpt-4-turbo" in live.events.filter_text)
        assert live.events.filter_text.startswith("time>=2026-06-04T14:32:07Z ")
        await pilot.press("5", "e")
        policy = app.query_one(PolicyPane)
        await wait_for(pilot, lambda: policy.shown and policy.editor.cursor_location[0] > 0)
        line = policy.editor.text.split("\n")[policy.editor.cursor_location[0]]
        assert "gpt-4-turbo" in line
        assert pane.list.current is not None and pane.list.current.name == "gpt-4-turbo"


async def test_a_finding_becomes_a_draft_and_never_overwrites_one() -> None:
    fake = FakeGateway()
    app = KtuiApp(fake.link())
    async with app.run_test(size=WIDE) as pilot:
        pane = await opened(app, pilot)
        pane.findings.focus()
        await pilot.press("enter")
        policy = app.query_one(PolicyPane)
        await wait_for(pilot, lambda: policy.shown and policy.has_draft)
        assert "name: cheaper-short-gpt-4o" in policy.draft.text
        assert not [call for call in fake.calls if call[0] == "PUT"], "nothing is applied"
        policy.editor.show_text(policy.draft.text + "# mine\n")
        await wait_for(pilot, lambda: policy.draft.text.endswith("# mine\n"))
        await pilot.press("escape", "5")
        await wait_for(pilot, lambda: pane.shown)
        pane.findings.focus()
        await pilot.press("enter")
        await wait_for(pilot, lambda: "Policy has a draft already" in screen_text(app))
        assert pane.shown and policy.draft.text.endswith("# mine\n")


async def test_a_finding_of_another_text_is_no_draft() -> None:
    """Its draft would take back what was applied meanwhile."""
    fake = FakeGateway()
    app = KtuiApp(fake.link())
    async with app.run_test(size=WIDE) as pilot:
        pane = await opened(app, pilot)
        pane.findings.focus()
        advice = pane.advice
        assert advice is not None
        pane.advice = replace(advice, version="another")
        await pilot.press("enter")
        await wait_for(pilot, lambda: pane.advice is not None and pane.advice.version != "another")
        assert pane.shown and not app.query_one(PolicyPane).has_draft


async def test_a_row_opens_and_the_table_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fake = FakeGateway()
    app = KtuiApp(fake.link())
    async with app.run_test(size=WIDE) as pilot:
        pane = await opened(app, pilot)
        await pilot.press("enter")
        await wait_for(pilot, lambda: isinstance(app.screen, CostRowScreen))
        told = app.screen.query_one(Static).render()
        assert "97.3 % of the known sum" in str(told) and "a quality point" in str(told)
        await pilot.press("escape", "G", "enter")
        await wait_for(pilot, lambda: "then kt prices reprice" in screen_text(app))
        assert "? llama-3.1-70b" in screen_text(app) and "6,020" in screen_text(app)
        await pilot.press("escape")
        for name in ("spend.csv", "spend.json"):
            await pilot.press("w")
            await wait_for(pilot, lambda: isinstance(app.screen, Prompt))
            app.screen.query_one("Input").value = name  # type: ignore[attr-defined]
            await pilot.press("enter")
            await wait_for(pilot, lambda name=name: (tmp_path / name).exists() and app.screen is pane.screen)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "spend.csv").read_text())))
    assert [row["model"] for row in rows][-2:] == ["llama-3.1-70b", "all"]
    assert rows[0]["spend"] == "5005.31" and rows[-2]["spend"] == ""
    written = json.loads((tmp_path / "spend.json").read_text())
    assert written["group_by"] == "model" and written["rows"][-2]["spend"] is None


async def test_nothing_spent_no_answer_and_frozen_are_said() -> None:
    fake = FakeGateway()
    fake.cost.empty = True
    app = KtuiApp(fake.link())
    async with app.run_test(size=WIDE) as pilot:
        pane = await opened(app, pilot)
        assert "Nothing spent in 7 days; - looks further back" in words(pane, "sentence")
        assert "nothing spent in 7 days" in row_texts(app, "#cost-rows")[0]
        fake.cost.empty = False
        await pilot.press("space")
        asked = len(fake.cost.asked)
        pane._asked_at = float("-inf")
        fake.push_status()
        await pilot.pause(0.2)
        assert len(fake.cost.asked) == asked, "a frozen picture stands still"
        assert "‖ frozen" in str(pane._heading.meta)
        await pilot.press("space")
        await wait_for(pilot, lambda: "$5,142.39" in words(pane, "sentence"))
        fake.down = True
        pane.load()
        await wait_for(pilot, lambda: "not renewed" in str(pane._heading.meta))
        assert "$5,142.39" in words(pane, "sentence"), "what is known stays"


async def test_a_hidden_screen_asks_nothing_and_a_renewal_draws_only_changed_rows() -> None:
    fake = FakeGateway()
    app = KtuiApp(fake.link())
    async with app.run_test(size=WIDE) as pilot:
        await pilot.pause(0.3)
        assert fake.cost.asked == []
        pane = await opened(app, pilot)
        drawn: list[object] = []
        refresh = pane.list.refresh
        pane.list.refresh = lambda *regions, **more: drawn.append(regions) or refresh(*regions, **more)  # type: ignore[method-assign, func-returns-value]
        before = len(fake.cost.asked)
        pane.load()
        await wait_for(pilot, lambda: len(fake.cost.asked) > before)
        await pilot.pause(0.2)
        assert drawn == [], "nothing changed"
        fake.cost.spend = "5143.00"
        pane.load()
        await wait_for(pilot, lambda: "$5,143.00" in words(pane, "sentence"))
        assert drawn == [(Region(0, 7, pane.list.size.width, 1),)], "only the row of all"


@pytest.mark.parametrize("size", [(60, 16), (80, 24), (99, 40), (100, 30), (111, 24), (120, 40), (200, 60)])
async def test_it_reads_at_every_size(size: tuple[int, int]) -> None:
    app = KtuiApp(FakeGateway().link())
    async with app.run_test(size=size) as pilot:
        pane = await opened(app, pilot)
        rows = row_texts(app, "#cost-rows")
        assert "█" in "".join(row_texts(app, "#cost-chart"))
        assert "spend ↓" in rows[0] and "$5,005.31" in rows[1]
        assert "…" not in rows[0] + rows[1] + rows[2], "columns go whole"
        assert len(rows[1]) <= pane.size.width


def test_a_name_is_found_as_a_whole_word_outside_of_comments() -> None:
    text = "# gpt-4o\n- {model: gpt-4o-mini}\n- {model: gpt-4o} # gpt-5\n"
    assert line_naming(text, "gpt-4o") == 3
    assert line_naming(text, "gpt-4o-mini") == 2
    assert line_naming(text, "gpt-5") is None
