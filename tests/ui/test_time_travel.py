"""Every screen at an earlier moment, over a real gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from textual.geometry import Size
from textual.pilot import Pilot

from ktui.app import KtuiApp
from ktui.link import GatewayLink
from ktui.screens.live import LivePane
from ktui.widgets.policy_editor import PolicyEditor
from ktui.widgets.prompt import Prompt
from proxy.base.ids import uuid7
from proxy.base.times import now_ms
from proxy.events.event import Event
from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions

ENV = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
POLICY = """\
providers:
  targets:
    - {id: openai, base_url: http://127.0.0.1:9, secret_key_ref: {env: OPENAI_API_KEY}}
policies:
  - name: ab
    type: traffic_split
    variants:
      - {model: gpt-4o, weight: 95, tag: variant-a}
      - {model: gpt-4o-mini, weight: 5, tag: variant-b}
"""


def made(minutes_ago: float, **changes: Any) -> Event:
    event = Event(
        id=uuid7(), timestamp_ms=now_ms() - int(minutes_ago * 60_000), endpoint="chat", requested_model="gpt-4o",
        model="gpt-4o", decision="allow", status=200, outcome="ok", latency_ms=700.0, attempts=1, target="openai",
        provider="openai", split="ab", ab_tag="variant-a",
    )  # fmt: skip
    return replace(event, **changes)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[GatewayService]:
    file = tmp_path / "policy.yaml"
    file.write_text(POLICY)
    service = GatewayService(
        ServiceOptions(
            policy_path=file, state_dir=tmp_path / "state", listen="127.0.0.1:0", api_listen="127.0.0.1:0",
            env={"OPENAI_API_KEY": "x"},
        )
    )  # fmt: skip
    await service.start()
    store = service.hub.store
    for event in (made(30, model="early"), made(10, model="middle"), made(0.01, model="late")):
        store.append(event)
    while store.counters().stored < 3:
        await asyncio.sleep(0.01)
    try:
        yield service
    finally:
        await service.stop(drain_s=0.2)


@pytest.fixture
async def app(service: GatewayService) -> AsyncIterator[KtuiApp]:
    link = GatewayLink(f"http://{service.info.api}", service.token)
    yield KtuiApp(link, env=ENV)
    await link.close()


def shown(app: Any) -> str:
    width, height = app.size
    return "\n".join(strip.text for strip in app.screen._compositor.render_strips(Size(width, height)))


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 15.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    assert condition(), shown(pilot.app)


def models(app: KtuiApp) -> list[str]:
    rows = app.query_one(LivePane).table.rows
    return [rows[index].model or "" for index in range(len(rows))]


async def test_the_list_goes_back_and_comes_forward(app: KtuiApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: models(app) == ["early", "middle", "late"])
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: models(app) == ["early", "middle"] and "‖ replay" in shown(app))
        assert app.state.moment is not None
        await pilot.press("left_curly_bracket")
        await until(pilot, lambda: models(app) == [])
        await pilot.press("right_curly_bracket")
        await until(pilot, lambda: models(app) == ["early", "middle"])
        await pilot.press("0")
        await until(
            pilot, lambda: models(app) == ["early", "middle", "late"] and "‖ replay" not in shown(app)
        )
        assert app.state.moment is None


async def test_a_moment_that_is_typed(app: KtuiApp) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: len(models(app)) == 3)
        await pilot.press("at")
        await until(pilot, lambda: isinstance(app.screen, Prompt))
        await pilot.press(*"yesterday", "enter")
        await until(pilot, lambda: "is no moment: write 14:02" in shown(app))
        await pilot.press(*["backspace"] * 9, *"-20m", "enter")
        await until(pilot, lambda: models(app) == ["early"])
        there = app.state.moment
        assert there is not None
        assert abs(datetime.now().astimezone() - there - timedelta(minutes=20)) < timedelta(minutes=1)
        await pilot.press("at")
        await until(pilot, lambda: isinstance(app.screen, Prompt))
        await pilot.press("escape")
        assert app.state.moment == there


async def test_what_ran_then_is_shown_and_cannot_be_changed(app: KtuiApp, service: GatewayService) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: "v1 " in shown(app))
        moment = datetime.now().astimezone()
        await until(pilot, lambda: datetime.now().astimezone() > moment + timedelta(milliseconds=5))
        await app.link.set_weights("ab", weights={"variant-a": 20, "variant-b": 80})
        await until(pilot, lambda: "v2 " in shown(app))
        app.show_moment(moment)
        await until(pilot, lambda: "v1 " in shown(app) and "95.0→" in shown(app))
        editor = app.query_one(PolicyEditor)
        await until(pilot, lambda: "weight: 95" in editor.text and editor.read_only)
        await pilot.press("3")
        # Neither its key nor its action does anything to what runs.
        await pilot.press("A", "U")
        await pilot.pause()
        assert len(app.screen_stack) == 1
        running = service.config.running
        assert running is not None and running.number == 2
        await pilot.press("0")
        await until(
            pilot, lambda: "v2 " in shown(app) and "weight: 20" in editor.text and not editor.read_only
        )
