"""Numbers agree wherever they are asked: events, summary, series, `kt events stats` and plain SQL."""

from __future__ import annotations

import json
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from control_support import gateway
from test_control_kt import kt

GROUPS = ("all", "model", "target", "variant", "key", "decision", "policy", "user")


async def test_all_ways_of_asking_agree(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        await running.ask(12)
        await running.ask(3, model="no-such-model")
        events = (await control.get("/v1/events?since=1h")).json()
        whole = (await control.get("/v1/metrics/summary?group_by=all&window=2h")).json()["groups"]
        series = {
            metric: (await control.get(f"/v1/metrics/series?metric={metric}&window=30d&step=6h")).json()[
                "series"
            ]
            for metric in ("requests", "errors")
        }
        by = {
            group: (await control.get(f"/v1/metrics/summary?group_by={group}&window=30d")).json()["groups"]
            for group in GROUPS
        }
        state = ("--state-dir", running.state)
        asked = await kt(tmp_path, "events", "stats", "--format", "json", *state)
        counted = await kt(
            tmp_path, "events", "stats", "--format", "json", "--filter", "not has:quality", *state
        )
        table = await kt(tmp_path, "events", "stats", "--by", "decision", *state)
        store = running.state / "events.db"
        with sqlite3.connect(store) as connection:
            row = connection.execute(
                "SELECT count(*), sum(outcome NOT IN ('ok', 'blocked')), sum(coalesce(input_tokens, 0)), "
                "sum(coalesce(cost_nanos, 0)), sum(CASE WHEN attempts > 0 THEN "
                "CAST(latency_ms * 1000 + 0.5 AS INTEGER) ELSE 0 END) FROM events"
            ).fetchone()

    requests, errors, tokens, nanos, latency_us = row
    assert requests == 15 and tokens == 12 * 12
    assert len(events) == requests
    assert sum(event["outcome"] not in ("ok", "blocked") for event in events) == errors
    assert sum(event["input_tokens"] for event in events) == tokens
    cost = Decimal(nanos).scaleb(-9)
    assert sum(Decimal(event["cost"]) for event in events) == cost > 0
    for found in (whole, by["all"], json.loads(asked[1]), json.loads(counted[1])):
        assert len(found) == 1
        assert figures(found[0]) == (requests, errors, tokens, cost, latency_us)
    assert [line["window_value"] for line in series["requests"]] == [requests]
    assert [line["window_value"] for line in series["errors"]] == [errors]
    assert sum(value or 0 for value in series["requests"][0]["values"]) == requests
    for group in ("model", "decision"):
        assert sum(item["requests"] for item in by[group]) == requests
    assert {item["group"] for item in by["model"]} == {event["model"] for event in events}
    assert by["variant"] and by["policy"] and by["user"] and by["target"]
    assert table[0] == 0 and "allow" in table[1] and "p95 ms" in table[1]


def figures(group: dict[str, Any]) -> tuple[Any, ...]:
    return (
        group["requests"],
        group["errors"],
        group["input_tokens"],
        Decimal(group["cost"]),
        group["latency_us"],
    )


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/v1/metrics/summary?group_by=colour", "group_by"),
        ("/v1/metrics/summary?since=yesterday-ish", "since"),
        ("/v1/metrics/summary?since=1h&until=2h", "until"),
        ("/v1/metrics/series?metric=requests&window=401d", "window"),
    ],
)
async def test_what_cannot_be_asked_is_said(tmp_path: Path, path: str, where: str) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        answer = await control.get(path)
    assert answer.status_code == 400 and answer.json()["error"]["where"] == where


async def test_stats_read_the_store_when_no_gateway_answers_and_say_what_is_wrong(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        await running.ask(4)
        state = running.state
    code, out, err = await kt(tmp_path, "events", "stats", "--format", "json", "--state-dir", state)
    assert code == 0 and json.loads(out)[0]["requests"] == 4, err
    code, out, err = await kt(tmp_path, "events", "stats", "--since", "soon", "--state-dir", state)
    assert code == 2 and "--since" in err and not out
