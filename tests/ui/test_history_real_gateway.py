"""From a request to its explanation to the line, from a draft to its impact to its requests, over a real gateway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from textual.geometry import Size
from textual.pilot import Pilot

from ktui.app import KtuiApp
from ktui.link import GatewayLink
from ktui.screens.apply_review import ApplyReview, ReviewResult, review
from ktui.screens.event_drawer import EventDrawer
from ktui.screens.impact_view import ImpactRequests
from ktui.widgets.dialog import DEAF_S
from ktui.widgets.policy_editor import PolicyEditor
from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions

ENV = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
# Nothing listens on the discard port: requests fail at once, and are recorded like any other.
POLICY = """\
providers:
  targets:
    - {id: openai, base_url: http://127.0.0.1:9, secret_key_ref: {env: OPENAI_API_KEY}}
policies:
  - name: no-previews
    type: model_filter
    blocked_models: [gpt-4-preview]

  - name: ab-test-models
    type: traffic_split
    unit: user
    variants:
      - {model: gpt-4o, weight: 100, tag: variant-a}
      - {model: gpt-4o-mini, weight: 0, tag: variant-b}
"""
DRAFT = POLICY.replace("blocked_models: [gpt-4-preview]", "blocked_models: [gpt-4o]")


@dataclass
class Stage:
    app: KtuiApp
    service: GatewayService
    file: Path
    data: str

    async def ask(self, model: str, times: int, user: str = "u") -> None:
        stored = self.service.hub.store.counters().stored
        body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
        async with httpx.AsyncClient(base_url=self.data, timeout=20) as client:
            for number in range(times):
                await client.post("/v1/chat/completions", json=body | {"user": f"{user}-{number}"})
        while self.service.hub.store.counters().stored < stored + times:
            await asyncio.sleep(0.01)


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
            env={"OPENAI_API_KEY": "x"},
        )
    )
    addresses = await service.start()
    link = GatewayLink(f"http://{addresses.api}", service.token)
    try:
        yield Stage(KtuiApp(link, env=ENV), service, file, f"http://{addresses.listen}")
    finally:
        await link.close()
        await service.stop(drain_s=0.2)


def shown(app: Any) -> str:
    width, height = app.size
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(Size(width, height)))


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 15.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    assert condition(), shown(pilot.app)


async def test_an_explanation_names_policies_unit_and_line_and_leads_there(stage: Stage) -> None:
    await stage.ask("gpt-4o", 1)
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "● serving" in shown(stage.app) and "variant-a" in shown(stage.app))
        await pilot.press("x")
        await until(pilot, lambda: "under v1" in shown(stage.app) and "✓ chosen" in shown(stage.app))
        picture = shown(stage.app)
        assert "- no-previews" in picture or "✓ no-previews" in picture
        assert "✓ ab-test-models" in picture and "unit user" in picture and "digest" in picture
        await pilot.press("e")
        editor = stage.app.query_one(PolicyEditor)
        await until(pilot, lambda: editor.has_focus and editor.cursor_location[0] == 8)


async def test_the_review_replays_what_was_recorded_down_to_each_request(stage: Stage) -> None:
    await stage.ask("gpt-4o", 3)
    await stage.ask("gpt-4-preview", 2)
    results: list[ReviewResult] = []
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "● serving" in shown(stage.app) and "variant-a" in shown(stage.app))

        async def ask() -> None:
            results.append(await review(stage.app, stage.app.link, DRAFT))

        stage.app.run_worker(ask())
        await until(pilot, lambda: "last 5 requests replayed" in shown(stage.app))
        for words in (r"other route +5 ", r"blocked +3 ", r"let through +2 "):
            await until(pilot, lambda: re.search(words, shown(stage.app)) is not None)  # noqa: B023
        await pilot.press("i", "j", "j", "j", "enter")
        await until(pilot, lambda: isinstance(stage.app.screen, ImpactRequests))
        await until(pilot, lambda: shown(stage.app).count("gpt-4o → blocked") >= 3)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(stage.app.screen, EventDrawer))
        await pilot.press("escape", "escape")
        await until(pilot, lambda: isinstance(stage.app.screen, ApplyReview))
        await pilot.pause(DEAF_S)
        await pilot.press("y")
        await until(pilot, lambda: bool(results))
        assert results[0].apply and stage.file.read_text() == POLICY


async def test_history_counts_restores_and_undoes(stage: Stage) -> None:
    await stage.ask("gpt-4o", 2)
    await stage.app.link.put_config(DRAFT, if_match="*", why="no gpt-4o for now")
    await stage.ask("gpt-4o", 3)
    async with stage.app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "● serving" in shown(stage.app))
        await pilot.press("7")
        await until(pilot, lambda: "v2 against v1" in shown(stage.app))
        await until(pilot, lambda: re.search(r"v2 .* no gpt-4o for now +3 ", shown(stage.app)) is not None)
        await until(
            pilot, lambda: re.search(r"v1 .* start +the first text +2 ", shown(stage.app)) is not None
        )
        await pilot.press("j", "A")
        await until(pilot, lambda: isinstance(stage.app.screen, ApplyReview) and stage.app.screen.ready)
        await pilot.pause(DEAF_S + 0.05)
        await pilot.press("y")
        await until(pilot, lambda: stage.file.read_text() == POLICY)
        await until(pilot, lambda: "v3 against v2" in shown(stage.app))
        await pilot.press("U")
        await until(pilot, lambda: isinstance(stage.app.screen, ApplyReview) and stage.app.screen.ready)
        await until(pilot, lambda: "Undo v3: back to v2" in shown(stage.app))
        await pilot.pause(DEAF_S + 0.05)
        await pilot.press("y")
        await until(pilot, lambda: stage.file.read_text() == DRAFT)
        whys = {item.number: (item.through, item.why) for item in await stage.app.link.versions()}
        assert whys[3] == ("restore", "v1 restored") and whys[4] == ("restore", "undo of v3")
