"""The same requests, sent again after the apply, go where the impact said: request by request."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from control_support import Running, gateway, until, vendor

pytestmark = pytest.mark.timeout(120)

COUNT = 240
TARGETS = """providers:
  targets:
    - {{id: openai, base_url: {url}, secret_key_ref: {{env: OPENAI_API_KEY}}}}
    - {{id: anthropic, base_url: {url}, models: [claude-*], provider: openai-compatible}}
"""
RUNS = """events: {{keep_headers: [x-team]}}
policies:
  - {{name: gold, type: log, severity: warn, conditions: {{metadata: {{tier: gold}}}}}}
  - {{name: staff, type: log, conditions: {{user: staff-*}}}}
  - name: ab
    type: traffic_split
    unit: [header:x-kt-unit, user]
    variants: [{{model: gpt-4o, weight: 80, tag: a}}, {{model: claude-sonnet-4-5, weight: 20, tag: b}}]
"""
DRAFT = """policies:
  - {{name: no-mini, type: model_filter, blocked_models: ["*-mini"], conditions: {{header: {{x-team: "s*"}}}}}}
  - {{name: long, type: model_filter, preferred_model: gpt-4.1, conditions: {{max_tokens_gte: 500, stream: false}}}}
  - {{name: tools, type: model_filter, blocked_models: [claude-*], preferred_model: gpt-4o, conditions: {{has_tools: true, before: 2999-01-01}}}}
  - name: ab
    type: traffic_split
    salt: again
    conditions: {{metadata: {{tier: [gold, silver]}}, prompt_chars_lt: 40}}
    unit: user
    variants: [{{model: gpt-4o, weight: 40, tag: a}}, {{model: claude-sonnet-4-5, weight: 60, tag: b}}]
  - {{name: ops, type: log, severity: error, conditions: {{user: [staff-1, "staff-2*"], after: 2020-01-01}}}}
"""


def some_requests(seed: int) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Bodies and headers of every sort the policies tell apart."""
    random_ = random.Random(seed)
    pick = random_.choice
    for _ in range(COUNT):
        body: dict[str, Any] = {
            "model": pick(["gpt-4o", "gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"]),
            "messages": [{"role": "user", "content": "x" * pick([3, 39, 40, 90])}],
        }
        for name, values in (
            ("max_tokens", [100, 499, 500]),
            ("user", ["staff-1", "staff-2b", "u-1", "u-2", "u-3", ""]),
            ("metadata", [{"tier": "gold"}, {"tier": "silver"}, {"tier": "tin", "other": "1"}]),
            ("tools", [[{"type": "function", "function": {"name": "f"}}]]),
            ("safety_identifier", ["s-1"]),
        ):
            if random_.random() < 0.6:
                body[name] = pick(values)
        headers = {}
        if random_.random() < 0.5:
            headers["x-team"] = pick(["search", "sales", "ops"])
        if random_.random() < 0.4:
            headers["X-KT-Unit"] = pick(["one", "two", "three"])
        yield body, headers


async def send(run: Running, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """Id of each request and where it went, with the same draws every time."""
    draws = random.Random(99)
    monkeypatch.setattr("proxy.gateway.admission.make_draw", lambda: draws.getrandbits(64))
    stored = run.service.hub.store.counters().stored
    went = []
    async with httpx.AsyncClient(base_url=run.data, timeout=20) as client:
        for body, headers in some_requests(7):
            answer = await client.post("/v1/chat/completions", json=body, headers=headers)
            route = {
                "decision": answer.headers["x-kt-decision"],
                "model": answer.headers["x-kt-model"],
                "variant": answer.headers.get("x-kt-variant"),
            }
            went.append((answer.headers["x-kt-request-id"], route))
    await until(lambda: run.service.hub.store.counters().stored >= stored + COUNT)
    return went


async def test_what_the_impact_says_is_what_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with vendor() as url:
        runs, draft = (TARGETS + RUNS).format(url=url), (TARGETS + DRAFT).format(url=url)
        async with gateway(tmp_path, runs) as run, run.control() as client:
            before = await send(run, monkeypatch)
            wanted = {"text": draft, "last": COUNT, "limit": COUNT}
            told = (await client.post("/v1/policy/impact", json=wanted)).json()
            assert told["requests"] == COUNT
            assert told["cannot_tell"] == 0, told["reasons"]
            assert 0 < told["changed"] < COUNT
            assert min(told["blocked"], told["redirected"], len(told["moves"])) > 0
            expected = dict(before)
            for example in told["examples"]:
                assert expected[example["id"]] == example["from"]
                expected[example["id"]] = example["to"]

            put = await client.put("/v1/config", json={"text": draft}, headers={"If-Match": "*"})
            assert put.status_code == 200, put.text
            after = await send(run, monkeypatch)
            assert [route for _, route in after] == list(expected.values())

            back = (await client.post("/v1/policy/impact", json={"text": runs, "last": COUNT})).json()
            reasons = {item["reason"] for item in back["reasons"]}
            assert reasons == set()
            assert back["changed"] == told["changed"]


async def test_what_was_not_kept_is_not_guessed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with vendor() as url:
        runs, draft = (TARGETS + "policies: []\n").format(url=url), (TARGETS + DRAFT).format(url=url)
        async with gateway(tmp_path, runs) as run, run.control() as client:
            await send(run, monkeypatch)
            told = (
                await client.post("/v1/policy/impact", json={"text": draft, "show": {"kind": "cannot_tell"}})
            ).json()
            assert COUNT / 4 < told["cannot_tell"] < COUNT
            assert told["same"] + told["changed"] + told["cannot_tell"] == COUNT
            assert {item["reason"] for item in told["reasons"]} == {
                "depends on the header x-team, which was not recorded",
                "depends on the metadata tier, which was not recorded",
                "depends on the user, which was not recorded",
            }
            assert {example["to"]["decision"] for example in told["examples"]} == {None}


async def test_a_fallback_is_not_taken_for_a_decision(tmp_path: Path) -> None:
    async with vendor() as url:
        text = (
            "providers:\n  targets:\n"
            "    - {id: dead, base_url: http://127.0.0.1:9, provider: openai-compatible, models: [gpt-4o]}\n"
            f"    - {{id: alive, base_url: {url}, provider: openai-compatible, models: [other]}}\n"
            "  fallback_models: {gpt-4o: [other]}\n"
        )
        async with gateway(tmp_path, text) as run, run.control() as client:
            answer = (await run.ask(1))[0]
            assert answer.status_code == 200
            event_id = answer.headers["x-kt-request-id"]
            assert (await client.get(f"/v1/events/{event_id}")).json()["model"] == "other"
            told = (await client.post("/v1/policy/impact", json={"text": text})).json()
            assert (told["requests"], told["same"]) == (1, 1)
            explained = (await client.get(f"/v1/events/{event_id}/explain")).json()
            assert (explained["model"], explained["served_model"]) == ("gpt-4o", "other")
            assert "answered by the fallback other" in explained["text"]
