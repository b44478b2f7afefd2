"""A store of the first version is brought up to date, and what it holds stays."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from events_factory import make_event

from proxy.events import sqlite_schema
from proxy.events.errors import StoreError
from proxy.events.sqlite_reader import EventReader
from proxy.events.sqlite_store import SqliteEventStore


def old_store(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        for statement in sqlite_schema._MIGRATIONS[1]:
            connection.execute(statement)
        connection.execute(
            "INSERT INTO events (id, timestamp_ms, endpoint, requested_model, model, decision, status, outcome, "
            "latency_ms, stream, usage_status, cost_status, policies_triggered, draw, config_version, attempts, "
            "facts, request_metadata) VALUES ('old', 1, 'chat', 'm', 'm', 'allow', 200, 'ok', 1.0, 0, 'none', "
            "'none', '[]', 0, 'h', 1, '{}', '{}')"
        )
        connection.execute("PRAGMA user_version=1")


async def test_an_old_store_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "events.db"
    old_store(path)
    with pytest.raises(StoreError, match="older ktui"):
        await EventReader(path).total()
    store = SqliteEventStore(path, tmp_path / "journal")
    await store.start()
    log = [{"target": "a", "model": "m", "status": 503, "error": None, "ms": 1.5, "reason": "upstream_503"}]
    event = make_event(dropped_params=["seed"], attempt_log=log)
    try:
        store.append(event)
        async with asyncio.timeout(5):
            while (found := await store.get(event.id)) is None:
                await asyncio.sleep(0.01)
        old = await store.get("old")
    finally:
        await store.close()
    assert old is not None and (old.attempt_log, old.dropped_params) == ([], [])
    assert (found.attempt_log, found.dropped_params) == (log, ["seed"])
