"""Feedback over the API: kept once, shown with its event, its score the event's own."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import pytest
from control_support import Running, gateway, until_answer

from proxy.events import feedback_queue


async def give(control: httpx.AsyncClient, event: str, key: str, **said: Any) -> httpx.Response:
    return await control.post(f"/v1/events/{event}/feedback", json=said, headers={"Idempotency-Key": key})


async def an_event(running: Running) -> str:
    return str((await running.ask())[0].headers["x-kt-request-id"])


async def test_it_is_shown_with_its_event_and_the_newest_score_is_the_events(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        event = await an_event(running)
        assert (await control.get(f"/v1/events/{event}")).json()["feedback"] == []
        first = await give(control, event, "a", score=0.25, label="wrong", comment="no\nsource 🙂")
        assert first.status_code == 201 and first.json()["who"]
        assert (await give(control, event, "b", score=1)).status_code == 201
        assert (await give(control, event, "c", label="only a label")).status_code == 201
        found = (await control.get(f"/v1/events/{event}")).json()
        assert found["quality_score"] == 1.0
        assert [(item["score"], item["label"], item["comment"]) for item in found["feedback"]] == [
            (None, "only a label", None),
            (1.0, None, None),
            (0.25, "wrong", "no\nsource 🙂"),
        ]
        assert first.json() == found["feedback"][-1]
        other = await an_event(running)
        assert (await control.get(f"/v1/events/{other}")).json()["feedback"] == []
        good = (await control.get("/v1/events", params={"filter": "quality>0.9"})).json()
        assert [item["id"] for item in good] == [event]


async def test_the_same_key_keeps_it_once(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        event = await an_event(running)
        answers = await asyncio.gather(*(give(control, event, "k", score=0.5) for _ in range(8)))
        assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
        assert len({answer.text for answer in answers}) == 1
        assert (await give(control, event, "k", score=0.6)).status_code == 409
        assert len((await control.get(f"/v1/events/{event}")).json()["feedback"]) == 1


async def test_by_event_or_request_id(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        event = await an_event(running)
        for name in ("event_id", "request_id"):
            answer = await control.post(
                "/v1/feedback", json={name: event, "score": 0}, headers={"Idempotency-Key": name}
            )
            assert answer.status_code == 201 and answer.json()["event_id"] == event
        for body in ({"score": 0}, {"event_id": event, "request_id": event, "score": 0}, {"event_id": 7}):
            answer = await control.post("/v1/feedback", json=body, headers={"Idempotency-Key": "x"})
            assert answer.status_code == 400, body


async def test_given_at_once_after_the_answer_it_finds_its_event(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control, httpx.AsyncClient() as client:
        for number in range(5):
            answer = await client.post(
                f"{running.data}/v1/chat/completions",
                json={"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]},
            )
            given = await give(control, answer.headers["x-kt-request-id"], f"now-{number}", score=0.1)
            assert given.status_code == 201


BAD: list[dict[str, Any]] = [
    {}, {"score": 1.01}, {"score": -0.1}, {"score": True}, {"score": "1"}, {"label": ""}, {"label": "x" * 65},
    {"label": 3}, {"comment": "x" * 2_001}, {"comment": "a\x00b"}, {"score": 1, "stars": 5}, {"score": None},
]  # fmt: skip


async def test_what_is_wrong_is_refused_and_nothing_kept(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        event = await an_event(running)
        for body in BAD:
            answer = await give(control, event, "k", **body)
            assert answer.status_code == 400 and answer.json()["error"]["where"], body
        headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
        for text in ('{"score": NaN}', '{"label": "\\ud800"}', "[1]", "{"):
            path = f"/v1/events/{event}/feedback"
            assert (await control.post(path, content=text, headers=headers)).status_code == 400, text
        assert (await give(control, "no-such-event", "k", score=1)).status_code == 404
        keyless = await control.post(f"/v1/events/{event}/feedback", json={"score": 1})
        assert keyless.status_code == 428 and "Idempotency-Key" in keyless.json()["error"]["message"]
        found = (await control.get(f"/v1/events/{event}")).json()
        assert found["feedback"] == [] and found["quality_score"] is None


async def test_a_viewer_may_not(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    tokens = [
        {"name": "eve", "role": "viewer", "token": "v" * 20},
        {"name": "ann", "role": "operator", "token": "o" * 20},
    ]
    (state / "tokens.json").write_text(json.dumps({"tokens": tokens}))
    (state / "tokens.json").chmod(0o600)
    async with (
        gateway(tmp_path) as running,
        running.control("v" * 20) as viewer,
        running.control("o" * 20) as ann,
    ):
        event = await an_event(running)
        assert (await give(viewer, event, "k", score=1)).status_code == 403
        by_id = await viewer.post(
            "/v1/feedback", json={"event_id": event, "score": 1}, headers={"Idempotency-Key": "k"}
        )
        assert by_id.status_code == 403
        assert (await give(ann, event, "k", score=1)).json()["who"] == "ann"
        assert (await viewer.get(f"/v1/events/{event}")).json()["feedback"][0]["who"] == "ann"


async def test_a_locked_store_is_a_503_and_events_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feedback_queue, "WITHIN_S", 0.3)
    async with gateway(tmp_path) as running, running.control() as control:
        event = await an_event(running)
        with sqlite3.connect(running.state / "events.db", isolation_level=None) as holder:
            holder.execute("BEGIN IMMEDIATE")
            refused = await give(control, event, "k", score=1)
            assert refused.status_code == 503 and "try again" in refused.json()["error"]["message"]
            holder.execute("ROLLBACK")
        monkeypatch.setattr(feedback_queue, "WITHIN_S", 10.0)
        again = await give(control, event, "k", score=1)
        assert again.status_code in (200, 201)

        async def kept() -> bool:
            found = (await control.get(f"/v1/events/{event}")).json()
            return found["quality_score"] == 1.0 and len(found["feedback"]) == 1

        await until_answer(kept)


async def test_it_goes_with_its_event(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        event = await an_event(running)
        assert (await give(control, event, "k", score=1)).status_code == 201
    with sqlite3.connect(tmp_path / "state" / "events.db") as connection:
        assert connection.execute("SELECT count(*) FROM event_feedback").fetchone() == (1,)
        connection.execute("DELETE FROM events")
        assert connection.execute("SELECT count(*) FROM event_feedback").fetchone() == (0,)
