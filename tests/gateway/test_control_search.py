"""Searching, pages and chosen fields of the Events API, over a real gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from control_support import Running, gateway, until

from proxy.base.ids import uuid7
from proxy.base.times import now_ms
from proxy.control import search_routes
from proxy.events.event import Event

COUNT = 230


def request_number(number: int) -> Event:
    return Event(
        id=uuid7(), timestamp_ms=now_ms() - (COUNT - number) * 1_000, endpoint="chat", requested_model="gpt-4o",
        model="gpt-4o", decision="allow", status=200, outcome="ok", latency_ms=float(number), attempts=1,
        provider="openai", target="openai", ab_tag="variant-a" if number % 2 else "variant-b", split="ab",
    )  # fmt: skip


async def fill(running: Running) -> None:
    store = running.service.hub.store
    for number in range(COUNT):
        store.append(request_number(number))
    await until(lambda: store.counters().stored >= COUNT)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with gateway(tmp_path) as started:
        await fill(started)
        yield started


@pytest.fixture
def small_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FIRST", 50), ("SMALLEST", 50), ("LARGEST", 50), ("HERE_S", 0.0)):
        monkeypatch.setattr(search_routes, name, value)


async def searched(running: Running, **params: Any) -> list[tuple[str, Any]]:
    messages: list[tuple[str, Any]] = []
    async with (
        running.control() as control,
        control.stream("GET", "/v1/events/search", params=params) as answer,
    ):
        assert answer.status_code == 200
        kind = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kind = line.removeprefix("event: ")
            elif line.startswith("data: "):
                messages.append((kind, json.loads(line.removeprefix("data: "))))
    return messages


def rows(messages: list[tuple[str, Any]]) -> list[float]:
    return [row["latency_ms"] for kind, data in messages if kind == "rows" for row in data]


@pytest.mark.usefixtures("small_stretches")
async def test_a_search_tells_what_it_finds_and_how_far_it_is(running: Running) -> None:
    messages = await searched(running, filter="latency<100ms")
    assert [kind for kind, _ in messages] == [
        "progress", "progress", "rows", "progress", "rows", "progress", "rows", "done",
    ]  # fmt: skip
    assert rows(messages) == [float(number) for number in range(99, -1, -1)]
    told = [data for kind, data in messages if kind in ("progress", "done")]
    assert [data["searched"] for data in told] == [50, 100, 150, 200, COUNT]
    assert {data["total"] for data in told} == {COUNT} and [data["found"] for data in told] == [
        0,
        0,
        20,
        70,
        100,
    ]
    assert sorted((data["reached"] for data in told), reverse=True) == [data["reached"] for data in told]
    assert told[-1]["complete"] is True and told[-1]["before_seq"] is None


@pytest.mark.usefixtures("small_stretches")
async def test_pages_of_a_search_join_without_gap_or_repeat(running: Running) -> None:
    found: list[float] = []
    params: dict[str, Any] = {"filter": "latency>=20ms and latency<220ms", "limit": 30}
    while True:
        messages = await searched(running, **params)
        found += rows(messages)
        end = messages[-1][1]
        if end["complete"]:
            break
        assert end["found"] == 30
        # What lies beyond the last row of a full page was not told, so it was not looked at.
        last = messages[-2][1][-1]
        assert (end["reached"], end["reached_seq"]) == (last["timestamp"], last["seq"])
        params["before_seq"] = end["before_seq"]
        # What comes meanwhile is newer than any page to come.
        running.service.hub.store.append(request_number(100))
    assert found == [float(number) for number in range(219, 19, -1)]


async def test_a_search_that_nothing_fits_ends(running: Running) -> None:
    messages = await searched(running, filter="latency>1h")
    assert [kind for kind, _ in messages] == ["done"] and messages[0][1]["complete"] is True
    assert messages[0][1]["searched"] == messages[0][1]["total"] == COUNT


@pytest.mark.usefixtures("small_stretches")
async def test_a_search_that_is_left_ends(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Any] = []
    gate = asyncio.Event()
    run = running.service.hub.searcher.run

    async def counted(job: Any, *arguments: Any, **more: Any) -> Any:
        looked.append(arguments)
        await gate.wait()
        return await run(job, *arguments, **more)

    monkeypatch.setattr(running.service.hub.searcher, "run", counted)
    async with running.control() as control:
        async with control.stream("GET", "/v1/events/search", params={"filter": "latency>1h"}) as answer:
            async for line in answer.aiter_lines():
                if line.startswith("event: progress"):
                    break
            await until(lambda: len(looked) == 1)
        gate.set()
        assert (await control.get("/v1/status")).status_code == 200
    assert len(looked) == 1


async def test_a_bad_filter_is_told_before_anything_is_searched(running: Running) -> None:
    async with running.control() as control:
        answer = await control.get("/v1/events/search", params={"filter": "vriant:b"})
        body = answer.json()
        assert answer.status_code == 400 and body["error"]["code"] == "bad_filter" and body["column"] == 1


# Pages and fields of the list.


async def walked(control: httpx.AsyncClient, url: str, store: Any) -> list[float]:
    found: list[float] = []
    while url:
        answer = await control.get(url)
        found += [row["latency_ms"] for row in answer.json()]
        link = answer.links.get("next")
        url = link["url"] if link else ""
        store.append(replace(request_number(1), ab_tag="late"))
    return found


async def test_links_lead_through_every_page(running: Running) -> None:
    store = running.service.hub.store
    async with running.control() as control:
        found = await walked(control, "/v1/events?tag=variant-a&limit=20&since=1h", store)
        assert found == [float(number) for number in range(COUNT - 1, 0, -2)]
        exact = await control.get("/v1/events", params={"limit": COUNT // 2, "tag": "variant-a"})
        assert len(exact.json()) == COUNT // 2 and "link" not in exact.headers
        oldest = await walked(control, "/v1/events?tag=variant-a&limit=20&order=oldest", store)
        assert oldest == [float(number) for number in range(1, COUNT, 2)]


async def test_chosen_fields(running: Running) -> None:
    async with running.control() as control:
        names = "latency_ms,metadata.ab_tag,policies_triggered"
        params = {"fields": names, "limit": 1}
        expected = {
            "latency_ms": COUNT - 1.0, "policies_triggered": [], "metadata": {"ab_tag": "variant-a"}
        }  # fmt: skip
        assert (await control.get("/v1/events", params=params)).json() == [expected]
        lines = await control.get("/v1/events", params={**params, "format": "jsonl"})
        assert json.loads(lines.text) == expected
        table = await control.get("/v1/events", params={**params, "format": "csv"})
        assert table.text == f"{names}\r\n{COUNT - 1.0},variant-a,[]\r\n"
        wrong = await control.get("/v1/events", params={"fields": "id,latncy_ms"})
        assert wrong.status_code == 400 and "did you mean latency_ms?" in wrong.json()["error"]["message"]


@pytest.mark.parametrize(("name", "value"), [("order", "up"), ("fields", ""), ("limit", "-1")])
async def test_bad_parameters_are_said(running: Running, name: str, value: str) -> None:
    async with running.control() as control:
        answer = await control.get("/v1/events", params={name: value})
        assert (answer.status_code, answer.json()["error"]["where"]) == (400, name)


async def test_a_tail_looks_at_nothing_twice(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    spans: list[tuple[int | None, int | None]] = []
    store = running.service.hub.store
    query = store.query

    def watched(asked: Any) -> Any:
        spans.append((asked.after_seq, asked.before_seq))
        return query(asked)

    monkeypatch.setattr(store, "query", watched)
    async with running.control() as control:
        params = {"filter": "model:nothing", "after_seq": 0}
        async with control.stream("GET", "/v1/events/stream", params=params) as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == ": tail"
            await until(lambda: len(spans) == 1)
            store.append(request_number(1))
            await until(lambda: len(spans) == 2)
    assert spans == [(0, COUNT + 1), (COUNT, COUNT + 2)]
