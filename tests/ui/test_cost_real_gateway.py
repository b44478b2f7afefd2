"""The Cost screen over a real gateway: what clients sent is what it says was spent."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
from aiohttp import web
from loopback import served
from textual.pilot import Pilot

from ktui.app import KtuiApp
from ktui.link import GatewayLink
from ktui.screens.cost import CostPane
from ktui.screens.live import LivePane
from ktui.screens.policy import PolicyPane
from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions

ENV = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
POLICY = """\
providers:
  targets:
    - id: vendor
      provider: openai-compatible
      base_url: {url}
      models: [big, small, free]
      pricing:
        big: {{input: 10, output: 30}}
        small: {{input: 1, output: 3}}
policies:
  - {{name: only-these, type: model_filter, allowed_models: [big, small, free]}}
"""


async def chat(request: web.Request) -> web.Response:
    body = await request.json()
    choice = {"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 1_100}
    return web.json_response(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": body["model"],
            "choices": [choice],
            "usage": usage,
        }
    )


async def until(pilot: Pilot[None], condition: object) -> None:
    assert callable(condition)
    async with asyncio.timeout(15):
        while not condition():
            await pilot.pause(0.02)


async def test_what_was_sent_is_what_was_spent(tmp_path: Path) -> None:
    vendor = web.Application()
    vendor.router.add_post("/v1/chat/completions", chat)
    async with served(vendor) as url:
        policy = tmp_path / "policy.yaml"
        policy.write_text(POLICY.format(url=url))
        options = ServiceOptions(
            policy_path=policy,
            listen="127.0.0.1:0",
            api_listen="127.0.0.1:0",
            state_dir=tmp_path / "state",
            env={},
        )
        service = GatewayService(options)
        addresses = await service.start()
        try:
            await look(service, f"http://{addresses.listen}", f"http://{addresses.api}")
        finally:
            await service.stop(drain_s=1)


async def look(service: GatewayService, data: str, api: str) -> None:
    async with httpx.AsyncClient(base_url=data, timeout=20) as client:
        for model, times in (("big", 25), ("small", 2), ("free", 3)):
            for _ in range(times):
                body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
                assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
    store = service.hub.store
    async with asyncio.timeout(10):
        while store.counters().stored < 30:
            await asyncio.sleep(0.01)
    app = KtuiApp(GatewayLink(api, service.token), env=ENV)
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("5")
        pane = app.query_one(CostPane)
        await until(pilot, lambda: pane.cost is not None and pane.advice is not None)
        assert pane.cost is not None and pane.cost.window_s == 300, "as short as the store is young"
        rows = {row.name: row for row in pane.list.items}
        # 1,000 tokens in at 10 and 100 out at 30 dollars a million are 0.013 dollars.
        assert rows["big"].measures.spend == "0.325" and rows["small"].measures.spend == "0.0026"
        assert rows["free"].measures.spend is None and rows["free"].measures.unpriced == 3
        assert rows["all"].measures.spend == "0.3276"
        finding = pane.findings.items[0]
        assert (finding.requests, finding.model, finding.to) == (25, "big", "small")
        assert (finding.cost, finding.would_cost, finding.saving_per_week) == ("0.325", "0.0325", None)
        await pilot.press("t")
        live = app.query_one(LivePane)
        # The rows of a filter come as they are found: 25 of them for the row under the cursor.
        await until(pilot, lambda: live.shown and len(live.table.rows) == 25)
        await pilot.press("5")
        pane.findings.focus()
        await pilot.press("enter")
        editor = app.query_one(PolicyPane)
        await until(pilot, lambda: editor.shown and "preferred_model: small" in editor.draft.text)
        assert service.hub.config.running is not None
        assert "preferred_model" not in service.hub.config.running.text
