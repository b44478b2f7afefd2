"""The filter language over the Events API, the tail and `kt events`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from control_support import Running, gateway, messages
from typer.testing import CliRunner

from proxy.cli.main import app


async def listed(control: httpx.AsyncClient, text: str) -> list[dict[str, Any]]:
    answer = await control.get("/v1/events", params={"filter": text})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def test_lists_and_their_complements(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        await running.ask(20)
        await running.ask(3, model="no-such-model")
        assert len(await listed(control, "")) == 23
        failed = await listed(control, "status:4xx has:error")
        assert {event["status"] for event in failed} == {404} and len(failed) == 3
        for text in ("variant:b", "latency>5ms", "user:u-7", "cost>0.0000796", "-1h..", "output_tokens:5"):
            some, rest = await listed(control, text), await listed(control, f"not ({text})")
            assert len(some) + len(rest) == 23, text
        assert [event["metadata"]["unit_kind"] for event in await listed(control, "user:u-7")] == ["user"]


async def test_what_cannot_be_read_is_refused_with_its_place(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        answer = await control.get("/v1/events", params={"filter": "status:5xx latncy>1s"})
        assert answer.status_code == 400
        body = answer.json()
        assert body["error"]["where"] == "filter" and "did you mean latency?" in body["error"]["message"]
        assert (body["column"], body["end_column"]) == (12, 18)
        fields = (await control.get("/v1/events/fields")).json()["fields"]
        assert {"name": "decision", "values": ["allow", "redirect", "warn", "block"]}.items() <= next(
            field for field in fields if field["name"] == "decision"
        ).items()


async def test_a_tail_shows_only_what_is_asked_for(tmp_path: Path) -> None:
    async with (
        gateway(tmp_path) as running,
        running.control() as control,
        control.stream("GET", "/v1/events/stream", params={"filter": "status:404"}) as answer,
    ):
        asking = asyncio.create_task(ask_both(running))
        async for message in messages(answer):
            assert message.data["status"] == 404
            break
        await asking


async def ask_both(running: Running) -> None:
    await running.ask(2)
    await running.ask(1, model="no-such-model")


@pytest.mark.parametrize("live", [True, False])
async def test_kt_events_list_with_a_filter(tmp_path: Path, live: bool) -> None:
    async with gateway(tmp_path) as running:
        await running.ask(4)
        await running.ask(1, model="no-such-model")
        arguments = [
            "events",
            "list",
            "--format",
            "jsonl",
            "--filter",
            "status:404",
            "--state-dir",
            str(running.state),
        ]
        if live:
            result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env={"KT_API_URL": ""})
    if not live:
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env={"KT_API_URL": ""})
    assert result.exit_code == 0, result.stderr
    assert [json.loads(line)["status"] for line in result.stdout.splitlines()] == [404]


def test_kt_points_at_what_it_cannot_read() -> None:
    result = CliRunner().invoke(app, ["events", "list", "--filter", "model:x latncy>1s"])
    assert result.exit_code == 2
    assert result.stderr.splitlines()[1:] == ["  model:x latncy>1s", "          ^^^^^^"]


def test_kt_lists_the_fields() -> None:
    result = CliRunner().invoke(app, ["events", "fields"])
    assert result.exit_code == 0 and "latency>2s" in result.stdout
