"""The SQLite store when things go wrong: killed, full, locked, broken, fed nonsense."""

from __future__ import annotations

import errno
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from events_factory import T0, make_event, until

from proxy.events import journal as journal_module
from proxy.events.codec import FIELDS, prepare
from proxy.events.errors import StoreError
from proxy.events.event import Event
from proxy.events.sqlite_reader import EventReader
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.store import EventQuery


def store_in(folder: Path, **options: Any) -> SqliteEventStore:
    return SqliteEventStore(folder / "events.db", folder / "journal", **options)


def assert_law(store: SqliteEventStore) -> None:
    numbers = store.counters()
    assert numbers.accepted == numbers.stored + numbers.spilled + sum(numbers.dropped.values())


async def ids_in(store: SqliteEventStore) -> list[str]:
    return [event.id async for event in store.query(EventQuery(ascending=True))]


def journal_files(folder: Path) -> list[Path]:
    return list((folder / "journal").glob("*.journal"))


_CHILD = """
import asyncio, sys
from pathlib import Path
from events_factory import make_event
from proxy.events.sqlite_store import SqliteEventStore

async def main():
    folder = Path(sys.argv[1])
    store = SqliteEventStore(folder / "events.db", folder / "journal")
    await store.start()
    while True:
        event = make_event()
        store.append(event)
        print(event.id, flush=True)
        if sys.argv[2] == "writer-runs":
            await asyncio.sleep(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("mode", ["writer-runs", "journal-only"])
async def test_no_acknowledged_event_is_lost_to_kill_9(tmp_path: Path, mode: str) -> None:
    here = Path(__file__)
    paths = os.pathsep.join([str(here.parents[2]), str(here.parent)])
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(tmp_path), mode],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    ) as child:
        assert child.stdout is not None
        acknowledged = [child.stdout.readline().strip() for _ in range(1_500)]
        child.send_signal(signal.SIGKILL)
        child.wait()
        acknowledged += [line.strip() for line in child.stdout if len(line) == 37]
    assert all(acknowledged)
    store = store_in(tmp_path)
    await store.start()
    try:
        kept = await ids_in(store)
        assert len(kept) == len(set(kept))
        assert set(acknowledged) <= set(kept)
        assert len(kept) <= len(acknowledged) + 1
        assert store.total() == len(kept)
        assert journal_files(tmp_path) == []
        assert_law(store)
    finally:
        await store.close()
    with sqlite3.connect(tmp_path / "events.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


class FullDisk:
    """Makes the journal's writes fail while `on`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int = errno.ENOSPC) -> None:
        self.on = True
        write = os.write

        def failing(fd: int, data: bytes) -> int:
            if self.on:
                raise OSError(code, os.strerror(code))
            return write(fd, data)

        monkeypatch.setattr(journal_module.os, "write", failing)


async def test_with_the_journal_failing_events_reach_the_database_from_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(tmp_path)
    await store.start()
    try:
        disk = FullDisk(monkeypatch)
        store.append(make_event())
        assert store.trouble is not None
        assert "No space left" in store.trouble
        assert_law(store)
        await until(lambda: store.counters().stored == 1)
        disk.on = False
        store.append(make_event())
        assert store.trouble is None
        await until(lambda: store.counters().stored == 2)
        assert store.counters().dropped == {}
    finally:
        await store.close()


class Lock:
    """Another process that holds the database for writing."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("BEGIN IMMEDIATE")

    def release(self) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


async def test_with_journal_and_database_failing_memory_is_bounded_and_drops_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(tmp_path, backlog_events=10)
    await store.start()
    lock = Lock(tmp_path / "events.db")
    try:
        disk = FullDisk(monkeypatch)
        for _ in range(25):
            store.append(make_event())
            assert_law(store)
        assert store.counters().dropped == {"disk-full": 15}
        assert store.counters().spilled == 10
        disk.on = False
        lock.release()
        await until(lambda: store.counters().spilled == 0)
        assert store.counters().stored == 10
        store.append(make_event())
        await until(lambda: store.counters().stored == 11)
        assert_law(store)
    finally:
        await store.close()


async def test_a_locked_database_delays_but_loses_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path, backlog_events=10)
    await store.start()
    heard: list[str] = []
    store.subscribe(lambda batch: heard.extend(event.id for event in batch))
    lock = Lock(tmp_path / "events.db")
    events = [make_event() for _ in range(60)]
    try:
        for event in events:
            store.append(event)
            assert_law(store)
        await until(lambda: store.trouble is not None)
        assert "locked" in str(store.trouble)
        assert store.counters().spilled == 60
        lock.release()
        await until(lambda: store.counters().spilled == 0)
        # Ten waited in memory; fifty were in the journal alone and were read back.
        assert store.counters().stored == 60
        assert store.counters().dropped == {}
        assert set(await ids_in(store)) == {event.id for event in events}
        assert sorted(heard) == sorted(event.id for event in events)
        assert store.trouble is None
        await until(lambda: all(path.stat().st_size == 0 for path in journal_files(tmp_path)))
    finally:
        await store.close()
    assert journal_files(tmp_path) == []


async def test_closed_while_locked_the_next_start_finds_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(tmp_path, close_within_s=0.1)
    await store.start()
    lock = Lock(tmp_path / "events.db")
    disk = FullDisk(monkeypatch)
    events = [make_event() for _ in range(4)]
    store.append(events[0])
    disk.on = False
    for event in events[1:]:
        store.append(event)
    await store.close()
    assert store.counters().spilled == 4
    store.append(make_event())
    assert store.counters().dropped == {"closed": 1}
    lock.release()
    again = store_in(tmp_path)
    await again.start()
    try:
        assert set(await ids_in(again)) == {event.id for event in events}
        assert again.counters().stored == 4
        assert_law(again)
    finally:
        await again.close()


HOSTILE: dict[str, dict[str, Any]] = {
    "lone surrogate": {"model": "gpt\ud800", "error_message": "\udfff"},
    "nul": {"model": "gpt\x004o", "error_message": "a\x00b"},
    "int beyond 64 bits": {"input_tokens": 2**63, "output_tokens": -(2**70)},
    "nan": {"latency_ms": float("nan"), "ttft_ms": float("inf"), "quality_score": float("-inf")},
    "huge text": {"error_message": "x" * 10_000_000},
    "huge metadata": {"request_metadata": {f"k{index}": "v" * 9_000 for index in range(500)}},
    "wrong types": {"latency_ms": "fast", "status": None, "model": 7, "policies_triggered": "no list"},
    "objects": {
        "facts": {"x": object(), "deep": [[[[[[1]]]]]], "n": 2**80, "f": float("nan"), "\ud800": "\x00"}
    },
    "sql": {"model": "'; DROP TABLE events; --", "ab_tag": '"'},
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_value_kills_neither_its_event_nor_the_batch(tmp_path: Path, name: str) -> None:
    store = store_in(tmp_path)
    await store.start()
    heard: list[Event] = []
    store.subscribe(heard.extend)
    hostile = make_event(**HOSTILE[name])
    try:
        for event in (make_event(), hostile, make_event()):
            store.append(event)
        await until(lambda: store.counters().spilled == 0)
        assert store.counters().stored == 3
        kept = await store.get(hostile.id)
        assert kept is not None
        assert len(heard) == 3
        json.dumps(prepare(kept)[1].decode(), allow_nan=False).encode()
        for told in heard:
            json.dumps([getattr(told, field) for field in FIELDS], allow_nan=False).encode()
        if name == "int beyond 64 bits":
            assert kept.input_tokens is None
            assert kept.output_tokens is None
        if name == "nan":
            assert (kept.latency_ms, kept.ttft_ms, kept.quality_score) == (0.0, None, None)
        if name == "nul":
            assert kept.model == "gpt\ufffd4o"
    finally:
        await store.close()


async def test_an_event_that_cannot_be_turned_into_text_is_dropped_and_counted(tmp_path: Path) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    store = store_in(tmp_path)
    await store.start()
    try:
        store.append(make_event(facts={"x": Broken()}))
        assert store.counters().dropped == {"invalid": 1}
        assert_law(store)
    finally:
        await store.close()


async def test_a_failing_writer_is_seen_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(tmp_path)
    await store.start()
    try:
        write = store._writer.write
        failures = iter([RuntimeError("boom\x1b[2J")])

        async def failing(events: Any) -> Any:
            for failure in failures:
                raise failure
            return await write(events)

        monkeypatch.setattr(store._writer, "write", failing)
        store.append(make_event())
        await until(lambda: store.trouble is not None)
        assert "boom" in str(store.trouble)
        assert "\x1b" not in str(store.trouble)
        assert_law(store)
        await until(lambda: store.counters().stored == 1)
        assert store.trouble is None
    finally:
        await store.close()


async def test_a_failing_listener_harms_nobody(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    await store.start()
    heard: list[Event] = []

    def failing(batch: Any) -> None:
        raise ValueError("listener")

    store.subscribe(failing)
    store.subscribe(heard.extend)
    try:
        store.append(make_event())
        await until(lambda: len(heard) == 1)
    finally:
        await store.close()


async def test_a_newer_schema_is_refused_with_one_sentence(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "events.db") as connection:
        connection.execute("PRAGMA user_version=99")
    store = store_in(tmp_path)
    with pytest.raises(StoreError, match="newer ktui") as refused:
        await store.start()
    assert "\n" not in str(refused.value)
    reader = EventReader(tmp_path / "events.db")
    with pytest.raises(StoreError, match="newer ktui"):
        await reader.total()


async def test_a_file_that_is_no_database_is_kept_aside(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_bytes(b"not a database at all " * 500)
    store = store_in(tmp_path)
    await store.start()
    try:
        assert len(store.notices) == 1
        assert "kept as events.db.corrupt-" in store.notices[0]
        aside = list(tmp_path.glob("events.db.corrupt-*"))
        assert [path.read_bytes()[:5] for path in aside] == [b"not a"]
        store.append(make_event())
        await until(lambda: store.counters().stored == 1)
    finally:
        await store.close()


async def test_a_database_that_breaks_while_running_is_replaced_and_seq_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(tmp_path)
    await store.start()
    try:
        store.append(make_event())
        await until(lambda: store.counters().stored == 1)
        assert await ids_in(store)
        insert = store._writer._insert
        broken = sqlite3.DatabaseError("database disk image is malformed")
        broken.sqlite_errorcode = sqlite3.SQLITE_CORRUPT  # type: ignore[misc]
        failures = iter([broken])

        async def failing(*given: Any) -> Any:
            for failure in failures:
                raise failure
            return await insert(*given)

        monkeypatch.setattr(store._writer, "_insert", failing)
        after = make_event()
        store.append(after)
        await until(lambda: store.counters().stored == 2)
        assert await ids_in(store) == [after.id]
        assert store.counters().last_seq == 2
        assert store.total() == 1
        assert len(store.notices) == 1
    finally:
        await store.close()


async def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    store = store_in(tmp_path / "state")
    await store.start()
    store.append(make_event())
    try:
        await until(lambda: store.counters().stored == 1)
        files = [path for path in (tmp_path / "state").rglob("*") if path.is_file()]
        assert {"events.db", "events.db-wal", "events.db-shm", "lock"} <= {path.name for path in files}
        for path in files:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    finally:
        await store.close()


async def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    await store.start()
    try:
        with pytest.raises(StoreError, match="another gateway"):
            await store_in(tmp_path).start()
    finally:
        await store.close()
    again = store_in(tmp_path)
    await again.start()
    await again.close()


async def test_numbers_go_on_after_a_restart(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    await store.start()
    store.append(make_event(timestamp_ms=T0 + 5))
    await store.close()
    again = store_in(tmp_path)
    await again.start()
    try:
        assert again.total() == 1
        assert again.counters().last_seq == 1
        assert again.counters().accepted == 0
        assert again.last_timestamp_ms == T0 + 5
        again.append(make_event())
        await until(lambda: again.counters().stored == 1)
        assert (again.total(), again.counters().last_seq) == (2, 2)
    finally:
        await again.close()


async def test_a_reader_of_its_own_sees_what_a_gateway_writes_and_cannot_write(tmp_path: Path) -> None:
    reader = EventReader(tmp_path / "events.db")
    with pytest.raises(StoreError, match="there is no event store"):
        await reader.total()
    store = store_in(tmp_path)
    await store.start()
    store.append(make_event())
    try:
        await until(lambda: store.counters().stored == 1)
        assert await reader.total() == 1
        with pytest.raises(StoreError, match="readonly"):
            await reader.rows("DELETE FROM events", ())
        assert await reader.total() == 1
    finally:
        await reader.close()
        await store.close()


async def test_columns_are_the_fields(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    await store.start()
    await store.close()
    with sqlite3.connect(tmp_path / "events.db") as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(events)")]
        plan = connection.execute(
            "EXPLAIN QUERY PLAN SELECT * FROM events WHERE seq BETWEEN 1 AND 9 AND model = 'x' "
            "AND +timestamp_ms >= 3 ORDER BY seq DESC LIMIT 500"
        ).fetchall()
    assert columns == ["seq", *FIELDS]
    assert "events_model" in plan[0][3]
    assert "TEMP B-TREE" not in str(plan)


async def test_a_commit_whose_answer_was_lost_is_neither_doubled_nor_called_a_duplicate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(tmp_path)
    await store.start()
    heard: list[Event] = []
    store.subscribe(heard.extend)
    try:
        insert = store._writer._insert
        lost = iter([RuntimeError("the answer was lost")])

        async def failing(*given: Any) -> Any:
            before = store._writer.last_seq, store._writer.total
            done = await insert(*given)
            for failure in lost:
                store._writer.last_seq, store._writer.total = before
                raise failure
            return done

        monkeypatch.setattr(store._writer, "_insert", failing)
        store.append(make_event())
        await until(lambda: store.counters().spilled == 0)
        assert store.counters().stored == 1
        assert store.counters().dropped == {}
        assert (store.total(), len(heard), heard[0].seq) == (1, 1, 1)
    finally:
        await store.close()
