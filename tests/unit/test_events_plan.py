"""How lists are found: by the rarest value, through an index, and never wrongly."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiosqlite
import pytest
from events_factory import T0, make_event, until

from proxy.events import sqlite_reader
from proxy.events.event import Event
from proxy.events.filter import matcher, parse
from proxy.events.sqlite_plan import plan
from proxy.events.sqlite_reader import EventReader
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.store import EventQuery

MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "o3")
NUMBER = 3_000


def mixed(number: int) -> list[Event]:
    source = random.Random(5)
    events = []
    for index in range(number):
        status = source.choices((200, 429, 500, 503, 403), (90, 4, 3, 2, 1))[0]
        tag = source.choice((None, None, "ab-a", "ab-b"))
        changes: dict[str, Any] = {
            "id": f"{index:08}",
            "model": source.choices(MODELS, (60, 30, 9, 1))[0],
            "status": status,
            "decision": "block" if status == 403 else source.choices(("allow", "warn"), (95, 5))[0],
            "outcome": "ok" if status == 200 else "error",
            "error": None
            if status == 200
            else source.choice(("timeout", "upstream_503", "upstream_TIMEOUT")),
            "key": source.choice((None, "team-search", "batch")),
            "ab_tag": tag,
            "split": tag and "ab",
            "unit_kind": source.choice((None, "user", "random")),
            "unit_digest": f"{source.randrange(40):032x}",
            "config_version": source.choice(("3fa9c1e0", "77aa0011")),
            "policies_triggered": source.choice(([], [], ["ab"], ["cheap", "ab"], ["cheap"])),
            "request_metadata": source.choice(({}, {"team": "blue"}, {"team": "BLUE"}, {"team": 'a "b" é'})),
            # Stored when it ended: arrivals are not in order.
            "timestamp_ms": T0 + index * 1_000 - source.choice((0, 0, 0, 300_000)),
        }
        events.append(make_event(**changes))
    return events


@pytest.fixture(scope="module")
def events() -> list[Event]:
    return mixed(NUMBER)


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory, events: list[Event]) -> Path:
    place = tmp_path_factory.mktemp("store")

    async def fill() -> None:
        store = SqliteEventStore(place / "events.db", place / "journal")
        await store.start()
        for event in events:
            store.append(event)
        await until(lambda: store.counters().stored == len(events))
        await store.close()

    asyncio.run(fill())
    return place / "events.db"


@pytest.fixture
async def reader(database: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EventReader]:
    monkeypatch.setattr(sqlite_reader, "PAGE", 50)
    monkeypatch.setattr(sqlite_reader, "SLICE", 700)
    reader = EventReader(database)
    yield reader
    await reader.close()


FILTERS = (
    "model:o3",
    "model:gpt-4*",
    "model:o3 or model:gpt-4o",
    "not model:gpt-4o",
    "variant:b",
    "variant:ab-a and decision:warn",
    "not variant:b",
    "decision:block",
    "decision:block and model:claude*",
    "status:5xx",
    "status:503",
    "status>=429 and model:claude*",
    "error:timeout",
    "has:error and key:batch",
    "not has:error and decision:warn",
    "not error:timeout",
    "key:team-*",
    "policy:cheap",
    "policy:che*",
    "policy:ab and status:5xx",
    "version:3fa",
    "version:77aa0011 and error:upstream_503",
    "model:nothing",
    "model:o3 and latency>1s",
    "timeout model:gpt-4o-mini",
    "TIME status:503",
    "AB-",
    "not AB-A",
    "id:0000012",
    "id:0",
    "not id:0000012 and status:503",
    "key:batch or error:timeout",
    "policy:cheap or status:5xx or id:00000003",
    "policy:cheap or policy:a?",
    "metadata.team:blue",
    "metadata.team:*lu*,x",
    """metadata.team:'a "b" é' status:503""",
    "metadata.team:*",
    "not metadata.team:blue and status:503",
    "(policy:cheap or decision:block) and not key:batch and latency>=0",
)


@pytest.mark.parametrize("text", FILTERS)
@pytest.mark.parametrize("ascending", [False, True])
async def test_an_index_finds_what_the_filter_says(
    reader: EventReader, events: list[Event], text: str, ascending: bool
) -> None:
    where = parse(text, T0)
    wanted = [event.id for event in events if matcher(where)(event)]
    # An empty answer would agree with anything.
    assert wanted or text in ("model:nothing", "model:o3 and latency>1s")
    found = [event.id async for event in reader.query(EventQuery(where=where, ascending=ascending))]
    assert found == (wanted if ascending else wanted[::-1])
    newest = [
        event.id async for event in reader.query(EventQuery(where=where, ascending=ascending, limit=75))
    ]
    assert newest == (wanted[-75:] if ascending else wanted[::-1][:75])


async def test_a_window_is_by_arrival_although_rows_are_stored_late(
    reader: EventReader, events: list[Event]
) -> None:
    since, end = T0 + 1_000_000, T0 + 1_500_000
    wanted = [event.id for event in events if since <= event.timestamp_ms < end]
    query = EventQuery(since_ms=since, until_ms=end, ascending=True)
    assert [event.id async for event in reader.query(query)] == wanted
    assert [event async for event in reader.query(EventQuery(since_ms=T0 + 10**9))] == []


async def explained(
    reader: EventReader, path: Path, query: EventQuery, ascending: bool = False
) -> tuple[str, int]:
    low, high = await reader._bounds(query)
    way = await plan(query, low, high, reader.rows, 50)
    sql, values = way.seqs(low, high, ascending, 50)
    async with aiosqlite.connect(path) as connection:
        rows = await connection.execute_fetchall(f"EXPLAIN QUERY PLAN {sql}", values)
        return "\n".join(str(row[3]) for row in rows), len(way.walks or ())


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("model:o3", "events_model (model=? AND rowid>? AND rowid<?)"),
        ("variant:b and model:o3", "events_model"),
        ("decision:block", "events_decision (decision=? AND rowid>? AND rowid<?)"),
        ("model:gpt-4o and decision:block", "events_decision"),
        ("status:5xx", "events_status (status=? AND rowid>? AND rowid<?)"),
        ("error:timeout", "events_error (error=? AND rowid>? AND rowid<?)"),
        ("has:error", "events_error (error=? AND rowid>? AND rowid<?)"),
        ("key:nobody", "events_key"),
        ("user:u-1", "events_user (<expr>=? AND rowid>? AND rowid<?)"),
        ("version:3fb and decision:block", None),
        ("policy:none-such or user:u-1", "PRIMARY KEY (policy=? AND event_seq>? AND event_seq<?)"),
        ("user:u-1 or decision:block", "events_decision (decision=? AND rowid>? AND rowid<?)"),
        ("policy:none-such", "PRIMARY KEY (policy=? AND event_seq>? AND event_seq<?)"),
    ],
)
async def test_the_rarest_value_leads_and_nothing_is_sorted(
    reader: EventReader, database: Path, text: str, index: str | None
) -> None:
    steps, walks = await explained(reader, database, EventQuery(where=parse(text, T0)))
    if index is None:
        assert walks == 0
    else:
        assert index in steps
    assert "TEMP B-TREE" not in steps
    upward, _ = await explained(reader, database, EventQuery(where=parse(text, T0)), ascending=True)
    assert "TEMP B-TREE" not in upward


async def test_deleted_rows_leave_the_side_table(database: Path) -> None:
    async with aiosqlite.connect(database) as connection:
        await connection.execute("DELETE FROM events WHERE seq <= 100")
        rows = list(
            await connection.execute_fetchall("SELECT count(*) FROM events_policies WHERE event_seq <= 100")
        )
        beyond = list(await connection.execute_fetchall("SELECT count(*) FROM events_policies"))
        await connection.rollback()
    assert rows[0][0] == 0 and beyond[0][0] > 0
