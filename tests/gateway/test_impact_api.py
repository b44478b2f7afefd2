"""Impact and explanation over the control API: what is recorded is enough, and another process does the work."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from control_support import SPLIT, Running, gateway, split_policy, until
from typer.testing import CliRunner, Result

from proxy.cli.main import app

pytestmark = pytest.mark.timeout(60)

BLOCK = """  - name: no-claude
    type: model_filter
    blocked_models: [claude-*]
"""


async def impact(run: Running, text: str, **more: Any) -> dict[str, Any]:
    async with run.control() as client:
        answer = await client.post("/v1/policy/impact", json={"text": text, **more})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def test_a_draft_is_replayed_over_what_was_recorded(tmp_path: Path) -> None:
    async with gateway(tmp_path) as run:
        await run.ask(60)
        same = await impact(run, split_policy(run.vendor))
        assert (same["requests"], same["same"], same["changed"], same["cannot_tell"]) == (60, 60, 0, 0)
        assert same["asked"] == 10_000
        assert same["cost"]["now"] == same["cost"]["draft"] != "0"
        assert run.service.hub.worker.pid not in (None, os.getpid())

        half = await impact(run, split_policy(run.vendor, 50, 50))
        assert half["changed"] == sum(move["requests"] for move in half["moves"]) > 0
        assert half["moves"][0]["from"] == {"model": "gpt-4o", "variant": "variant-a"}
        assert half["moves"][0]["to"] == {"model": "claude-sonnet-4-20250514", "variant": "variant-b"}
        assert len(half["examples"]) == half["changed"]
        assert SPLIT in half["examples"][0]["why"]


async def test_a_drill_down_lists_the_requests_behind_a_number(tmp_path: Path) -> None:
    async with gateway(tmp_path, None) as run:
        await run.ask(40)
        draft = split_policy(run.vendor, 50, 50, BLOCK)
        body = await impact(run, draft, show={"kind": "blocked"}, limit=3)
        assert body["blocked"] > 3
        assert len(body["examples"]) == 3
        assert {example["to"]["decision"] for example in body["examples"]} == {"block"}
        assert all("no-claude" in example["why"] for example in body["examples"])
        fired = {item["policy"]: item for item in body["policies"]}
        assert fired[SPLIT]["fired"] == fired[SPLIT]["would_fire"] == 40
        assert fired["no-claude"]["fired"] == 0
        assert fired["no-claude"]["would_fire"] >= body["blocked"]
        by_policy = await impact(run, draft, show={"kind": "policy", "name": "no-claude"})
        assert len(by_policy["examples"]) == fired["no-claude"]["would_fire"]


async def test_a_draft_with_errors_is_refused_like_an_apply(tmp_path: Path) -> None:
    async with gateway(tmp_path) as run, run.control() as client:
        answer = await client.post("/v1/policy/impact", json={"text": "policies: [{}]"})
        put = await client.put("/v1/config", json={"text": "policies: [{}]"}, headers={"If-Match": "*"})
        assert answer.status_code == put.status_code == 422
        assert answer.json() == put.json()


@pytest.mark.parametrize(
    ("more", "where"),
    [
        ({"last": 0}, "last"),
        ({"last": 100_001}, "last"),
        ({"last": True}, "last"),
        ({"limit": "5"}, "limit"),
        ({"since": "soon"}, "since"),
        ({"since": 5}, "since"),
        ({"show": {"kind": "all"}}, "show"),
        ({"show": {"kind": "move", "index": -1}}, "show.index"),
        ({"show": {"kind": "policy", "name": 1}}, "show.name"),
        ({"what": 1}, "what"),
        ({"text": 5}, "text"),
    ],
)
async def test_wrong_fields_are_named(tmp_path: Path, more: dict[str, Any], where: str) -> None:
    async with gateway(tmp_path) as run, run.control() as client:
        answer = await client.post("/v1/policy/impact", json={"text": "", **more})
        assert answer.status_code == 400
        assert answer.json()["error"]["where"] == where


async def test_the_worker_is_started_again_when_it_was_killed(tmp_path: Path) -> None:
    async with gateway(tmp_path) as run:
        await run.ask(3)
        text = split_policy(run.vendor)
        assert (await impact(run, text))["requests"] == 3
        worker = run.service.hub.worker
        first = worker.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await until(lambda: worker.pid is None)
        assert (await impact(run, text))["requests"] == 3
        assert worker.pid not in (None, first)


async def test_the_worker_ends_with_the_gateway(tmp_path: Path) -> None:
    async with gateway(tmp_path) as run:
        await impact(run, split_policy(run.vendor))
        pid = run.service.hub.worker.pid
        assert pid is not None
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_an_event_is_explained_under_the_version_that_ran(tmp_path: Path) -> None:
    async with gateway(tmp_path) as run, run.control() as client:
        reply = (await run.ask(1))[0]
        event_id = reply.headers["x-kt-request-id"]
        first = (await client.get(f"/v1/events/{event_id}/explain")).json()
        step = first["steps"][0]
        assert (step["policy"], step["type"], step["line"], step["outcome"]) == (
            SPLIT,
            "traffic_split",
            6,
            "matched",
        )
        assert first["version"]["number"] == 1
        assert first["cannot_tell"] == []
        chosen = [arm for arm in first["assignment"]["arms"] if arm["chosen"]]
        assert [arm["tag"] for arm in chosen] == [first["variant"]] == [reply.headers["x-kt-variant"]]
        assert chosen[0]["score"] == min(arm["score"] for arm in first["assignment"]["arms"])

        draft = "# another first line\n" + split_policy(run.vendor, 1, 99)
        put = await client.put("/v1/config", json={"text": draft}, headers={"If-Match": "*"})
        assert put.status_code == 200
        again = (await client.post("/v1/policy/explain", json={"event": event_id})).json()
        assert again == first


async def test_a_request_that_was_not_sent_is_explained(tmp_path: Path) -> None:
    async with gateway(tmp_path) as run, run.control() as client:
        request = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}
        body = {"request": request, "headers": {"X-KT-Unit": "u-1"}}
        running = (await client.post("/v1/policy/explain", json=body)).json()
        assert running["assignment"]["unit_kind"] == "header:x-kt-unit"
        assert running["version"]["number"] == 1
        draft = await client.post(
            "/v1/policy/explain", json={**body, "text": split_policy(run.vendor, 0, 100)}
        )
        assert draft.json()["variant"] == "variant-b"
        assert draft.json()["version"] is None
        for wrong, where in (
            ({}, "request"),
            ({"request": {}}, "request"),
            ({**body, "endpoint": "x"}, "endpoint"),
        ):
            answer = await client.post("/v1/policy/explain", json=wrong)
            assert answer.status_code == 400
            assert answer.json()["error"]["where"] == where
        assert (await client.get("/v1/events/none/explain")).status_code == 404


async def test_long_texts_are_checked_and_compared_in_the_worker(tmp_path: Path) -> None:
    async with gateway(tmp_path) as run, run.control() as client:
        text = split_policy(run.vendor)
        long = text + "# a comment\n" * 400
        short = (await client.post("/v1/policy/lint", json={"text": text})).json()
        assert run.service.hub.worker.pid is None
        assert (await client.post("/v1/policy/lint", json={"text": long})).json() == short
        assert run.service.hub.worker.pid is not None
        diff = (await client.post("/v1/policy/diff", json={"a": text, "b": long})).json()
        assert diff["unified"].count("\n+# a comment") == 400


async def test_kt_asks_the_gateway(tmp_path: Path) -> None:
    async with gateway(tmp_path) as run:
        event_id = (await run.ask(5))[0].headers["x-kt-request-id"]
        draft = tmp_path / "draft.yaml"
        draft.write_text(split_policy(run.vendor, 0, 100))
        arguments = ["--state-dir", str(run.state)]

        def kt(*words: str) -> Result:
            return CliRunner().invoke(app, [*words, *arguments], env={"KT_API_TOKEN": "", "KT_API_URL": ""})

        told = await asyncio.to_thread(
            kt, "policy", "simulate", "--file", str(draft), "--since", "1h", "--fail-on", "changed"
        )
        assert told.exit_code == 1
        assert "over the last 5 recorded requests" in told.output
        assert run.service.hub.worker.pid is not None
        explained = await asyncio.to_thread(kt, "events", "explain", event_id)
        assert explained.exit_code == 0
        assert f"{SPLIT} · traffic_split · line 6" in explained.output
        broken = tmp_path / "broken.yaml"
        broken.write_text("policies: 5")
        refused = await asyncio.to_thread(kt, "policy", "simulate", "--file", str(broken))
        assert refused.exit_code == 1
        assert "the draft has errors, so nothing was replayed" in refused.output
        assert f"{broken}:1:1: error[wrong-type]" in refused.output
