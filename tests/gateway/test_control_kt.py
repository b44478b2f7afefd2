"""`kt` as a process of its own: run, find, ask, stop; pipes, signals and exit codes."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import cycle
from pathlib import Path

import httpx
import pytest
from control_support import ENV, Running, gateway, split_policy, vendor

from proxy.base.ids import uuid7
from proxy.base.times import now_ms
from proxy.events.event import Event

KT = [sys.executable, "-c", "from proxy.cli.main import main; main()"]
KT_EVENTS = '"$0" -c "from proxy.cli.main import main; main()" events'
"""In a shell whose $0 is the interpreter."""
BROKEN = "policies:\n  - name: a\n    type: no_such_type\n"


def environment(tmp_path: Path) -> dict[str, str]:
    """Without a trace of whoever runs the tests."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
    return {**kept, **ENV, "HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path), "PYTHONUTF8": "1"}


async def kt(tmp_path: Path, *arguments: str | Path, within_s: float = 30) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `kt arguments`, whose state directory is tmp_path/ktui."""
    process = await asyncio.create_subprocess_exec(
        *KT, *map(str, arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment(tmp_path),
    )  # fmt: skip
    async with asyncio.timeout(within_s):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def run(tmp_path: Path, text: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str]]:
    """`kt gateway run` over `text`: the process, the data plane's address and the control API's."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(text)
    process = await asyncio.create_subprocess_exec(
        *KT, "gateway", "run", "--policy-config", str(policy), "--listen", "127.0.0.1:0", "--api-listen",
        "127.0.0.1:0", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=environment(tmp_path),
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    try:
        async with asyncio.timeout(30):
            first = (await process.stdout.readline()).decode()
        found = re.fullmatch(r"serving (http://\S+), control API (http://\S+)\n", first)
        assert found, first + (await process.stderr.read()).decode()
        yield process, found[1], found[2]
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def ended(process: asyncio.subprocess.Process, within_s: float = 15) -> int:
    async with asyncio.timeout(within_s):
        return await process.wait()


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with gateway(tmp_path, state_dir=tmp_path / "ktui") as found:
        yield found


@pytest.mark.parametrize("name", [signal.SIGTERM, signal.SIGINT])
async def test_a_gateway_serves_until_it_is_told_to_stop(tmp_path: Path, name: signal.Signals) -> None:
    async with vendor() as url, run(tmp_path, split_policy(url)) as (process, data, api):
        body = {"model": "gpt-4o", "user": "u", "messages": [{"role": "user", "content": "hi"}]}
        async with httpx.AsyncClient(timeout=10) as client:
            assert (await client.post(f"{data}/v1/chat/completions", json=body)).status_code == 200
            assert (await client.get(f"{api}/readyz")).status_code == 200
        code, out, _ = await kt(tmp_path, "doctor")
        assert code == 0 and data.removeprefix("http://") in out
        process.send_signal(name)
        assert await ended(process) == 0
        assert process.stderr is not None
        assert "Traceback" not in (await process.stderr.read()).decode()
    assert list((tmp_path / "ktui" / "run").glob("*")) == []
    assert list((tmp_path / "ktui" / "journal").glob("*.jsonl")) == []
    code, out, _ = await kt(tmp_path, "events", "list", "--format", "json")
    assert code == 0 and [event["model"] for event in json.loads(out)] == ["gpt-4o"]


async def hanging_upstream() -> tuple[asyncio.Server, asyncio.Event, str]:
    """Takes a request and never answers."""
    asked = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    return server, asked, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_second_signal_ends_it_at_once_and_its_event_is_kept(tmp_path: Path) -> None:
    server, asked, url = await hanging_upstream()
    async with (
        run(tmp_path, split_policy(url)) as (process, data, _),
        httpx.AsyncClient(timeout=30) as client,
    ):
        body = {"model": "gpt-4o", "user": "u", "messages": [{"role": "user", "content": "hi"}]}
        asking = asyncio.create_task(client.post(f"{data}/v1/chat/completions", json=body))
        await asked.wait()
        process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.5)
        assert process.returncode is None, "it did not wait for what runs"
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        await ended(process, 8)
        assert time.monotonic() - began < 6
        await asyncio.wait([asking])
        if not asking.exception():
            assert asking.result().status_code >= 500
    server.close()
    code, out, _ = await kt(tmp_path, "events", "list", "--format", "json")
    assert code == 0 and len(json.loads(out)) == 1


async def test_a_broken_file_is_shown_at_its_place_and_exits_1(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(BROKEN)
    code, out, err = await kt(tmp_path, "gateway", "run", "--policy-config", path, "--listen", "127.0.0.1:0",
                              "--api-listen", "127.0.0.1:0")  # fmt: skip
    assert code == 1
    assert "3 |     type: no_such_type" in out and "^^^^^^^^^^^^" in out
    assert "cannot run: 1 error" in err and "Traceback" not in err


async def test_a_taken_port_is_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(split_policy("http://127.0.0.1:9"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        code, out, err = await kt(tmp_path, "gateway", "run", "--policy-config", path, "--listen", address,
                                  "--api-listen", "127.0.0.1:0")  # fmt: skip
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == (
        f"kt: cannot listen on {address}: the port is taken; stop what uses it or choose another port"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["gateway", "run"],
        ["gateway", "run", "--policy-config", "/no/such/file"],
        ["gateway", "run", "--policy-config", "/dev/null", "--tls-cert", "x"],
        ["events", "list", "--since", "never"],
        ["nothing"],
    ],
)
async def test_wrong_use_exits_2(tmp_path: Path, arguments: list[str]) -> None:
    code, out, err = await kt(tmp_path, *arguments)
    assert code == 2 and out == "" and err and "Traceback" not in err


async def test_the_doctor_exits_1_when_the_file_does_not_run(running: Running, tmp_path: Path) -> None:
    code, out, _ = await kt(tmp_path, "doctor")
    assert code == 0, out
    running.policy.write_text(BROKEN)
    while running.service.config.file.condition != "differs":
        await asyncio.sleep(0.01)
    code, out, _ = await kt(tmp_path, "doctor")
    assert code == 1
    assert "✗ file      differs from what runs: 1 error" in out and "line 3, column 11" in out


async def test_events_are_listed_in_every_format(running: Running, tmp_path: Path) -> None:
    answers = await running.ask(3)
    ids = [answer.headers["x-kt-request-id"] for answer in answers][::-1]
    code, out, _ = await kt(tmp_path, "events", "list", "--since", "1h", "--format", "table")
    assert code == 0 and out.count("✓ 200") == 3 and out.splitlines()[0].startswith("time")
    _, out, _ = await kt(tmp_path, "events", "list", "--format", "json")
    assert [event["id"] for event in json.loads(out)] == ids
    _, out, _ = await kt(tmp_path, "events", "list", "--format", "jsonl", "--limit", "2")
    assert [json.loads(text)["id"] for text in out.splitlines()] == ids[:2]
    _, out, _ = await kt(tmp_path, "events", "list", "--format", "csv", "--model", "no-such-model")
    assert out.count("\n") == 1


async def test_a_tail_shows_each_event_when_it_happens(running: Running, tmp_path: Path) -> None:
    await running.ask(1)
    process = await asyncio.create_subprocess_exec(
        *KT, "events", "tail", "--since", "1h", "--format", "jsonl", stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE, env=environment(tmp_path),
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(20):
        first = json.loads(await process.stdout.readline())
        (answer,) = await running.ask(1)
        second = json.loads(await process.stdout.readline())
    assert (first["seq"], second["id"]) == (1, answer.headers["x-kt-request-id"])
    process.send_signal(signal.SIGINT)
    assert await ended(process) in (0, 130)
    assert process.stderr is not None and await process.stderr.read() == b""


PIPED = (
    "list", "list -o json", "list -o csv", "list --fields id,cost", "tail --since 1h -o jsonl", "stats -o csv",
    "show ID --body", "explain ID",
)  # fmt: skip


async def test_a_closed_pipe_ends_quietly(running: Running, tmp_path: Path) -> None:
    """Over real pipes whose reader leaves after one character, and after nothing at all."""
    await running.ask(3)
    for _ in range(60):
        for event in (await events(running))[:3]:
            running.service.hub.store.append(copy_of(event))
    while running.service.hub.store.total() < 183:
        await asyncio.sleep(0.01)
    one = str((await events(running))[0]["id"])
    commands = [command.replace("ID", one) for command in PIPED]
    script = "\n".join(
        f'{KT_EVENTS} {command} | {reader} >/dev/null; echo "${{PIPESTATUS[0]}} {command}"'
        for command, reader in zip(commands, cycle(("head -c 1", "true")))
    )
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", script, sys.executable, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env=environment(tmp_path),
    )  # fmt: skip
    keep_talking = asyncio.create_task(talk(running))
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    keep_talking.cancel()
    assert err == b"" and out.decode().splitlines() == [f"0 {command}" for command in commands]


async def talk(running: Running) -> None:
    """Requests until cancelled: a tail notices a closed pipe when it next writes."""
    while True:
        await running.ask(1)
        await asyncio.sleep(0.1)


async def events(running: Running) -> list[dict[str, object]]:
    async with running.control() as control:
        found: list[dict[str, object]] = (await control.get("/v1/events?limit=3")).json()
        return found


def copy_of(event: dict[str, object]) -> Event:
    return Event(
        uuid7(),
        now_ms(),
        "chat",
        str(event["model"]),
        str(event["model"]),
        "allow",
        200,
        "ok",
        1.0,
        attempts=1,
    )


async def test_on_a_terminal_nothing_from_outside_acts(running: Running, tmp_path: Path) -> None:
    await running.ask(1, model="gpt-4o\x1b]52;c;AAAA\x07\x1b[2J\u202e")
    event = str((await events(running))[0]["id"])
    forms = ("list", "list -o json", "list --fields id,model -o csv", "show ID")
    commands = "; ".join(f"{KT_EVENTS} {form}" for form in forms).replace("ID", event)
    script = ["bash", "-c", commands, sys.executable]
    leader, follower = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *script, stdout=follower, stderr=follower, env=environment(tmp_path)
    )
    os.close(follower)
    await ended(process)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65_536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    assert "␛]52;c;AAAA".encode() in shown
    assert b"\x1b" not in shown and b"\x07" not in shown and "\u202e".encode() not in shown


async def test_token_and_version_are_for_scripts(running: Running, tmp_path: Path) -> None:
    assert await kt(tmp_path, "token") == (0, running.token + "\n", "")
    code, out, _ = await kt(tmp_path, "version")
    assert code == 0 and re.fullmatch(r"\d+\.\d+\.\d+\n", out)
