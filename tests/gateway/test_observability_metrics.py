"""`/metrics` after real requests: what it says is what the events say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from control_support import Running, gateway, raw
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from proxy.events.codec import prepare
from proxy.events.journal import Journal

Sample = tuple[str, dict[str, str], float]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with gateway(tmp_path) as found:
        yield found


async def scraped(control: httpx.AsyncClient) -> list[Sample]:
    answer = await control.get("/metrics")
    assert answer.status_code == 200 and answer.headers["content-type"].startswith(
        "text/plain; version=0.0.4"
    )
    return [
        (sample.name, sample.labels, sample.value)
        for family in read_text(answer.text)
        for sample in family.samples
    ]


def total(samples: list[Sample], name: str, **labels: str) -> float:
    found = [value for key, having, value in samples if key == name and labels.items() <= having.items()]
    assert found, f"no {name} with {labels}"
    return sum(found)


def by(samples: list[Sample], name: str, *labels: str) -> Counter[tuple[str, ...]]:
    found: Counter[tuple[str, ...]] = Counter()
    for key, having, value in samples:
        if key == name:
            found[tuple(having[label] for label in labels)] += int(value)
    return found


async def test_the_counters_are_those_of_the_events(running: Running) -> None:
    await running.ask(40)
    await running.ask(3, model="no-such-model")
    async with running.control() as control:
        events: list[dict[str, Any]] = (await control.get("/v1/events?unknown=null")).json()
        samples = await scraped(control)
        status = (await control.get("/v1/status")).json()["events"]
    assert len(events) == 43 == total(samples, "ktui_requests_total") == status["stored"]
    arms = Counter((e["metadata"]["ab_tag"] or "none", e["target"] or "none", e["outcome"]) for e in events)
    assert by(samples, "ktui_requests_total", "variant", "target", "outcome") == arms
    assert len({arm for arm, _, _ in arms}) > 1, "both variants must have been met"
    went = [event for event in events if event["attempts"]]
    assert total(samples, "gen_ai_server_request_duration_seconds_count") == len(went) == 40
    assert total(samples, "gen_ai_server_request_duration_seconds_sum") == pytest.approx(
        sum(event["latency_ms"] for event in went) / 1e3
    )
    for kind in ("input", "output"):
        tokens = sum(event[f"{kind}_tokens"] for event in went)
        assert total(samples, "ktui_tokens_total", type=kind) == tokens
        assert total(samples, "gen_ai_client_token_usage_sum", gen_ai_token_type=kind) == tokens
    cost = sum(Decimal(event["cost"]) for event in went)
    assert total(samples, "ktui_cost_dollars_total", cost_status="priced") == pytest.approx(
        float(cost), rel=1e-12
    )
    assert total(samples, "ktui_request_errors_total", error="model_not_found") == 3


async def test_what_a_client_makes_up_gets_no_series_of_its_own(running: Running) -> None:
    for number in range(5):
        await running.ask(1, model=f"made-up-{number}")
    async with running.control() as control:
        samples = await scraped(control)
    assert by(samples, "ktui_requests_total", "model") == {("_OTHER",): 5}


async def test_the_gateway_itself_is_told_of(running: Running) -> None:
    await running.ask(1)
    async with running.control() as control:
        status = (await control.get("/v1/status")).json()
        samples = await scraped(control)
    counters = status["events"]
    for name in ("accepted", "stored"):
        assert total(samples, f"ktui_events_{name}_total") == counters[name] == 1
    assert total(samples, "ktui_events_spilled") == 0 == total(samples, "ktui_events_dropped_total")
    assert total(samples, "ktui_gateway_state", state="serving") == 1
    assert total(samples, "ktui_policy_info", hash=status["config"]["hash"]) == 1
    assert total(samples, "ktui_split_share", variant="variant-a") == 0.95
    for target in ("openai", "anthropic"):
        assert total(samples, "ktui_target_available", target=target) == 1
        assert total(samples, "ktui_target_breaker", target=target, state="closed") == 1
        assert total(samples, "ktui_target_breaker", target=target, state="open") == 0
    assert total(samples, "ktui_rollups_lag_events") in (0, 1)
    assert total(samples, "process_resident_memory_bytes") > 1e6


async def test_a_flood_of_refusals_is_counted_although_not_recorded(running: Running) -> None:
    async with httpx.AsyncClient(base_url=running.data) as client:
        for _ in range(30):
            await client.get("/v1/chat/completions")
    async with running.control() as control:
        samples = await scraped(control)
    assert total(samples, "ktui_refusals_unrecorded_total", error="method_not_allowed") >= 10


async def test_every_name_is_one_of_the_documents(running: Running) -> None:
    text = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
    await running.ask(2)
    async with running.control() as control:
        scraped_text = (await control.get("/metrics")).text
    names = {line.split()[2] for line in scraped_text.splitlines() if line.startswith("# TYPE ")}
    own = {name for name in names if not name.startswith("process_")}
    assert own == set(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE))


async def test_openmetrics_is_spoken_to_those_who_ask_for_it(running: Running) -> None:
    await running.ask(2)
    wanted = {"Accept": "application/openmetrics-text; version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    async with running.control() as control:
        answer = await control.get("/metrics", headers=wanted)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = {family.name: family for family in read_openmetrics(answer.text)}
    assert families["ktui_requests"].type == "counter"
    assert families["gen_ai_server_request_duration_seconds"].type == "histogram"


async def test_it_wants_the_token_and_tells_of_now(running: Running) -> None:
    host = running.api.removeprefix("http://")
    status, _ = await raw(running.api, f"GET /metrics HTTP/1.1\nHost: {host}\nConnection: close")
    assert status == 401
    async with running.control() as control:
        answer = await control.get("/metrics", headers={"x-kt-at": "2026-01-01T00:00:00Z"})
    assert answer.status_code == 400 and "now" in answer.json()["error"]["message"]


async def test_what_a_crash_left_is_counted_when_it_is_stored(tmp_path: Path) -> None:
    async with gateway(tmp_path) as first:
        await first.ask(2)
        event = await first.service.hub.store.get((await first.ask(1))[0].headers["x-kt-request-id"])
    assert event is not None
    event.id = event.id[:-4] + "beef"
    journal = Journal(tmp_path / "state" / "journal")
    journal.open()
    segment = journal.append(prepare(event)[1])
    line = segment.path.read_bytes()
    journal.close()
    segment.path.write_bytes(line)
    async with gateway(tmp_path) as second, second.control() as control:
        samples = await scraped(control)
        counters = second.service.hub.store.counters()
    assert total(samples, "ktui_requests_total") == 1 == counters.stored
