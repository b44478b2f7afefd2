"""Charts of a span that has passed, and what is marked on their time axis, over a real gateway."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from control_support import Running, gateway, until

from proxy.base.ids import uuid7
from proxy.base.times import now_ms, rfc3339
from proxy.events.event import Event

MINUTE = 60_000
ROLLOUT = """\
    rollout:
      phase: canary
      phases:
        - {name: canary, weights: {variant-a: 95, variant-b: 5}, duration: 3d}
        - {name: expand, weights: {variant-a: 70, variant-b: 30}}
"""


def made(at_ms: int, **changes: Any) -> Event:
    event = Event(
        id=uuid7(), timestamp_ms=at_ms, endpoint="chat", requested_model="gpt-4o", model="gpt-4o", decision="allow",
        status=200, outcome="ok", latency_ms=500.0, attempts=1, provider="openai", target="openai", split="ab",
        ab_tag="a", phase="canary", output_tokens=50, input_tokens=10, usage_status="reported",
    )  # fmt: skip
    return replace(event, **changes)


async def fill(running: Running, events: list[Event]) -> None:
    store = running.service.hub.store
    before = store.counters().stored
    for event in events:
        store.append(event)
    await until(lambda: store.counters().stored >= before + len(events))


async def test_a_span_that_has_passed_and_its_phases(tmp_path: Path) -> None:
    begin = now_ms() // MINUTE * MINUTE - 300 * MINUTE
    async with gateway(tmp_path) as running, running.control() as control:
        await fill(running, [made(begin + n * MINUTE) for n in range(10)])
        await fill(running, [made(begin + n * MINUTE, phase="expand", model="o3") for n in range(10, 20)])
        params = {
            "metric": "tokens_per_s", "group_by": "model", "step": "1m",
            "since": rfc3339(begin), "until": rfc3339(begin + 15 * MINUTE),
        }  # fmt: skip
        chart = (await control.get("/v1/metrics/series", params=params)).json()
        assert (chart["from"], chart["to"]) == (begin / 1_000, begin / 1_000 + 900)
        lines = {line["group"]: line for line in chart["series"]}
        assert lines["gpt-4o"]["values"][:11] == [50 / 60] * 10 + [None]
        assert lines["o3"]["values"][9:15] == [None] + [50 / 60] * 5
        assert lines["o3"]["window_value"] == 250 / 900
        assert chart["markers"] == [{"time": begin / 1_000 + 600, "label": "expand"}]
        speed = (await control.get("/v1/metrics/series", params={**params, "metric": "output_speed"})).json()
        assert {line["window_value"] for line in speed["series"]} == {100.0}


async def test_versions_and_the_phase_one_begins_are_marked(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        text = running.policy.read_text() + ROLLOUT
        for body in (
            text,
            text.replace("phase: canary", "phase: expand").replace("weight: 95", "weight: 70"),
        ):
            answer = await control.put("/v1/config", json={"text": body}, headers={"If-Match": "*"})
            assert answer.status_code == 200, answer.text
        await running.ask(1)
        short = (await control.get("/v1/metrics/series", params={"metric": "requests"})).json()
        assert [marker["label"] for marker in short["markers"]] == ["v2 canary", "v3 expand"]
        long = (await control.get("/v1/metrics/series", params={"metric": "requests", "window": "7d"})).json()
        assert [marker["label"] for marker in long["markers"]] == ["v1", "v2", "v3"]


async def test_a_bad_span_is_said(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        params = {"metric": "requests", "since": "1h", "until": "2h"}
        answer = await control.get("/v1/metrics/series", params=params)
        assert (answer.status_code, answer.json()["error"]["where"]) == (400, "since")
