"""The Events API: the guide's own curl and jq lines, formats, filters, the live tail."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from control_support import Running, gateway, messages, split_policy, until, until_answer, vendor

from proxy.base.ids import uuid7
from proxy.base.times import now_ms
from proxy.events.event import Event

BLOCK = "  - {name: no-turbo, type: model_filter, blocked_models: [gpt-4-turbo]}\n"
AB_TEST = """[.[] | select(.metadata.ab_tag != null)] |
group_by(.metadata.ab_tag) |
map({
variant: .[0].metadata.ab_tag,
count: length,
avg_latency: (map(.latency_ms) | add / length),
avg_cost: (map(.cost | tonumber) | add / length),
total_cost: (map(.cost | tonumber) | add)
})"""
BY_MODEL = """group_by(.model) | map({
model: .[0].model,
requests: length,
total_cost: (map(.cost | tonumber) | add),
avg_tokens: (map(.input_tokens + .output_tokens) | add / length)
}) | sort_by(-.total_cost)"""
tools = pytest.mark.skipif(not shutil.which("jq") or not shutil.which("curl"), reason="needs curl and jq")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with vendor() as url, gateway(tmp_path, split_policy(url, 60, 40, BLOCK)) as found:
        yield found


@pytest.fixture
async def control(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with running.control() as client:
        yield client


async def guide(running: Running, line: str) -> Any:
    """What a line of the guide prints, its host changed and nothing else."""
    line = line.replace("https://api.keeptrusts.com", running.api)
    env = {"API_TOKEN": running.token, "PATH": "/usr/bin:/bin:/usr/local/bin"}
    done = await asyncio.to_thread(
        subprocess.run, ["sh", "-c", line], capture_output=True, text=True, env=env, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@tools
async def test_the_guide_s_curl_lines_give_right_numbers(running: Running) -> None:
    answers = await running.ask(20)
    await running.ask(2, model="gpt-4-turbo")
    counts = {
        tag: sum(a.headers["x-kt-variant"] == tag for a in answers) for tag in ("variant-a", "variant-b")
    }
    head = 'curl -s -H "Authorization: Bearer $API_TOKEN" \\\n"https://api.keeptrusts.com/v1/events?since={}&format=json" | \\\n'
    ab = await guide(running, head.format("7d") + f"jq '{AB_TEST}'")
    assert {row["variant"]: row["count"] for row in ab} == counts
    assert all(row["avg_latency"] > 0 and row["total_cost"] > 0 for row in ab)
    models = await guide(running, head.format("30d") + "jq '[.[].model] | unique'")
    assert models == ["claude-sonnet-4-20250514", "gpt-4-turbo", "gpt-4o"]
    costs = await guide(running, head.format("30d") + f"jq '{BY_MODEL}'")
    by_model = {row["model"]: row for row in costs}
    assert (by_model["gpt-4-turbo"]["requests"], by_model["gpt-4-turbo"]["total_cost"]) == (2, 0)
    assert (by_model["gpt-4o"]["requests"], by_model["gpt-4o"]["avg_tokens"]) == (counts["variant-a"], 17)


async def test_the_guide_s_python_gets_its_events(running: Running) -> None:
    answers = await running.ask(12)

    def get_model_events(model: str, days: int = 7) -> Any:
        params: dict[str, Any] = {"since": f"{days}d", "model": model, "format": "json", "limit": 1000}
        headers = {"Authorization": f"Bearer {running.token}"}
        response = requests.get(f"{running.api}/v1/events", headers=headers, params=params, timeout=20)
        response.raise_for_status()
        return response.json()

    events = await asyncio.to_thread(get_model_events, "gpt-4o")
    assert len(events) == sum(answer.headers["x-kt-variant"] == "variant-a" for answer in answers)
    assert {event["model"] for event in events} == {"gpt-4o"}


async def test_the_list_is_newest_first_and_limit_keeps_the_newest(
    running: Running, control: httpx.AsyncClient
) -> None:
    answers = await running.ask(6)
    ids = [answer.headers["x-kt-request-id"] for answer in answers][::-1]
    listed = (await control.get("/v1/events")).json()
    assert [event["id"] for event in listed] == ids
    assert [event["id"] for event in (await control.get("/v1/events?limit=2")).json()] == ids[:2]
    assert (await control.get("/v1/events?limit=0")).json() == []
    seq = listed[2]["seq"]
    assert [e["id"] for e in (await control.get(f"/v1/events?before_seq={seq}")).json()] == ids[3:]
    assert [e["id"] for e in (await control.get(f"/v1/events?after_seq={seq}")).json()] == ids[:2]


async def test_filters(running: Running, control: httpx.AsyncClient) -> None:
    answers = await running.ask(12)
    await running.ask(3, model="gpt-4-turbo")
    b = [a.headers["x-kt-request-id"] for a in answers if a.headers["x-kt-variant"] == "variant-b"]

    async def ids(query: str) -> set[str]:
        answer = await control.get(f"/v1/events?{query}")
        assert answer.status_code == 200, answer.text
        return {event["id"] for event in answer.json()}

    assert await ids("tag=variant-b") == set(b)
    assert await ids("provider=anthropic") == set(b)
    assert len(await ids("decision=block")) == 3
    assert len(await ids("model=gpt-4-turbo&since=1h")) == 3
    assert await ids("since=1h&until=30m") == set()
    assert len(await ids("since=2020-01-01")) == 15
    assert len(await ids("since=2020-01-01T00:00:00%2B02:00&until=2099-01-01T00:00:00Z")) == 15
    assert await ids("model=%27%20OR%201=1--") == set()


@pytest.mark.parametrize(
    "query",
    [
        "since=yesterday", "since=", "until=zzz", "limit=-1", "limit=x", "limit=1.5",
        "limit=99999999999999999999", "limit=%C2%B2", "format=xml", "unknown=maybe", "after_seq=a", "sinc=7d",
        "model=a&model=b",
    ],
)  # fmt: skip
async def test_a_bad_parameter_is_400_and_names_it(control: httpx.AsyncClient, query: str) -> None:
    answer = await control.get(f"/v1/events?{query}")
    error = answer.json()["error"]
    assert answer.status_code == 400, answer.text
    assert error["where"] == query.partition("=")[0] and error["message"]


async def test_jsonl_and_csv_say_the_same(running: Running, control: httpx.AsyncClient) -> None:
    await running.ask(3)
    await running.ask(1, model="gpt-4-turbo")
    listed = (await control.get("/v1/events")).json()
    lines = (await control.get("/v1/events?format=jsonl")).text.splitlines()
    assert [json.loads(line) for line in lines] == listed
    answer = await control.get("/v1/events?format=csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["id"] for row in rows] == [event["id"] for event in listed]
    assert rows[0]["cost"] == "" and float(rows[1]["cost"]) == float(listed[1]["cost"]) > 0


async def test_an_empty_window_is_an_empty_answer(control: httpx.AsyncClient) -> None:
    assert (await control.get("/v1/events")).json() == []
    assert (await control.get("/v1/events?format=jsonl")).text == ""
    assert (await control.get("/v1/events?format=csv")).text.count("\n") == 1


async def test_unknown_figures_are_zero_or_null_as_asked(
    running: Running, control: httpx.AsyncClient
) -> None:
    running.service.hub.store.append(event(cost_status="unpriced", usage_status="unknown"))
    await until(lambda: running.service.hub.store.total() == 1)
    (zero,) = (await control.get("/v1/events")).json()
    (null,) = (await control.get("/v1/events?unknown=null")).json()
    assert (zero["cost"], zero["input_tokens"], zero["cost_status"]) == ("0", 0, "unpriced")
    assert (null["cost"], null["input_tokens"]) == (None, None)
    one = (await control.get(f"/v1/events/{zero['id']}?unknown=null")).json()
    assert one == {**null, "attempt_log": [], "feedback": []}


async def test_one_event_by_the_id_its_answer_carried(running: Running, control: httpx.AsyncClient) -> None:
    (answer,) = await running.ask()
    found = (await control.get(f"/v1/events/{answer.headers['x-kt-request-id']}")).json()
    assert found["metadata"]["ab_tag"] == answer.headers["x-kt-variant"]
    assert found["config_version"] == running.service.config.running.hash
    for id_ in ("nothing", "%00", "x" * 2000, "..%2f..%2fetc"):
        assert (await control.get(f"/v1/events/{id_}")).status_code == 404


def event(**changes: Any) -> Event:
    values: dict[str, Any] = {
        "id": uuid7(), "timestamp_ms": now_ms(), "endpoint": "chat", "requested_model": "m", "model": "m",
        "decision": "allow", "status": 200, "outcome": "ok", "latency_ms": 1.0, "attempts": 1,
    }  # fmt: skip
    return Event(**{**values, **changes})


async def test_a_long_list_is_whole_and_streamed(running: Running, control: httpx.AsyncClient) -> None:
    store = running.service.hub.store
    for _ in range(5_000):
        store.append(event())
    await until(lambda: store.total() == 5_000, 15)
    pieces = 0
    seqs: list[int] = []
    rest = ""
    async with control.stream("GET", "/v1/events?format=jsonl") as answer:
        assert "content-length" not in answer.headers
        async for piece in answer.aiter_text():
            pieces += 1
            *lines, rest = (rest + piece).split("\n")
            seqs += [json.loads(line)["seq"] for line in lines]
    assert seqs == list(range(5_000, 0, -1))
    assert pieces > 10


async def test_the_tail_gives_what_happens_from_now_on(running: Running, control: httpx.AsyncClient) -> None:
    await running.ask(2)
    async with control.stream("GET", "/v1/events/stream") as answer, asyncio.timeout(10):
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = messages(answer)
        asked = asyncio.create_task(running.ask(3))
        seen = [await anext(told) for _ in range(3)]
        ids = [each.headers["x-kt-request-id"] for each in await asked]
    assert [message.data["id"] for message in seen] == ids
    assert {message.kind for message in seen} == {"event"}
    assert [message.number for message in seen] == [3, 4, 5] == [message.data["seq"] for message in seen]


@pytest.mark.parametrize("way", ["header", "parameter"])
async def test_a_tail_that_broke_resumes_without_a_gap(
    running: Running, control: httpx.AsyncClient, way: str
) -> None:
    await running.ask(5)
    headers = {"Last-Event-ID": "2"} if way == "header" else {}
    query = "?after_seq=2" if way == "parameter" else ""
    async with (
        control.stream("GET", f"/v1/events/stream{query}", headers=headers) as answer,
        asyncio.timeout(10),
    ):
        told = messages(answer)
        seen = [(await anext(told)).number for _ in range(3)]
        asked = asyncio.create_task(running.ask(1))
        seen.append((await anext(told)).number)
        await asked
    assert seen == [3, 4, 5, 6]


async def test_a_tail_of_one_model_has_only_that(running: Running, control: httpx.AsyncClient) -> None:
    async with control.stream("GET", "/v1/events/stream?model=gpt-4-turbo") as answer, asyncio.timeout(10):
        told = messages(answer)
        await running.ask(3)
        await running.ask(1, model="gpt-4-turbo")
        assert (await anext(told)).data["model"] == "gpt-4-turbo"
    assert (await control.get("/v1/events/stream?limit=3")).status_code == 400
    bad = await control.get("/v1/events/stream", headers={"Last-Event-ID": "x"})
    assert bad.status_code == 400


async def test_events_come_over_the_screen_s_stream_with_status_and_config(
    running: Running, control: httpx.AsyncClient
) -> None:
    async with control.stream("GET", "/v1/stream") as answer, asyncio.timeout(15):
        told = messages(answer)
        first = await anext(told)
        assert first.kind == "status" and first.data["gateway"]["state"] == "serving"
        asked = asyncio.create_task(running.ask(4))
        seen: list[Any] = []
        async for message in told:
            if message.kind == "events":
                seen += message.data
            if len(seen) == 4:
                break
        ids = [each.headers["x-kt-request-id"] for each in await asked]
        assert [row["id"] for row in seen] == ids and [row["seq"] for row in seen] == [1, 2, 3, 4]
        running.policy.write_text(split_policy(running.vendor, 10, 90, BLOCK))
        kinds = []
        async for message in told:
            kinds.append(message.kind)
            if message.kind == "config":
                assert message.data["number"] == 2
            if message.kind == "status" and message.data["config"]["number"] == 2:
                break
        assert "config" in kinds


async def test_the_status_is_not_repeated_when_nothing_changes(
    running: Running, control: httpx.AsyncClient
) -> None:
    async with control.stream("GET", "/v1/stream") as answer:
        told = messages(answer)
        await anext(told)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                raise AssertionError(f"told again: {await anext(told)}")


async def test_readers_that_leave_are_forgotten(running: Running, control: httpx.AsyncClient) -> None:
    listeners = running.service.hub.store._listeners  # type: ignore[attr-defined]
    before = len(listeners)
    for path in ("/v1/stream", "/v1/events/stream"):
        async with control.stream("GET", path) as answer:
            await anext(answer.aiter_raw())
            assert len(listeners) > before

        async def gone() -> bool:
            return len(listeners) == before

        await until_answer(gone)


async def test_open_streams_do_not_hold_up_the_end(tmp_path: Path) -> None:
    async with (
        gateway(tmp_path) as running,
        running.control() as control,
        control.stream("GET", "/v1/stream") as one,
        control.stream("GET", "/v1/events/stream") as two,
    ):
        await anext(one.aiter_raw())
        await anext(two.aiter_raw())
        async with asyncio.timeout(4):
            await running.service.stop(drain_s=1)
