"""Bodies through the control API: who may read them, why there are none, and how they are purged."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from control_support import Running, gateway, split_policy, vendor

from proxy.control.auth import load_tokens

KEEP = "events: {bodies: {max_bytes: 60, keep: 2d}}\n"


VIEWER = "kt-viewer-0123456789"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    load_tokens(state, None)
    listed = json.loads((state / "tokens.json").read_text())
    listed["tokens"].append({"name": "wall", "role": "viewer", "token": VIEWER})
    (state / "tokens.json").write_text(json.dumps(listed))
    async with vendor() as url, gateway(tmp_path, split_policy(url, more=KEEP)) as found:
        yield found


async def asked(running: Running) -> str:
    """The id of a request whose event is stored."""
    answer = (await running.ask(1))[0]
    return str(answer.headers["x-kt-request-id"])


async def test_the_bodies_of_one_request(running: Running) -> None:
    async with running.control() as control:
        found = (await control.get(f"/v1/events/{await asked(running)}/body")).json()
    assert found["request"]["text"].startswith('{"model":') and len(found["request"]["text"]) == 60
    assert found["request"]["truncated"] and found["request"]["bytes"] > 60
    assert found["response"]["content_type"] == "application/json; charset=utf-8"
    assert '"id"' in found["response"]["text"]


async def test_a_viewer_reads_events_but_no_bodies(running: Running) -> None:
    event = await asked(running)
    async with running.control(VIEWER) as viewer:
        assert (await viewer.get(f"/v1/events/{event}")).status_code == 200
        answer = await viewer.get(f"/v1/events/{event}/body")
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "operators_only")
        purge = await viewer.post(
            "/v1/events/purge", json={"what": "bodies"}, headers={"Idempotency-Key": "k"}
        )
        assert purge.status_code == 403


async def test_a_purge_is_counted_first_and_done_once(running: Running) -> None:
    async with running.control() as control:
        event = await asked(running)
        ask: dict[str, Any] = {"what": "bodies", "filter": "status:200"}
        counted = (await control.post("/v1/events/purge", json={**ask, "dry_run": True})).json()
        assert counted == {"events": 1, "bodies": 1, "more": False, "traces": False}
        assert (await control.get(f"/v1/events/{event}/body")).status_code == 200
        assert (await control.post("/v1/events/purge", json=ask)).status_code == 428
        key = {"Idempotency-Key": "one"}
        done = await control.post("/v1/events/purge", json=ask, headers=key)
        assert done.json() == {"events": 0, "bodies": 1, "more": False, "traces": False}
        answer = await control.get(f"/v1/events/{event}/body")
        assert answer.status_code == 404 and "were purged on " in answer.json()["error"]["message"]
        assert (await control.get(f"/v1/events/{event}")).status_code == 200
        later = await asked(running)
        again = await control.post("/v1/events/purge", json=ask, headers=key)
        assert again.json() == done.json(), "the same key is the same purge: what came since stays"
        assert (await control.get(f"/v1/events/{later}/body")).status_code == 200
        other = await control.post("/v1/events/purge", json={"what": "events"}, headers=key)
        assert other.status_code == 409
        gone = await control.post(
            "/v1/events/purge", json={"what": "events"}, headers={"Idempotency-Key": "2"}
        )
        assert gone.json() == {"events": 2, "bodies": 1, "more": False, "traces": False}
        assert (await control.get("/v1/events")).json() == []
        summary = (await control.get("/v1/metrics/summary", params={"group_by": "all", "since": "1h"})).json()
        assert summary["groups"][0]["requests"] == 2, "figures of the past stay"


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, "what"),
        ({"what": "everything"}, "what"),
        ({"what": "events", "before": "yesterday-ish"}, "before"),
        ({"what": "events", "before": 7}, "before"),
        ({"what": "events", "filter": "nonsense:1"}, "filter"),
        ({"what": "events", "filter": 3}, "filter"),
        ({"what": "events", "dry_run": "yes"}, "dry_run"),
        ({"what": "events", "since": "1h"}, "since"),
    ],
)
async def test_what_a_purge_must_not_guess_at(running: Running, body: dict[str, Any], where: str) -> None:
    async with running.control() as control:
        answer = await control.post("/v1/events/purge", json=body, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 400 and answer.json()["error"]["where"] == where, json.dumps(body)


async def test_without_the_setting_the_answer_says_what_would_keep_them(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        answer = await control.get(f"/v1/events/{await asked(running)}/body")
        assert answer.status_code == 404 and "bodies: true" in answer.json()["error"]["message"]
        assert (await control.get("/v1/events/none/body")).json()["error"]["code"] == "not_found"
