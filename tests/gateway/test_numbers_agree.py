"""One window, asked in five ways: the list summed by jq, `kt events stats`, cost, charts and plain SQL."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import subprocess
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from control_support import Running, gateway
from test_control_cost import put, random_event
from test_control_kt import kt

from proxy.base.times import rfc3339
from proxy.events.rollups.cells import DAY_MS, HOUR_MS

JQ = """
group_by(.model) | map({key: .[0].model, value: {
  requests: length,
  errors: map(select(.outcome != "ok" and .outcome != "blocked")) | length,
  nanos: map((.cost | tonumber) * 1e9 | round) | add,
  output: map(.output_tokens) | add
}}) | from_entries
"""
SQL = """
SELECT model, count(*), sum(outcome NOT IN ('ok', 'blocked')), sum(coalesce(cost_nanos, 0)), sum(coalesce(output_tokens, 0))
FROM events WHERE timestamp_ms >= ? AND timestamp_ms < ? GROUP BY model
"""
Figures = dict[str, tuple[int, int, int, int]]
"""By model: requests, errors, nano-dollars, output tokens."""


def nanos(dollars: str | None) -> int:
    return int(Decimal(dollars or "0").scaleb(9))


def by_jq(listed: str) -> Figures:
    """As the guide's readers do it; where there is no jq the same sums in Python."""
    if shutil.which("jq") is not None:
        done = subprocess.run(
            ["jq", JQ], input=listed, capture_output=True, text=True, check=True, timeout=30
        )
        return {
            name: (row["requests"], row["errors"], row["nanos"], row["output"])
            for name, row in json.loads(done.stdout).items()
        }
    found: Figures = {}
    for event in json.loads(listed):
        failed = event["outcome"] not in ("ok", "blocked")
        one = (1, int(failed), nanos(event["cost"]), event["output_tokens"])
        found[event["model"]] = tuple(map(sum, zip(found.get(event["model"], (0,) * 4), one, strict=True)))  # type: ignore[assignment]
    return found


async def chart(control: Any, metric: str, since: int, until: int) -> dict[str, float]:
    params = {
        "metric": metric, "group_by": "model", "step": "1h", "since": rfc3339(since), "until": rfc3339(until)
    }  # fmt: skip
    answer = (await control.get("/v1/metrics/series", params=params)).json()
    for line in answer["series"]:
        assert sum(value or 0 for value in line["values"]) == line["window_value"]
    return {line["group"]: line["window_value"] for line in answer["series"]}


@pytest.mark.timeout(90)
async def test_five_ways_to_ask_give_the_same_numbers(tmp_path: Path) -> None:
    """Also after requests got other costs, and some none."""
    dice = random.Random(11)
    async with gateway(tmp_path) as running:
        now = running.service.hub.clock_ms()
        since, until = (now - 4 * DAY_MS) // HOUR_MS * HOUR_MS, (now - DAY_MS) // HOUR_MS * HOUR_MS
        await put(running, [random_event(dice, now) for _ in range(600)])
        spent = await agreed(running, tmp_path, since, until)
        async with running.control() as control:
            done = (
                await control.post("/v1/prices/reprice", json={"all": True}, headers={"Idempotency-Key": "k"})
            ).json()
        assert done["changed"] > 200
        assert await agreed(running, tmp_path, since, until) != spent


async def agreed(running: Running, tmp_path: Path, since: int, until: int) -> int:
    """What was spent, in nano-dollars, when all five say the same."""
    async with running.control() as control:
        window = {"since": rfc3339(since), "until": rfc3339(until)}
        listed = await control.get("/v1/events", params=window)
        requests, errors = [await chart(control, name, since, until) for name in ("requests", "errors")]
        summary = (await control.get("/v1/metrics/summary", params={**window, "group_by": "model"})).json()
        moment = {"x-kt-at": window["until"]}
        cost = (await control.get("/v1/cost", params={"window": "72h"}, headers=moment)).json()
        stats = await kt(
            tmp_path, "events", "stats", "--by", "model", "--format", "json", "--since", window["since"],
            "--until", window["until"], "--state-dir", running.state,
        )  # fmt: skip
    with sqlite3.connect(running.state / "events.db") as connection:
        rows = connection.execute(SQL, (since, until)).fetchall()
    expected: Figures = {name: tuple(figures) for name, *figures in rows}  # type: ignore[misc]
    assert len(expected) == 3 and sum(row[0] for row in expected.values()) > 200
    assert by_jq(listed.text) == expected
    assert {name: (value, errors[name]) for name, value in requests.items()} == {
        name: row[:2] for name, row in expected.items()
    }
    for told in (summary["groups"], json.loads(stats[1])):
        assert {
            row["group"]: (row["requests"], row["errors"], nanos(row["cost"]), row["output_tokens"])
            for row in told
        } == expected
    assert (cost["from"] * 1_000, cost["group_by"]) == (since, "model")
    assert {
        row["group"]: (row["requests"], nanos(row["spend"]), row["output_tokens"]) for row in cost["groups"]
    } == {name: (row[0], row[2], row[3]) for name, row in expected.items()}
    return sum(row[2] for row in expected.values())
