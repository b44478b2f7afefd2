"""The list of requests over a real gateway: filter, what arrives, older pages, the oldest, a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from textual.pilot import Pilot

from ktui.app import KtuiApp
from ktui.link import GatewayLink
from ktui.screens.live_events import EventsRegion
from ktui.widgets.event_table import EventTable
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
  - {name: listed, type: model_filter, blocked_models: [gpt-4-preview]}
"""


@dataclass
class Stage:
    app: KtuiApp
    service: GatewayService
    began: int

    async def store(self, first: int, count: int) -> None:
        """Requests `first` to `first + count - 1`, one a second; every tenth failed."""
        store = self.service.hub.store
        for number in range(first, first + count):
            bad = number % 10 == 0
            store.append(
                Event(
                    id=f"{number:032x}", timestamp_ms=self.began + number * 1_000, endpoint="chat",
                    requested_model="gpt-4o", model="gpt-4o", decision="allow", status=503 if bad else 200,
                    outcome="error" if bad else "ok", latency_ms=12.5, error="timeout" if bad else None, attempts=1,
                )
            )  # fmt: skip
        while store.counters().last_seq < first + count - 1:
            await asyncio.sleep(0.01)

    @property
    def table(self) -> EventTable:
        return self.app.query_one(EventTable)

    @property
    def region(self) -> EventsRegion:
        return self.app.query_one(EventsRegion)

    @property
    def at(self) -> int:
        row = self.table.current
        return row.seq if row is not None else -1

    def seqs(self) -> list[int]:
        return [self.table.rows[i].seq for i in range(len(self.table.rows))]


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
        yield Stage(KtuiApp(link, env=ENV), service, now_ms() - 3_000_000)
    finally:
        await link.close()
        await service.stop(drain_s=0.2)


async def until(pilot: Pilot[None], condition: Callable[[], bool], seconds: float = 20.0) -> None:
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        await pilot.pause(0.05)
    assert condition()


async def test_reading_the_store_with_and_without_a_filter(stage: Stage) -> None:
    await stage.store(1, 2_000)
    async with stage.app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: len(stage.table.rows) == 500 and stage.at == 2_000)
        await pilot.press("g")
        await until(pilot, lambda: stage.at == 1)
        stage.region.go_to(datetime.fromtimestamp(stage.began / 1_000 + 1_000.5, UTC).astimezone())
        await until(pilot, lambda: stage.at == 1_001)
        seqs = stage.seqs()
        assert seqs == list(range(seqs[0], seqs[-1] + 1))
        await pilot.press("end")
        await until(pilot, lambda: stage.at == 2_000)
        stage.region.set_filter("status:503")
        search = lambda: stage.region.listing.search  # noqa: E731
        await until(pilot, lambda: (now := search()) is not None and now.complete and now.found == 200)
        assert stage.seqs() == list(range(10, 2_001, 10))
        await stage.store(2_001, 20)
        await until(pilot, lambda: stage.seqs() == list(range(10, 2_021, 10)))
        await pilot.press("backslash")
        await until(pilot, lambda: stage.at == 2_020 and len(stage.table.rows) >= 500)
        seqs = stage.seqs()
        assert seqs == list(range(seqs[0], 2_021))


async def test_a_filter_that_cannot_be_read(stage: Stage) -> None:
    await stage.store(1, 5)
    async with stage.app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: len(stage.table.rows) == 5)
        stage.region.set_filter("status:503 or latency>fast")
        await until(pilot, lambda: bool(stage.region.query_one("#filter-fault").display))
        assert stage.region.filter_text == "" and len(stage.table.rows) == 5


async def test_an_earlier_moment_has_its_own_list(stage: Stage) -> None:
    await stage.store(1, 1_200)
    async with stage.app.run_test(size=(100, 30)) as pilot:
        await until(pilot, lambda: stage.at == 1_200)
        stage.region.set_filter("status:503")
        await until(pilot, lambda: stage.seqs() == list(range(10, 1_201, 10)))
        then = datetime.fromtimestamp(stage.began / 1_000 + 300.5, UTC).astimezone()
        stage.app.show_moment(then)
        await until(pilot, lambda: stage.seqs() == list(range(10, 301, 10)))
        await pilot.press("backslash")
        await until(pilot, lambda: stage.seqs() == list(range(1, 301)) and stage.at == 300)
        await pilot.press("0")
        await until(pilot, lambda: stage.at == 1_200 and len(stage.table.rows) >= 500)
