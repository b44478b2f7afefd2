"""Faults around the policy file and the control API: what must not be lost, and what must not stop."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from control_support import ENV, SPLIT, Running, gateway, raw, split_policy, until

from proxy.config import watcher
from proxy.events.errors import StoreError
from proxy.service.gateway_service import GatewayService, StartError
from proxy.service.options import ServiceOptions

NEW = {"weights": {"variant-a": 60, "variant-b": 40}}


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with gateway(tmp_path) as found:
        yield found


@pytest.fixture
async def control(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with running.control() as client:
        yield client


async def weigh(control: httpx.AsyncClient, body: Any, match: str = "*") -> httpx.Response:
    return await control.put(f"/v1/splits/{SPLIT}/weights", json=body, headers={"If-Match": match})


@pytest.mark.parametrize("value", ["true", 1, "yes"])
async def test_a_dry_run_that_is_no_boolean_writes_nothing(
    running: Running, control: httpx.AsyncClient, value: Any
) -> None:
    before = running.policy.read_text()
    answer = await weigh(control, {**NEW, "dry_run": value})
    assert running.policy.read_text() == before
    assert answer.status_code == 400


@pytest.mark.parametrize("through", ["slider", "editor"])
async def test_a_file_that_is_no_text_is_a_conflict_and_is_not_overwritten(
    running: Running, control: httpx.AsyncClient, through: str
) -> None:
    saved = running.policy.read_text().encode("utf-16")
    digest = running.service.config.running.hash
    running.policy.write_bytes(saved)
    await until(lambda: running.service.config.file.condition == "unreadable")
    if through == "slider":
        answer = await weigh(control, NEW, digest)
    else:
        body = {"text": split_policy(running.vendor, 60, 40)}
        answer = await control.put("/v1/config", json=body, headers={"If-Match": digest})
    assert running.policy.read_bytes() == saved
    assert answer.status_code == 409


@pytest.fixture
def full_disk(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """No version can be kept."""

    async def full(*_: object) -> int:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(running.service.config._versions, "add", full)


async def test_what_was_written_runs_even_if_it_cannot_be_remembered(
    running: Running, control: httpx.AsyncClient, full_disk: None
) -> None:
    answer = await weigh(control, NEW)
    runs = running.service.config.running.text == running.policy.read_text()
    assert runs, "the file says one thing and the gateway does another"
    assert answer.status_code == 200


async def test_a_fault_does_not_end_the_watching(
    running: Running, full_disk: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.policy.write_text(split_policy(running.vendor, 60, 40))
    await asyncio.sleep(watcher.POLL_S + watcher.STILL_S + 0.5)
    monkeypatch.undo()
    running.policy.write_text(split_policy(running.vendor, 30, 70))
    await until(lambda: running.service.config.running.text == running.policy.read_text(), 3)


async def test_a_change_that_keeps_size_and_time_is_noticed(running: Running) -> None:
    await asyncio.sleep(watcher.POLL_S + watcher.STILL_S + 0.3)
    before, times = running.policy.read_text(), running.policy.stat()
    with running.policy.open("r+") as file:
        file.write(before.replace("weight: 95", "weight: 65"))
    os.utime(running.policy, ns=(times.st_atime_ns, times.st_mtime_ns))
    await until(lambda: running.service.config.running.text != before, 3)


async def test_off_loopback_the_control_api_can_be_addressed_by_the_machine_s_address(tmp_path: Path) -> None:
    async with gateway(tmp_path, api_listen="0.0.0.0:0", insecure_api=True) as running:
        base = running.api.replace("0.0.0.0", "127.0.0.1")
        head = "GET /healthz HTTP/1.1\nHost: 192.0.2.7:41003\nConnection: close"
        assert (await raw(base, head))[0] == 200
        head = f"GET /v1/status HTTP/1.1\nHost: evil.test\nConnection: close\nAuthorization: Bearer {running.token}"
        assert (await raw(base, head))[0] == 403


async def test_a_store_that_cannot_be_read_is_an_error_not_a_broken_list(
    running: Running, control: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: object) -> AsyncIterator[object]:
        raise StoreError("cannot read the event store")
        yield

    monkeypatch.setattr(running.service.hub.store, "query", broken)
    answer = await control.get("/v1/events")
    assert answer.status_code == 503 and answer.json()["error"]["message"] == "cannot read the event store"


async def test_a_version_is_not_found_by_a_letter(running: Running, control: httpx.AsyncClient) -> None:
    digest = running.service.config.running.hash
    assert (await control.get(f"/v1/config/versions/{digest[:7]}")).status_code == 200
    assert (await control.get(f"/v1/config/versions/{digest[0]}")).status_code == 404


@pytest.mark.parametrize("fault", ["no-directory", "damaged-versions"])
async def test_a_state_directory_that_cannot_be_used_is_one_sentence(tmp_path: Path, fault: str) -> None:
    policy, state = tmp_path / "policy.yaml", tmp_path / "state"
    policy.write_text(split_policy("http://127.0.0.1:9"))
    if fault == "no-directory":
        state.write_text("a file")
        state = state / "below"
    else:
        state.mkdir()
        (state / "versions.db").write_bytes(b"this is no database " * 100)
    service = GatewayService(ServiceOptions(policy, state, "127.0.0.1:0", "127.0.0.1:0", env=ENV))
    with pytest.raises(StartError) as raised:
        await service.start()
    assert str(state) in str(raised.value) and "\n" not in str(raised.value)


def test_lint_loads_nothing_it_does_not_need(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("policies: []\n")
    script = (
        "import sys\nfrom proxy.cli.main import app\n"
        f"try: app(['policy', 'lint', '--file', {str(policy)!r}])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = ('httpx', 'aiohttp', 'starlette', 'uvicorn', 'textual', 'aiosqlite', 'genai_prices', 'ktui')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
