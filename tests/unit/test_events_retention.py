"""What is forgotten, why, and what that never disturbs."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

from events_factory import make_event, until

from proxy.base.times import now_ms
from proxy.events.retention import BATCH, DAY_MS, Limits
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.store import EventQuery


def open_store(place: Path, limits: Limits) -> SqliteEventStore:
    return SqliteEventStore(place / "events.db", place / "journal", limits=limits, tidy_every_s=0.05)


def rows(place: Path, sql: str) -> int:
    with sqlite3.connect(place / "events.db") as connection:
        return int(connection.execute(sql).fetchone()[0])


async def ids(store: SqliteEventStore) -> list[str]:
    return [event.id async for event in store.query(EventQuery(ascending=True))]


async def test_what_is_too_old_goes_and_the_rest_stays(tmp_path: Path) -> None:
    store = open_store(tmp_path, Limits(age_ms=7 * DAY_MS))
    await store.start()
    try:
        now = now_ms()
        old = [
            make_event(timestamp_ms=now - 8 * DAY_MS + n, policies_triggered=["ab"]) for n in range(2 * BATCH)
        ]
        new = [make_event(timestamp_ms=now - 6 * DAY_MS, policies_triggered=["ab"]) for _ in range(10)]
        for event in [*old, *new]:
            store.append(event)
        await until(lambda: store.forgotten["age"] == len(old) and store.counters().stored == len(old) + 10)
        assert await ids(store) == [event.id for event in new]
        assert store.total() == 10
        counters = store.counters()
        assert counters.accepted == counters.stored + counters.spilled + sum(counters.dropped.values())
    finally:
        await store.close()
    assert rows(tmp_path, "SELECT count(*) FROM events_policies") == 10
    assert rows(tmp_path, "PRAGMA freelist_count") < 100


async def test_a_shorter_age_takes_effect_at_once_and_seqs_go_on(tmp_path: Path) -> None:
    store = open_store(tmp_path, Limits(age_ms=7 * DAY_MS))
    await store.start()
    try:
        for _ in range(5):
            store.append(make_event(timestamp_ms=now_ms() - 2 * DAY_MS))
        await until(lambda: store.counters().stored == 5)
        assert not store.forgotten
        store.keep(Limits(age_ms=DAY_MS))
        await until(lambda: store.forgotten["age"] == 5)
        event = make_event(timestamp_ms=now_ms())
        store.append(event)
        await until(lambda: store.counters().stored == 6)
        found = await store.get(event.id)
        assert found is not None and found.seq == 6
    finally:
        await store.close()


async def test_a_store_that_is_too_large_loses_its_oldest(tmp_path: Path) -> None:
    limit = 3 * 1024 * 1024
    store = open_store(tmp_path, Limits(size_bytes=limit))
    await store.start()
    try:
        events = [make_event(timestamp_ms=now_ms(), facts={"note": "x" * 1_500}) for _ in range(6_000)]
        for event in events:
            store.append(event)
        await until(lambda: store.counters().stored == len(events), 20)
        used = 0

        async def small() -> bool:
            nonlocal used
            used = await asyncio.to_thread(
                rows,
                tmp_path,
                "SELECT (page_count - freelist_count) * 4096 FROM pragma_page_count, pragma_freelist_count",
            )
            return used <= limit

        deadline = time.monotonic() + 10
        while not await small():
            assert time.monotonic() < deadline, used
            await asyncio.sleep(0.02)
        left = await ids(store)
        assert left and left == [event.id for event in events[-len(left) :]]
        assert store.forgotten["size"] >= BATCH
    finally:
        await store.close()


async def test_a_reader_under_way_is_not_disturbed(tmp_path: Path) -> None:
    store = open_store(tmp_path, Limits(age_ms=7 * DAY_MS))
    await store.start()
    try:
        for _ in range(1_500):
            store.append(make_event(timestamp_ms=now_ms() - DAY_MS))
        await until(lambda: store.counters().stored == 1_500)
        reading = store.query(EventQuery())
        first = await anext(reading)
        store.keep(Limits(age_ms=DAY_MS // 2))
        await until(lambda: store.forgotten["age"] == 1_500)
        # The page that was read comes out whole; what is gone since then simply does not come.
        rest = [event.id async for event in reading]
        assert first.seq == 1_500 and len(rest) < 1_499
    finally:
        await store.close()
