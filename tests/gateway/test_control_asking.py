"""Every documented field is asked for over the API, and what was written to break a database breaks nothing."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from control_support import until
from injections import CLASSIC, SAID_BY_SQL, fingerprint, without_echo

from proxy.base.times import now_ms
from proxy.control.event_routes import LIST_PARAMETERS, STREAM_PARAMETERS
from proxy.control.search_routes import SEARCH_PARAMETERS
from proxy.events.event import Bodies, Body, Event
from proxy.events.sqlite_store import SqliteEventStore
from proxy.policy.assignment import unit_digest
from proxy.service.replay_service import Archive, ReplayService

PLAIN = Event(
    id="fe000000-0000-7000-8000-000000000000", timestamp_ms=1_700_000_000_000, endpoint="chat", requested_model="o3",
    model="o3", decision="allow", status=200, outcome="ok", latency_ms=1.0, usage_status="none", cost_status="none",
)  # fmt: skip
# All that the examples of docs/filter.md ask for at once.
RICH = Event(
    id="01976b2e-0000-7000-8000-000000000000", timestamp_ms=now_ms(), endpoint="embeddings", requested_model="gpt-4o",
    model="gpt-4o", decision="block", status=503, outcome="truncated", latency_ms=3_000.0, stream=True, error="timeout",
    error_message="too slow", ttft_ms=700.0, overhead_us=6_000, provider="anthropic", target="azure-west",
    upstream_model="gpt-4o-2024-08-06", input_tokens=9_000, output_tokens=1_000, cached_tokens=1, reasoning_tokens=2_001,
    usage_status="unknown", cost_nanos=10_000_000, cost_status="unpriced", price_source="file", finish_reason="length",
    policies_triggered=["ab-test-models"], severity="critical", split="ab-test-models", ab_tag="variant-b",
    phase="canary", unit_kind="random", unit_digest="0" * 32, config_version="3fa9c1e" + "0" * 57, attempts=2,
    key="team-search", quality_score=0.5, facts={"units": {"user": unit_digest("user", "u-20917")}},
    request_metadata={"team": "blue"}, trace="4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    bodies=Bodies(Body(b"{}", 2), None),
)  # fmt: skip
ROW = re.compile(r"\| (?P<names>`.+?`) \| (?P<kind>\w+) \| .* \| `(?P<example>.+)` \|\Z")
GUIDE = Path(__file__).parents[2] / "docs" / "filter.md"


def rows_of_the_guide() -> Iterator[tuple[list[str], str, str]]:
    """(names, kind, example) of every field in the guide."""
    for line in GUIDE.read_text().splitlines():
        found = ROW.match(line)
        if found is not None:
            yield re.findall(r"`([^`]+)`", found["names"]), found["kind"], found["example"]


def documented() -> Iterator[tuple[str, str]]:
    """(name, example) of every field in the guide, by each of its names."""
    for names, _, example in rows_of_the_guide():
        known = max((name for name in names if example.startswith(name)), key=len)
        yield from ((name, name + example.removeprefix(known)) for name in names)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("asked")

    async def fill() -> None:
        store = SqliteEventStore(place / "events.db", place / "journal")
        await store.start()
        # Copies: the store takes the bodies off what it is given.
        store.append(replace(PLAIN))
        store.append(replace(RICH))
        await until(lambda: store.counters().stored == 2)
        await store.close()

    asyncio.run(fill())
    return place


@pytest.fixture
async def control(directory: Path) -> AsyncIterator[httpx.AsyncClient]:
    service = ReplayService(Archive(directory, directory / "versions", "asked"), {})
    base = await service.start()
    head = {"Authorization": f"Bearer {service.token.reveal()}"}
    async with httpx.AsyncClient(base_url=base, headers=head, timeout=20) as client:
        yield client
    await service.stop()


async def ids(control: httpx.AsyncClient, text: str) -> tuple[list[str], list[str]]:
    """What the list and a search find."""
    params = {"filter": text}
    listed = await control.get("/v1/events", params=params)
    searched = await control.get("/v1/events/search", params=params)
    assert (listed.status_code, searched.status_code) == (200, 200), (text, listed.text, searched.text)
    rows = [line[6:] for line in searched.text.splitlines() if line.startswith("data: [")]
    found = [event["id"] for row in rows for event in json.loads(row)]
    return [event["id"] for event in listed.json()], found


def test_the_guide_is_read() -> None:
    names = [name for name, _ in documented()]
    assert len(names) > 45 and {"model", "ab_tag", "latency_ms", "request_id"} <= set(names)


@pytest.mark.parametrize(
    ("name", "example"),
    [*documented(), ("body", "has:body"), ("free text", "TOO"), ("metadata", "metadata.team:blue")],
)
async def test_every_documented_field_can_be_asked_for(
    control: httpx.AsyncClient, name: str, example: str
) -> None:
    assert await ids(control, example) == ([RICH.id], [RICH.id])
    assert await ids(control, f"not ({example})") == ([PLAIN.id], [PLAIN.id])


# What a payload may well mean by itself is asked beside a model that there is not.
AROUND = ("{}", "{}:x", 'model:"{}"', "model:{}", "model:nothing (not model:{})", "model:nothing (latency>{})", "has:{}", "metadata.{}:x", "metadata.a:{}",
          "policy:{}", "user:{}", "model:nothing (version:{})", "model:nothing (id:{})", "model:nothing (time>={})", "model:nothing (status:{})", "({}")  # fmt: skip


async def answered(control: httpx.AsyncClient, path: str, params: dict[str, str]) -> tuple[int, str]:
    """Status and body; of a tail, which has no end, the beginning."""
    async with control.stream("GET", path, params=params) as answer:
        if answer.status_code == 200 and path.endswith("/stream"):
            return 200, await anext(answer.aiter_text())
        return answer.status_code, (await answer.aread()).decode()


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/v1/events", LIST_PARAMETERS),
        ("/v1/events/search", SEARCH_PARAMETERS),
        ("/v1/events/stream", STREAM_PARAMETERS),
        ("/v1/metrics/summary", ("window", "since", "until")),
        ("/v1/metrics/series", ("metric", "group_by", "step", "window", "since", "until")),
        ("/v1/cost", ("window", "group_by")),
    ],
)
async def test_classic_injections_do_nothing(
    control: httpx.AsyncClient, directory: Path, path: str, names: tuple[str, ...]
) -> None:
    before = fingerprint(directory)
    wrong = []
    for name in (*names, "nosuch"):
        for payload in CLASSIC:
            status, text = await answered(control, path, {name: payload})
            rows = path == "/v1/events" and status == 200 and text != "[]\n"
            if rows or SAID_BY_SQL.search(without_echo(text, payload)) or status not in (200, 400):
                wrong.append((name, payload, status, text[:300]))
    assert wrong == []
    assert fingerprint(directory) == before
    assert before[0] == [("ok",)] and len(before[2]) == 2


async def test_injections_in_every_place_of_a_filter_do_nothing(
    control: httpx.AsyncClient, directory: Path
) -> None:
    before = fingerprint(directory)
    wrong = []
    for around in AROUND:
        for payload in CLASSIC:
            status, text = await answered(control, "/v1/events", {"filter": around.format(payload)})
            rows = status == 200 and text != "[]\n"
            if rows or SAID_BY_SQL.search(without_echo(text, payload)) or status not in (200, 400):
                wrong.append((around, payload, status, text[:300]))
    assert wrong == []
    assert fingerprint(directory) == before


async def test_an_id_is_only_ever_an_id(control: httpx.AsyncClient) -> None:
    for payload in CLASSIC:
        for rest in ("", "/body", "/explain"):
            answer = await control.get(f"/v1/events/{quote(payload, safe='')}{rest}")
            assert answer.status_code in (400, 403, 404, 405), (payload, rest, answer.text)
            assert not SAID_BY_SQL.search(without_echo(answer.text, payload))
