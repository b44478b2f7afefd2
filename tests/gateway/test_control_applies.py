"""A hundred changes under constant load: no request fails, and no event belongs to a version that could not have
decided it."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path
from typing import Any

import aiohttp
import httpx
from control_support import SPLIT, Running, gateway, until

APPLIES = 100
CLIENTS = 8
USERS = 200
DRAINED = ((100, 0), (0, 100))
WEIGHTS = list(itertools.islice(itertools.cycle([(95, 5), DRAINED[0], (50, 50), DRAINED[1]]), APPLIES))


async def load(running: Running, ended: asyncio.Event) -> list[tuple[int, str, str, str]]:
    """Ask without a pause until `ended`: status, request id, user and variant of each answer."""
    seen: list[tuple[int, str, str, str]] = []
    users = itertools.cycle(f"u-{number}" for number in range(USERS))

    async def client(session: aiohttp.ClientSession) -> None:
        while not ended.is_set():
            user = next(users)
            body = {"model": "gpt-4o", "user": user, "messages": [{"role": "user", "content": "hi"}]}
            async with session.post(f"{running.data}/v1/chat/completions", json=body) as answer:
                await answer.read()
                seen.append(
                    (
                        answer.status,
                        answer.headers["x-kt-request-id"],
                        user,
                        answer.headers.get("x-kt-variant", ""),
                    )
                )

    async with aiohttp.ClientSession() as session:
        await asyncio.gather(*(client(session) for _ in range(CLIENTS)))
    return seen


async def ask_once(running: Running) -> str:
    """One more request; its id."""
    async with httpx.AsyncClient(base_url=running.data, timeout=20) as client:
        body = {"model": "gpt-4o", "user": "after", "messages": [{"role": "user", "content": "hi"}]}
        answer = await client.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    return answer.headers["x-kt-request-id"]


async def change(control: httpx.AsyncClient, weights: tuple[int, int]) -> httpx.Response:
    body = {"weights": {"variant-a": weights[0], "variant-b": weights[1]}}
    return await control.put(f"/v1/splits/{SPLIT}/weights", json=body, headers={"If-Match": "*"})


async def test_a_hundred_applies_under_load_fail_no_request(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        first = running.service.config.running
        assert first is not None
        weights_of: dict[str, dict[str, int]] = {first.hash: {"variant-a": 95, "variant-b": 5}}
        after_apply: dict[str, str] = {}
        ended = asyncio.Event()
        loading = asyncio.create_task(load(running, ended))
        for weights in WEIGHTS:
            answer = await change(control, weights)
            assert answer.status_code == 200, answer.text
            digest = answer.json()["hash"]
            weights_of[digest] = dict(zip(("variant-a", "variant-b"), weights, strict=True))
            after_apply[await ask_once(running)] = digest
        ended.set()
        seen = await loading

        assert len(seen) > APPLIES
        assert {status for status, *_ in seen} == {200}
        store = running.service.hub.store
        await until(lambda: store.counters().stored == len(seen) + APPLIES, 10)
        events = {event["id"]: event for event in (await control.get("/v1/events")).json()}
        assert events.keys() == {request_id for _, request_id, _, _ in seen} | after_apply.keys()
        for request_id, digest in after_apply.items():
            assert events[request_id]["config_version"] == digest, "asked after the apply, decided before it"
        check(seen, events, weights_of)
        assert running.service.config.running is not None
        versions = (await control.get("/v1/config/versions")).json()["versions"]
        assert {version["hash"] for version in versions} == weights_of.keys()


def check(
    seen: list[tuple[int, str, str, str]], events: dict[str, Any], weights_of: dict[str, dict[str, int]]
) -> None:
    """Each event's variant has weight in its own version, and in one version a user has one variant."""
    variant_of: dict[tuple[str, str], str] = {}
    versions = set()
    for _, request_id, user, variant in seen:
        event = events[request_id]
        version = event["config_version"]
        versions.add(version)
        assert event["metadata"]["ab_tag"] == variant
        assert weights_of[version][variant] > 0, f"{variant} was drained in {version[:7]}"
        assert variant_of.setdefault((version, user), variant) == variant
    assert len(versions) == len(weights_of), "every version met some request"


async def test_saving_the_file_from_outside_under_load_fails_no_request(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        ended = asyncio.Event()
        loading = asyncio.create_task(load(running, ended))
        for number in range(3):
            text = running.policy.read_text() + f"# edit {number}\n"
            running.policy.write_text("policies: [")
            await until(lambda: running.service.config.file.condition == "differs")
            running.policy.write_text(text)
            await until(lambda text=text: running.service.config.running.text == text)  # type: ignore[misc]
        ended.set()
        assert {status for status, *_ in await loading} == {200}
