"""Four ways of saving, each in small steps: noticed within a second, and nothing between two states ever runs."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from config_support import Managed, managed, policy, until

from proxy.policy.lint import lint

WITHIN_S = 1.0
"""From the last write to the version that runs."""
STEP_S = 0.04
ROUNDS = 3


def text_of(weight: int) -> str:
    """Ten splits. Its beginnings lint clean, and so does any mixture of two such texts of the same length."""
    one = policy(weight, 100 - weight)
    return one + "".join(one.replace("policies:\n", "").replace("name: ab", f"name: ab{n}") for n in range(9))


async def in_steps(file: int, data: bytes) -> None:
    """Write `data` in nine pieces, as a slow disk or network share would."""
    size = len(data) // 9 + 1
    for start in range(0, len(data), size):
        os.write(file, data[start : start + size])
        await asyncio.sleep(STEP_S)


async def written(path: Path, text: str, flags: int) -> None:
    """Write `text` to `path`, opened with `flags`, in steps."""
    file = os.open(path, os.O_WRONLY | flags, 0o644)
    try:
        await in_steps(file, text.encode())
    finally:
        os.close(file)


async def in_place(path: Path, text: str) -> None:
    await written(path, text, 0)


async def truncate_and_write(path: Path, text: str) -> None:
    await written(path, text, os.O_TRUNC)


async def atomic_rename(path: Path, text: str) -> None:
    temporary = path.with_name(".policy.yaml.swp")
    await written(temporary, text, os.O_CREAT | os.O_TRUNC)
    temporary.replace(path)


async def symlink_swap(path: Path, text: str) -> None:
    target = path.with_name(f"text-{hash(text)}.yaml")
    await written(target, text, os.O_CREAT | os.O_TRUNC)
    link = path.with_name("policy.yaml.link")
    link.symlink_to(target.name)
    link.replace(path)


WAYS = [in_place, truncate_and_write, atomic_rename, symlink_swap]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Managed]:
    path = tmp_path / "etc" / "policy.yaml"
    path.parent.mkdir()
    path.write_text(text_of(85))
    async with managed(path, tmp_path / "state") as found:
        yield found


def test_what_stands_between_two_of_these_texts_would_be_accepted() -> None:
    """Else the tests below could not fail: a broken text does not run anyway."""
    from datetime import date

    from config_support import ENV

    from proxy.policy.lint import Surroundings

    around = Surroundings(ENV, date(2026, 1, 1), None)
    old, new = text_of(85), text_of(80)
    assert len(old) == len(new)
    at = new.index("  - name: ab3")
    assert lint(new[:at], around).clean and lint(new[:at] + old[at:], around).clean


@pytest.mark.parametrize("save", WAYS)
async def test_a_save_in_steps_is_applied_whole_and_within_a_second(
    running: Managed, save: Callable[[Path, str], Awaitable[None]]
) -> None:
    texts, took = [text_of(85)], []
    for number in range(ROUNDS):
        texts.append(text_of(80 - number))
        await save(running.path, texts[-1])
        took.append(await until(lambda: running.running_text == texts[-1], 10))
    assert [version.text for version in running.applied] == texts
    assert min(took) < WITHIN_S, took


async def test_a_save_that_begins_while_the_last_one_waits_is_not_read_half(running: Managed) -> None:
    """The change is settled, but an apply holds the lock; when it is free, the next save is half done."""
    new = text_of(80)
    half = new[: new.index("  - name: ab3")]
    settled = asyncio.Event()
    inner = running.manager._watcher._settled

    async def told() -> object:
        found = await inner()
        settled.set()
        return found

    running.manager._watcher._settled = told  # type: ignore[assignment, method-assign]
    async with running.manager._lock:
        running.path.write_text(text_of(70))
        await asyncio.wait_for(settled.wait(), 5)
        await asyncio.sleep(0)  # the watcher waits for the lock now
        running.path.write_text(half)
    for _ in range(3):
        await asyncio.sleep(STEP_S)
        running.path.write_text(half + "#")
        running.path.write_text(half)
    running.path.write_text(new)
    await until(lambda: running.running_text == new, 10)
    assert [version.text for version in running.applied] == [text_of(85), new]


async def test_a_change_that_leaves_size_and_time_alone_is_noticed(running: Managed) -> None:
    before = running.path.stat()
    with running.path.open("r+") as file:
        file.write(text_of(80))
    os.utime(running.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    await until(lambda: running.running_text == text_of(80), 10)


async def test_a_link_into_another_directory_is_followed(tmp_path: Path) -> None:
    """No notice comes from there: only the directory of the link itself is watched."""
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / "real.yaml"
    target.write_text(text_of(85))
    path = tmp_path / "policy.yaml"
    path.symlink_to(target)
    async with managed(path, tmp_path / "state") as running:
        took = []
        for weight in (80, 79, 78):
            target.write_text(text_of(weight))
            took.append(await until(lambda weight=weight: running.running_text == text_of(weight), 10))  # type: ignore[misc]
    assert min(took) < WITHIN_S, took


async def test_a_directory_that_was_made_anew_is_watched_on(running: Managed) -> None:
    old = running.path.parent.with_name("old")
    running.path.parent.rename(old)
    await until(lambda: running.manager.file.condition == "missing", 10)
    running.path.parent.mkdir()
    running.path.write_text(text_of(80))
    await until(lambda: running.running_text == text_of(80), 10)


async def test_a_pipe_in_its_place_blocks_nothing(running: Managed) -> None:
    """Opening a pipe waits for a writer; on the loop that answers requests this would stop the traffic."""
    running.path.unlink()
    os.mkfifo(running.path)
    await until(lambda: running.manager.file.condition == "unreadable", 10)
    assert running.manager.file.reason == "it is a pipe, a socket or a device, not a file"
    assert running.running_text == text_of(85)
    running.path.unlink()
    running.path.write_text(text_of(80))
    await until(lambda: running.running_text == text_of(80), 10)


async def test_a_gateway_that_starts_in_the_midst_of_a_save_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    text = text_of(80)
    file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(file, text[: text.index("  - name: ab3")].encode())
    saving = asyncio.create_task(in_steps(file, text[text.index("  - name: ab3") :].encode()))
    async with managed(path, tmp_path / "state") as running:
        await saving
        await until(lambda: running.running_text == text, 10)
    os.close(file)
    assert [version.text for version in running.applied] == [text]
