"""`kt policy history`, `show`, `restore` and `diff` of versions: over the control API, and from the store alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from control_support import ENV, Running, gateway, split_policy
from typer.testing import CliRunner, Result

from proxy.cli.main import app
from proxy.service.state_dir import StateDir

FIRST, SECOND = split_policy("http://127.0.0.1:9", 95, 5), split_policy("http://127.0.0.1:9", 70, 30)


def kt(state: Path, *arguments: str | Path, token: str = "") -> Result:
    env = {**ENV, "KT_API_TOKEN": token, "KT_API_URL": ""}
    given = ["policy", *map(str, arguments), "--state-dir", str(state)]
    return CliRunner().invoke(app, given, env=env)


def listed(done: Result) -> list[dict[str, Any]]:
    assert done.exit_code == 0, done.output
    versions: list[dict[str, Any]] = json.loads(done.stdout)["versions"]
    return versions


async def put(running: Running, text: str, why: str) -> None:
    async with running.control() as client:
        answer = await client.put("/v1/config", json={"text": text, "why": why}, headers={"If-Match": "*"})
    assert answer.status_code == 200, answer.text


async def two_versions(tmp_path: Path) -> tuple[Path, Path]:
    """State directory and policy file after a gateway that ran FIRST, then SECOND."""
    async with gateway(tmp_path, FIRST) as running:
        await put(running, SECOND, "the second")
        return running.state, running.policy


async def test_over_the_control_api(tmp_path: Path) -> None:
    async with gateway(tmp_path, FIRST) as running:
        await put(running, SECOND, "the second")
        state = running.state

        async def ask(*arguments: str) -> Result:
            return await asyncio.to_thread(kt, state, *arguments)

        versions = listed(await ask("history", "--format", "json"))
        assert [(item["number"], item["through"], item["why"]) for item in versions] == [
            (2, "api", "the second"),
            (1, "start", ""),
        ]
        assert (await ask("show", "v1")).stdout == FIRST
        assert (await ask("show", versions[0]["hash"][:7])).stdout == SECOND
        told = await ask("diff", "v1", "v2")
        assert (told.exit_code, told.stdout) == (
            1,
            "ab-test-models: variant-b 5 % → 30 %, variant-a 95 % → 70 %\n",
        )
        done = await ask("restore", "v1", "--why", "errors")
        assert done.exit_code == 0, done.output
        assert running.policy.read_text() == FIRST
        assert running.service.config.running is not None
        assert running.service.config.running.number == 3
        latest = listed(await ask("history", "--format", "json"))[0]
        assert (latest["number"], latest["through"], latest["why"]) == (3, "restore", "errors")
        assert "runs already as version 3: no new one was made" in (await ask("restore", "3")).stdout


async def test_without_a_gateway_the_store_is_read_and_the_file_written(tmp_path: Path) -> None:
    state, path = await two_versions(tmp_path)
    assert [item["number"] for item in listed(kt(state, "history", "--format", "json"))] == [2, 1]
    table = kt(state, "history").stdout.splitlines()
    assert table[0].split() == ["version", "hash", "applied", "through", "who", "why"]
    assert table[1].startswith("v2") and table[1].endswith("the second")
    path.write_text(FIRST + "# by hand\n")
    path.chmod(0o640)
    done = await asyncio.to_thread(kt, state, "restore", "v1", "--why", "back")
    assert done.exit_code == 0, done.output
    assert path.read_text() == FIRST and path.stat().st_mode & 0o777 == 0o640
    versions = listed(kt(state, "history", "--format", "json", "--file", path))
    assert [(item["number"], item["through"]) for item in versions[:2]] == [(4, "restore"), (3, "file")]
    assert kt(state, "show", "v3").stdout == FIRST + "# by hand\n"
    async with gateway(tmp_path, FIRST) as running:
        assert running.service.config.running is not None and running.service.config.running.text == FIRST


async def test_nothing_is_restored_below_a_gateway_that_starts(tmp_path: Path) -> None:
    state, path = await two_versions(tmp_path)
    directory = StateDir(state)
    directory.claim()
    try:
        done = await asyncio.to_thread(kt, state, "restore", "v1")
    finally:
        directory.release()
    assert done.exit_code == 1 and "another gateway uses the state directory" in done.stderr
    assert path.read_text() == SECOND


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("show", "v9"), "has no version v9; kt policy history lists them"),
        (("show", "xyz"), "xyz is no version: write v3, or at least 7 characters of its hash"),
        (("history", "--file", "/nowhere.yaml"), "has no version of /nowhere.yaml"),
        (("diff", "v1", "/nowhere.yaml"), "/nowhere.yaml: there is no such file"),
    ],
)
async def test_used_wrongly_is_2(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    state, _ = await two_versions(tmp_path)
    done = kt(state, *arguments)
    assert done.exit_code == 2 and sentence in done.stderr


def test_no_store_is_one_sentence(tmp_path: Path) -> None:
    done = kt(tmp_path, "history")
    assert done.exit_code == 2 and done.stderr.count("\n") == 1 and "there are no versions in" in done.stderr


def test_a_store_that_is_broken_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "versions.db").write_bytes(b"no database" * 100)
    done = kt(tmp_path, "history")
    assert done.exit_code == 1 and "cannot be read" in done.stderr


def test_diff_of_files(tmp_path: Path) -> None:
    a, b, c = (tmp_path / name for name in ("a.yaml", "b.yaml", "c.yaml"))
    a.write_text(FIRST)
    b.write_text(FIRST.replace("\n", "  # said\n", 1))
    c.write_text("policies: [")
    same = kt(tmp_path, "diff", a, b, "--text")
    assert (
        same.exit_code == 0 and same.stdout.startswith("the same meaning\n\n---") and "# said" in same.stdout
    )
    told = json.loads(kt(tmp_path, "diff", a, b, "--format", "json").stdout)
    assert told["same"] is True and told["meaning"] == [] and "+" in told["unified"]
    broken = kt(tmp_path, "diff", a, c)
    assert broken.exit_code == 2 and f"{c} cannot be read: line 1" in broken.stderr
