"""Recorded requests at prices that came later: over the control API, with `kt`, with and without a gateway."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from control_support import Running, gateway, vendor
from test_control_kt import kt
from test_control_prices import UNPRICED

PRICED = UNPRICED + "prices:\n  tiny: {{input: 2, output: 10}}\n"
KEY = {"Idempotency-Key": "k"}
COST = "0.000074"
"""12 tokens in and 5 out."""


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with gateway(tmp_path) as started:
        yield started


async def test_requests_get_the_price_that_came_later(tmp_path: Path) -> None:
    async with vendor() as url, gateway(tmp_path, UNPRICED.format(url=url)) as running:
        await running.ask(3, "tiny")
        await running.ask(2, "gpt-4o")
        async with running.control() as control:
            ask: dict[str, Any] = {"since": "1h", "dry_run": True}
            told = (await control.post("/v1/prices/reprice", json=ask)).json()
            assert told == {
                "changed": 0, "before": "0", "after": "0", "unpriced": 3, "unclear": 0, "next_seq": None
            }  # fmt: skip
            new = {"text": PRICED.format(url=url)}
            assert (await control.put("/v1/config", json=new, headers={"If-Match": "*"})).status_code == 200
            told = (await control.post("/v1/prices/reprice", json=ask)).json()
            assert (told["changed"], told["before"], told["unpriced"]) == (3, "0", 0)
            assert float(told["after"]) == pytest.approx(3 * float(COST))
            listed = (await control.get("/v1/events?model=tiny")).json()
            assert {event["cost_status"] for event in listed} == {"unpriced"}, "nothing was changed yet"
            code, out, err = await kt(tmp_path, "prices", "reprice", "--state-dir", running.state)
            assert code == 2 and "say --yes" in err and "3 requests would cost" in out
            code, out, _ = await kt(tmp_path, "prices", "reprice", "--yes", "--state-dir", running.state)
            assert code == 0 and "done: 3 requests cost $0.000222 now" in out
            listed = (await control.get("/v1/events?model=tiny")).json()
            assert {(e["cost"], e["cost_status"], e["price_source"]) for e in listed} == {
                (COST, "priced", "file")
            }
            again = (await control.post("/v1/prices/reprice", json={"all": True}, headers=KEY)).json()
            assert again["changed"] == 0, "the same prices are no change"
            code, out, _ = await kt(tmp_path, "prices", "reprice", "--state-dir", running.state)
            assert code == 0 and "no request without a price would get one" in out


@pytest.mark.parametrize("group_by", ["all", "model"])
async def test_charts_follow_prices_and_scores_that_come_late(tmp_path: Path, group_by: str) -> None:
    """Those of the last hour from memory, the others from the roll-ups."""
    async with vendor() as url, gateway(tmp_path, UNPRICED.format(url=url)) as running:
        first, *_ = await running.ask(3, "tiny")
        async with running.control() as control:

            async def figure(metric: str) -> float | None:
                params = {"metric": metric, "group_by": group_by, "window": "10m", "step": "1m"}
                lines = (await control.get("/v1/metrics/series", params=params)).json()["series"]
                return lines[0]["window_value"]

            assert (await figure("unpriced"), await figure("quality")) == (3, None)
            new = {"text": PRICED.format(url=url)}
            assert (await control.put("/v1/config", json=new, headers={"If-Match": "*"})).status_code == 200
            await control.post("/v1/prices/reprice", json={}, headers=KEY)
            assert await figure("unpriced") == 0
            assert await figure("cost_per_1k") == pytest.approx(1_000 * float(COST))
            event = first.headers["x-kt-request-id"]
            for score in (0.25, 0.75):
                answer = await control.post(
                    f"/v1/events/{event}/feedback",
                    json={"score": score},
                    headers={"Idempotency-Key": f"{score}"},
                )
                assert answer.status_code == 201
            assert await figure("quality") == 0.75


async def test_without_a_gateway_a_policy_file_says_the_prices(tmp_path: Path) -> None:
    async with vendor() as url, gateway(tmp_path, UNPRICED.format(url=url)) as running:
        await running.ask(4, "tiny")
    code, _, err = await kt(tmp_path, "prices", "reprice", "--yes", "--state-dir", running.state)
    assert code == 2 and "name the policy file whose prices hold with --file" in err
    policy = tmp_path / "priced.yaml"
    policy.write_text(PRICED.format(url=url))
    where = ("--file", policy, "--state-dir", running.state, "--filter", "model:tiny")
    code, out, _ = await kt(tmp_path, "prices", "reprice", "--yes", *where)
    assert code == 0 and "done: 4 requests cost $0.000296 now" in out
    code, out, _ = await kt(
        tmp_path, "events", "stats", "--format", "json", "--since", "1h", "--state-dir", running.state
    )
    assert code == 0 and [(row["cost"], row["unpriced"]) for row in json.loads(out)] == [("0.000296", 0)]


async def test_it_is_done_once_under_a_key(running: Running) -> None:
    async with running.control() as control:
        assert (await control.post("/v1/prices/reprice", json={})).status_code == 428
        first = await control.post("/v1/prices/reprice", json={}, headers=KEY)
        again = await control.post("/v1/prices/reprice", json={}, headers=KEY)
        assert first.status_code == again.status_code == 200 and first.json() == again.json()
        other = await control.post("/v1/prices/reprice", json={"all": True}, headers=KEY)
        assert other.status_code == 409


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"sinse": "1h"}, "sinse"),
        ({"since": "tomorrow"}, "since"),
        ({"until": 5}, "until"),
        ({"all": "yes"}, "all"),
        ({"filter": "nosuch:1"}, "filter"),
        ({"after_seq": -1}, "after_seq"),
        ({"after_seq": True}, "after_seq"),
        ({"dry_run": 1}, "dry_run"),
    ],
)
async def test_what_cannot_be_meant_is_named(running: Running, body: dict[str, Any], where: str) -> None:
    async with running.control() as control:
        answer = await control.post("/v1/prices/reprice", json=body)
    assert answer.status_code == 400 and answer.json()["error"]["where"] == where
