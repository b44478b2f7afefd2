"""What the API shows of a stored event can be asked for, by every name the guide has for it, on a real gateway."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from control_support import gateway, until
from test_control_asking import GUIDE, PLAIN, RICH, documented, rows_of_the_guide
from typer.testing import CliRunner

from proxy.base.times import now_ms
from proxy.cli.main import app
from proxy.policy.assignment import unit_digest

USER = "u-20917"
SHOWN = {
    "policy": "policies_triggered", "split": "metadata.experiment", "variant": "metadata.ab_tag", "phase": "metadata.phase",
    "version": "config_version", "unit": "metadata.unit_kind", "user": "metadata.unit_digest", "latency": "latency_ms",
    "ttft": "ttft_ms", "overhead": "overhead_us", "finish": "finish_reason", "quality": "quality_score", "time": "timestamp",
}  # fmt: skip
"""Where an event's JSON has a field of the language, when it is called something else there."""


def shown(event: dict[str, Any], name: str) -> Any:
    value: Any = event
    for part in SHOWN.get(name, name).split("."):
        value = value[part]
    return value


def asking(names: list[str], kind: str, event: dict[str, Any]) -> Iterator[str]:
    """Filters that ask for exactly the value `event` shows."""
    value = shown(event, names[0])
    match kind:
        case "duration":
            written = f"{Decimal(str(value)) / (1_000 if names[0] == 'overhead' else 1)}ms"
        case "list":
            written = f'"{value[0]}"'
        case "flag" | "number" | "status" | "tokens" | "money":
            written = json.dumps(value).strip('"')
        case "time":
            written = f"{value}..2999-01-01"
        case "user":
            written = USER
        case _:
            written = json.dumps(value)
    for name in names:
        yield f"{name}:{written}"
        yield f"not {name}!={written}"


async def ids(control: httpx.AsyncClient, text: str) -> list[str]:
    answer = await control.get("/v1/events", params={"filter": text})
    assert answer.status_code == 200, (text, answer.text)
    return [event["id"] for event in answer.json()]


async def test_what_is_shown_can_be_asked_for(tmp_path: Path) -> None:
    rich = replace(
        RICH, timestamp_ms=now_ms(), unit_kind="user", unit_digest=unit_digest("user", USER), facts={},
        usage_status="reported", cost_status="priced",
    )  # fmt: skip
    # Its variant was chosen by something, but by no user.
    plain = replace(
        PLAIN, unit_kind="random", unit_digest="1" * 32, usage_status="unknown", cost_status="unpriced"
    )
    async with gateway(tmp_path) as running, running.control() as control:
        store = running.service.hub.store
        for event in (plain, rich):
            store.append(replace(event))
        await until(lambda: store.counters().stored == 2)
        event = (await control.get(f"/v1/events/{rich.id}", params={"unknown": "null"})).json()
        fields = list(rows_of_the_guide())
        wrong = []
        for names, kind, _ in fields:
            for text in asking(names, kind, event):
                if await ids(control, text) != [rich.id]:
                    wrong.append(text)
        little = (await control.get(f"/v1/events/{plain.id}", params={"unknown": "null"})).json()
        for names, kind, _ in fields:
            known = kind != "user" and shown(little, names[0]) not in (None, [])
            for name in names:
                found = await ids(control, f"has:{name}")
                if found != [rich.id] + [plain.id] * known:
                    wrong.append(f"has:{name} {found}")
        assert wrong == [] and len(fields) > 30
        for text in sentences():
            await ids(control, text)


def sentences() -> list[str]:
    """The longer examples of the guide: its indented lines, and what it writes in its list."""
    lines = GUIDE.read_text().splitlines()
    found = [line.strip() for line in lines if line.startswith("    ")]
    assert len(found) >= 3
    return found


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state directory of a gateway that has stopped."""
    place = tmp_path_factory.mktemp("fields")

    async def fill() -> None:
        async with gateway(place) as running:
            store = running.service.hub.store
            for event in (PLAIN, replace(RICH, timestamp_ms=now_ms())):
                store.append(replace(event))
            await until(lambda: store.counters().stored == 2)

    asyncio.run(fill())
    return place / "state"


@pytest.mark.parametrize("text", [*(example for _, example in list(documented())[::6]), "has:body", "metadata.team:blue", "not has:error or TOO"])  # fmt: skip
def test_kt_lists_what_the_guide_asks_for(state: Path, text: str) -> None:
    arguments = [
        "events",
        "list",
        "--since",
        "1h",
        "--format",
        "jsonl",
        "--filter",
        text,
        "--state-dir",
        str(state),
    ]
    result = CliRunner().invoke(app, arguments, env={"KT_API_URL": ""})
    assert result.exit_code == 0, result.stderr
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [RICH.id]
