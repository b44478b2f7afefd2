"""The file under the store: a damaged page, a step to a newer schema that ends half way, a reader that stays too long."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from events_factory import make_event, until

from proxy.events import sqlite_schema
from proxy.events.sqlite_schema import SCHEMA_VERSION
from proxy.events.sqlite_store import SqliteEventStore


def store_in(folder: Path) -> SqliteEventStore:
    return SqliteEventStore(folder / "events.db", folder / "journal")


async def write(store: SqliteEventStore, number: int) -> None:
    before = store.counters().stored
    for _ in range(number):
        store.append(make_event(facts={"note": "x" * 400}))
    await until(lambda: store.counters().stored == before + number, 20)


async def test_a_damaged_page_is_found_at_the_start(tmp_path: Path) -> None:
    """Writing would not notice it for a long time."""
    store = store_in(tmp_path)
    await store.start()
    await write(store, 400)
    await store.close()
    path = tmp_path / "events.db"
    with sqlite3.connect(path) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events_model'").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page[0] - 1) * 4096)
        file.write(b"\xa5" * 4096)
    again = store_in(tmp_path)
    await again.start()
    try:
        assert len(again.notices) == 1 and "broken" in again.notices[0]
        assert again.total() == 0
        await write(again, 1)
        aside = [found for found in tmp_path.iterdir() if "corrupt" in found.name]
        assert aside, "what was broken is kept"
    finally:
        await again.close()


async def test_a_step_to_a_newer_schema_that_fails_half_way_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(tmp_path)
    await store.start()
    await write(store, 3)
    await store.close()

    def tables() -> set[str]:
        with sqlite3.connect(tmp_path / "events.db") as connection:
            found = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            (version,) = connection.execute("PRAGMA user_version").fetchone()
        connection.close()
        assert version == SCHEMA_VERSION
        return found

    before = tables()
    steps = {
        **sqlite_schema._MIGRATIONS,
        SCHEMA_VERSION + 1: ("CREATE TABLE half_way (a)", "DROP TABLE events", "not a statement"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_schema, "_MIGRATIONS", steps)
        patch.setattr(sqlite_schema, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        with pytest.raises(sqlite3.OperationalError):
            await sqlite_schema.open_writer(tmp_path / "events.db")
        assert tables() == before
    again = store_in(tmp_path)
    await again.start()
    assert again.total() == 3
    await again.close()


async def test_a_reader_that_stays_holds_the_log_only_as_long_as_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its log can only be emptied once it is gone; then the space is given back without a restart."""
    limit = 2**22
    monkeypatch.setattr(sqlite_schema, "_WAL_LIMIT", limit)
    log = tmp_path / "events.db-wal"
    store = store_in(tmp_path)
    await store.start()
    try:
        await write(store, 1)
        stuck = sqlite3.connect(tmp_path / "events.db", isolation_level=None)
        stuck.execute("BEGIN")
        assert stuck.execute("SELECT count(*) FROM events").fetchone() == (1,)
        await write(store, 6_000)
        held = log.stat().st_size
        assert held > 1.5 * limit, "the reader held nothing: this proves nothing"
        assert stuck.execute("SELECT count(*) FROM events").fetchone() == (1,)
        stuck.close()
        for _ in range(3):
            await write(store, 600)
        assert log.stat().st_size <= limit
    finally:
        await store.close()
