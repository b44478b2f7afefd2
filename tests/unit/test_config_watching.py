"""Saving is applying, however an editor saves; what is broken or half written never runs."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from config_support import BROKEN, Managed, managed, policy, until

from proxy.config import watcher

WITHIN_S = 2.0
"""A second is promised; the rest is for a machine that is busy."""


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Managed]:
    path = tmp_path / "etc" / "policy.yaml"
    path.parent.mkdir()
    path.write_text(policy())
    async with managed(path, tmp_path / "state") as found:
        yield found


def truncate_then_write(path: Path, text: str) -> None:
    with path.open("w") as file:
        file.write(text)


def atomic_rename(path: Path, text: str) -> None:
    temporary = path.with_name(".policy.yaml.new")
    temporary.write_text(text)
    temporary.replace(path)


def backup_then_new_file(path: Path, text: str) -> None:
    path.rename(path.with_name("policy.yaml~"))
    path.write_text(text)


def unlink_then_write(path: Path, text: str) -> None:
    path.unlink()
    path.write_text(text)


STYLES = [truncate_then_write, atomic_rename, backup_then_new_file, unlink_then_write]


@pytest.mark.parametrize("save", STYLES)
async def test_every_way_of_saving_is_noticed(running: Managed, save: Callable[[Path, str], None]) -> None:
    for weight in (90, 80):
        text = policy(weight, 100 - weight)
        save(running.path, text)
        await until(lambda text=text: running.running_text == text, WITHIN_S)  # type: ignore[misc]
    version = running.manager.running
    assert version is not None and (version.number, version.through) == (3, "file")
    await until(lambda: running.manager.file.condition == "same")


async def test_a_swapped_link_to_a_directory_is_noticed(tmp_path: Path) -> None:
    """As Kubernetes mounts a ConfigMap: policy.yaml -> ..data/policy.yaml, ..data -> ..v1."""
    for name, weight in (("..v1", 95), ("..v2", 60)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "policy.yaml").write_text(policy(weight, 100 - weight))
    (tmp_path / "..data").symlink_to("..v1")
    path = tmp_path / "policy.yaml"
    path.symlink_to("..data/policy.yaml")
    async with managed(path, tmp_path / "state") as running:
        (tmp_path / "..data_tmp").symlink_to("..v2")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        await until(lambda: running.running_text == policy(60, 40), WITHIN_S)


async def test_without_notices_of_the_directory_the_poll_finds_the_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_notices(*_: object, **__: object) -> AsyncIterator[object]:
        raise OSError("no notices on this file system")
        yield

    monkeypatch.setattr(watcher.watchfiles, "awatch", no_notices)
    path = tmp_path / "policy.yaml"
    path.write_text(policy())
    async with managed(path, tmp_path / "state") as running:
        path.write_text(policy(80, 20))
        await until(lambda: running.running_text == policy(80, 20), WITHIN_S)


async def test_a_broken_file_never_replaces_what_runs_and_mending_it_does(running: Managed) -> None:
    running.path.write_text(BROKEN)
    await until(lambda: running.manager.file.condition == "differs", WITHIN_S)
    assert running.manager.file.reason == "1 error"
    assert running.running_text == policy() and len(running.applied) == 1
    running.path.write_text(policy(80, 20))
    await until(lambda: running.running_text == policy(80, 20), WITHIN_S)
    assert running.manager.file.condition == "same"


async def test_an_emptied_file_is_an_error(running: Managed) -> None:
    running.path.write_text("")
    await until(lambda: running.manager.file.condition == "differs", WITHIN_S)
    assert running.running_text == policy()


async def test_a_text_written_a_little_at_a_time_is_read_when_it_stands_still(running: Managed) -> None:
    """Its beginning lints clean too, and must not run."""
    text = policy(80, 20) + policy(10, 90).replace("policies:\n", "").replace("name: ab", "name: second")
    with running.path.open("w") as file:
        for start in range(0, len(text), 16):
            file.write(text[start : start + 16])
            file.flush()
            await asyncio.sleep(0.03)
    await until(lambda: running.running_text == text, WITHIN_S)
    assert [version.text for version in running.applied] == [policy(), text]


async def test_a_deleted_file_is_said_and_what_ran_runs_on(running: Managed) -> None:
    running.path.unlink()
    await until(lambda: running.manager.file.condition == "missing", WITHIN_S)
    assert running.running_text == policy()
    running.path.write_text(policy())
    await until(lambda: running.manager.file.condition == "same", WITHIN_S)
    assert len(running.applied) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_no_longer_be_read_is_said(running: Managed) -> None:
    running.path.write_text(policy(80, 20))
    running.path.chmod(0)
    await until(lambda: running.manager.file.condition == "unreadable", WITHIN_S)
    running.path.chmod(0o600)


async def test_bytes_that_are_no_text_are_said(running: Managed) -> None:
    running.path.write_bytes(policy().encode("utf-16"))
    await until(lambda: running.manager.file.condition == "unreadable", WITHIN_S)
    assert running.running_text == policy()


async def test_one_fault_is_one_line_in_the_log(running: Managed, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    running.path.write_text(BROKEN)
    await until(lambda: running.manager.file.condition == "differs", WITHIN_S)
    others = running.path.parent
    for number in range(20):
        (others / f"neighbour-{number}").write_text("x")
        await asyncio.sleep(0.05)
    about_it = [record for record in caplog.records if record.name.startswith("proxy.")]
    assert [record.levelname for record in about_it] == ["WARNING"], [r.getMessage() for r in about_it]


async def test_what_an_apply_writes_is_not_applied_a_second_time(running: Managed) -> None:
    from proxy.config.state import Author

    await running.manager.apply(policy(70, 30), "*", Author("ops", "slider"))
    running.path.touch()
    await asyncio.sleep(watcher.POLL_S + watcher.STILL_S + 0.3)
    assert [version.through for version in running.applied] == ["start", "slider"]


async def test_it_ends_at_once(running: Managed) -> None:
    async with asyncio.timeout(0.5):
        await running.manager.stop()
