"""Every applied text is kept."""

from __future__ import annotations

import sqlite3
import stat
from pathlib import Path

import pytest

from proxy.config.state import StoredVersion, text_hash
from proxy.config.versions import VersionStore


def version(text: str, at: int = 1) -> StoredVersion:
    return StoredVersion(0, text_hash(text), at, "ops", "editor", "because", text)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "versions.db"


async def test_versions_are_kept_by_path_newest_first_and_survive(path: Path) -> None:
    store = VersionStore(path)
    await store.open()
    numbers = [await store.add("/a.yaml", version(text, at)) for at, text in enumerate("xyx", 1)]
    other = await store.add("/b.yaml", version("z", 9))
    await store.close()
    assert numbers == sorted(numbers) and other > numbers[-1]

    again = VersionStore(path)
    await again.open()
    listed = await again.listing("/a.yaml")
    assert [item.number for item in listed] == numbers[::-1]
    assert {item.text for item in listed} == {""}
    latest = await again.latest("/a.yaml")
    assert latest is not None and (latest.text, latest.applied_at_ms) == ("x", 3)
    assert (latest.who, latest.through, latest.why) == ("ops", "editor", "because")
    assert await again.latest("/c.yaml") is None
    await again.close()


async def test_a_version_is_found_by_the_beginning_of_its_hash_the_latest_first(path: Path) -> None:
    store = VersionStore(path)
    await store.open()
    first = await store.add("/a.yaml", version("x"))
    await store.add("/a.yaml", version("y"))
    last = await store.add("/a.yaml", version("x"))
    found = await store.find("/a.yaml", text_hash("x")[:7])
    assert found is not None and found.number == last != first
    assert await store.find("/b.yaml", text_hash("x")) is None
    assert await store.find("/a.yaml", "%%%%%%%") is None
    await store.close()


async def test_only_the_owner_may_read_it(path: Path) -> None:
    store = VersionStore(path)
    await store.open()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await store.close()
    await store.close()


async def test_a_file_of_a_newer_program_is_refused_with_one_sentence(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ValueError, match="newer ktui"):
        await VersionStore(path).open()
