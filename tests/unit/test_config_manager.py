"""Last good wins: starting, applying, conflicts, restoring."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from config_support import BROKEN, Managed, managed, policy

from proxy.config import files
from proxy.config.state import Applied, Author, Conflict, NotWritten, RefusedByLint, text_hash

OPS = Author("ops", "editor", "a reason")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Managed]:
    path = tmp_path / "policy.yaml"
    path.write_text(policy())
    async with managed(path, tmp_path / "state", watch=False) as found:
        yield found


async def test_a_clean_file_runs_at_start_and_a_restart_keeps_its_number(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(policy())
    async with managed(path, tmp_path / "state") as first:
        version = first.manager.running
        assert version is not None and version.hash == text_hash(policy())
        assert (version.number, version.through) == (1, "start")
        assert version.plan.version == version.hash
        assert (first.manager.file.condition, first.manager.file.reason) == ("same", None)
    async with managed(path, tmp_path / "state") as second:
        assert second.manager.running is not None
        assert second.manager.running.number == 1
        assert len(await second.manager.versions()) == 1


async def test_a_file_broken_at_start_runs_the_version_applied_last_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(policy(50, 50))
    async with managed(path, tmp_path / "state"):
        pass
    path.write_text(BROKEN)
    async with managed(path, tmp_path / "state") as found:
        assert found.running_text == policy(50, 50)
        assert (found.manager.file.condition, found.manager.file.reason) == ("differs", "1 error")
        assert found.manager.file.text == BROKEN
    assert "version 1 runs on" in caplog.text


async def test_versions_of_another_path_are_not_run(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text(policy())
    two.write_text(BROKEN)
    async with managed(one, tmp_path / "state"):
        pass
    async with managed(two, tmp_path / "state") as found:
        assert found.manager.running is None and found.applied == []
        assert found.manager.file.diagnostics[0].code == "unknown-type"


@pytest.mark.parametrize("text", ["", BROKEN, "policies: [", "\x00"])
async def test_what_is_broken_at_a_first_start_runs_nothing_and_has_diagnostics(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    async with managed(path, tmp_path / "state") as found:
        assert found.manager.running is None
        assert any(item.severity == "error" for item in found.manager.file.diagnostics)


async def test_a_missing_file_says_so(tmp_path: Path) -> None:
    async with managed(tmp_path / "policy.yaml", tmp_path / "state") as found:
        assert found.manager.running is None
        assert (found.manager.file.condition, found.manager.file.reason) == ("missing", "the file is gone")


async def test_an_apply_writes_the_file_runs_it_and_remembers_who_and_why(running: Managed) -> None:
    told: list[str | None] = []
    running.manager.subscribe(lambda: told.append(running.running_text))
    result = await running.manager.apply(policy(70, 30), text_hash(policy()), OPS)
    assert isinstance(result, Applied) and result.changed
    assert running.path.read_text() == running.running_text == policy(70, 30)
    assert [version.number for version in running.applied] == [1, 2]
    assert told == [policy(70, 30)]
    kept = await running.manager.version(text_hash(policy(70, 30)))
    assert kept is not None and (kept.who, kept.through, kept.why) == ("ops", "editor", "a reason")


async def test_errors_are_refused_and_nothing_is_written(running: Managed) -> None:
    result = await running.manager.apply(BROKEN, "*", OPS)
    assert isinstance(result, RefusedByLint) and result.diagnostics[0].line == 3
    assert running.path.read_text() == running.running_text == policy()
    assert len(running.applied) == 1


async def test_a_change_made_on_another_text_is_a_conflict_with_both(running: Managed) -> None:
    running.path.write_text(policy(90, 10))
    result = await running.manager.apply(policy(70, 30), text_hash(policy()), OPS)
    assert result == Conflict(text_hash(policy(90, 10)), policy(90, 10))
    assert running.path.read_text() == policy(90, 10)
    assert isinstance(await running.manager.apply(policy(70, 30), "*", OPS), Applied)


async def test_the_same_text_again_is_no_new_version(running: Managed) -> None:
    result = await running.manager.apply(policy(), text_hash(policy()), OPS)
    assert isinstance(result, Applied) and not result.changed
    assert len(await running.manager.versions()) == 1


async def test_applying_brings_a_deleted_file_back(running: Managed) -> None:
    running.path.unlink()
    result = await running.manager.apply(policy(60, 40), text_hash(policy()), OPS)
    assert isinstance(result, Applied) and running.path.read_text() == policy(60, 40)


async def test_a_file_that_cannot_be_written_changes_nothing(
    running: Managed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, text: str) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(files, "write", refuse)
    result = await running.manager.apply(policy(60, 40), "*", OPS)
    assert result == NotWritten("could not write policy.yaml: Read-only file system")
    assert running.running_text == policy()
    assert running.manager.file.reason == "could not write policy.yaml: Read-only file system"


async def test_restoring_is_a_new_version_with_an_old_text(running: Managed) -> None:
    await running.manager.apply(policy(70, 30), "*", OPS)
    result = await running.manager.restore(text_hash(policy())[:7], "*", Author("ops", "restore"))
    assert isinstance(result, Applied) and result.version.number == 3
    assert running.path.read_text() == policy()
    assert [item.through for item in await running.manager.versions()] == ["restore", "editor", "start"]
    assert await running.manager.restore("0000000", "*", OPS) is None


async def test_of_applies_made_at_once_on_one_text_exactly_one_goes_in(running: Managed) -> None:
    seen = text_hash(policy())
    texts = [policy(weight, 100 - weight) for weight in range(10, 20)]
    results = await asyncio.gather(*(running.manager.apply(text, seen, OPS) for text in texts))
    went_in = [result for result in results if isinstance(result, Applied)]
    assert len(went_in) == 1
    assert sum(isinstance(result, Conflict) for result in results) == 9
    assert running.path.read_text() == went_in[0].version.text


async def test_who_and_why_from_outside_are_kept_as_visible_glyphs(running: Managed) -> None:
    await running.manager.apply(policy(60, 40), "*", Author("a\x1b[2J", "api", "x\ny\u202e"))
    assert running.manager.running is not None
    assert (running.manager.running.who, running.manager.running.why) == ("a␛[2J", "x␊y<202E>")
