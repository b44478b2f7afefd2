"""What every event store must do. A new backend joins BACKENDS and must pass unchanged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest
from events_factory import T0, make_event, until

from proxy.events.event import Event
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.store import Counters, EventQuery, EventStore, Listener


class MemoryEventStore:
    """The smallest store that keeps the contract: the yardstick of this suite."""

    def __init__(self) -> None:
        self._waiting: list[Event] = []
        self._rows: dict[str, Event] = {}
        self._listeners: list[Listener] = []
        self._accepted = self._duplicates = self._seq = 0

    async def start(self) -> None:
        return None

    async def close(self) -> None:
        self._flush()

    def append(self, event: Event) -> None:
        self._accepted += 1
        self._waiting.append(event)
        asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        batch: list[Event] = []
        for event in self._waiting:
            if event.id in self._rows:
                self._duplicates += 1
                continue
            self._seq += 1
            event.seq = self._seq
            self._rows[event.id] = event
            batch.append(event)
        self._waiting.clear()
        for listener in list(self._listeners) if batch else []:
            listener(batch)

    async def query(self, query: EventQuery) -> AsyncIterator[Event]:
        wanted = [
            event
            for event in self._rows.values()
            if (query.since_ms is None or event.timestamp_ms >= query.since_ms)
            and (query.until_ms is None or event.timestamp_ms < query.until_ms)
            and query.model in (None, event.model)
            and query.provider in (None, event.provider)
            and query.decision in (None, event.decision)
            and query.tag in (None, event.ab_tag)
            and (query.after_seq is None or event.seq > query.after_seq)
            and (query.before_seq is None or event.seq < query.before_seq)
        ]
        if query.limit is not None:
            wanted = wanted[len(wanted) - min(query.limit, len(wanted)) :]
        for event in wanted if query.ascending else reversed(wanted):
            yield event

    async def get(self, event_id: str) -> Event | None:
        return self._rows.get(event_id)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def counters(self) -> Counters:
        dropped = {"duplicate": self._duplicates} if self._duplicates else {}
        return Counters(self._accepted, len(self._rows), len(self._waiting), dropped, self._seq)


BACKENDS: dict[str, Callable[[Path], EventStore]] = {
    "memory": lambda _: MemoryEventStore(),
    "sqlite": lambda folder: SqliteEventStore(folder / "events.db", folder / "journal"),
}


@pytest.fixture(params=BACKENDS)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[EventStore]:
    opened = BACKENDS[request.param](tmp_path)
    await opened.start()
    try:
        yield opened
    finally:
        await opened.close()
        assert_law(opened)
        assert opened.counters().spilled == 0


def assert_law(store: EventStore) -> None:
    numbers = store.counters()
    assert numbers.accepted == numbers.stored + numbers.spilled + sum(numbers.dropped.values())


async def settled(store: EventStore, stored: int) -> None:
    assert_law(store)
    await until(lambda: store.counters().stored >= stored and store.counters().spilled == 0)
    assert_law(store)


async def found(store: EventStore, **asked: object) -> list[Event]:
    return [event async for event in store.query(EventQuery(**asked))]  # type: ignore[arg-type]


async def filled(store: EventStore, number: int) -> list[Event]:
    events = [make_event(timestamp_ms=T0 + index) for index in range(number)]
    for event in events:
        store.append(event)
    await settled(store, number)
    return events


async def test_an_event_comes_back_whole(store: EventStore) -> None:
    event = make_event(
        draw=2**64 - 1,
        policies_triggered=["ab", "naïve ✓"],
        facts={"max_tokens": 7, "has_tools": True, "header": {"x-team": "red"}, "prompt_chars": None},
        request_metadata={"team": "red"},
        stream=True,
        ttft_ms=80.25,
        quality_score=0.5,
        split="ab",
        ab_tag="variant-a",
        salt="",
        error=None,
    )
    store.append(event)
    await settled(store, 1)
    kept = await store.get(event.id)
    assert kept is not None
    event.seq = kept.seq
    assert kept == event
    assert kept.seq > 0
    assert await store.get("no such id") is None


async def test_visible_within_half_a_second(store: EventStore) -> None:
    began = time.monotonic()
    event = make_event()
    store.append(event)
    while await store.get(event.id) is None:
        assert time.monotonic() - began < 0.5
        await asyncio.sleep(0.005)


async def test_newest_first_and_the_limit_keeps_the_newest(store: EventStore) -> None:
    events = await filled(store, 30)
    ids = [event.id for event in events]
    assert [event.id for event in await found(store)] == ids[::-1]
    assert [event.id for event in await found(store, limit=7)] == ids[:-8:-1]
    assert [event.id for event in await found(store, limit=7, ascending=True)] == ids[-7:]
    assert await found(store, limit=0) == []
    assert len(await found(store, limit=10**30)) == 30


async def test_more_than_a_page_comes_whole(store: EventStore) -> None:
    events = await filled(store, 1_203)
    ids = [event.id for event in events]
    assert [event.id for event in await found(store)] == ids[::-1]
    assert [event.id for event in await found(store, ascending=True)] == ids
    assert [event.id for event in await found(store, limit=1_100, ascending=True)] == ids[-1_100:]
    assert [event.id for event in await found(store, limit=1_000)] == ids[:-1_001:-1]


async def test_windows_are_by_arrival_and_until_is_exclusive(store: EventStore) -> None:
    events = await filled(store, 10)
    ids = [event.id for event in events]
    window = await found(store, since_ms=T0 + 3, until_ms=T0 + 6, ascending=True)
    assert [event.id for event in window] == ids[3:6]
    assert await found(store, since_ms=T0 + 10) == []
    assert len(await found(store, since_ms=-(10**30), until_ms=10**30)) == 10


async def test_filters_hold_together(store: EventStore) -> None:
    wanted = make_event(model="claude", provider="anthropic", decision="redirect", split="ab", ab_tag="b")
    others = [
        make_event(),
        make_event(model="claude"),
        make_event(provider="anthropic", decision="redirect"),
        make_event(split="ab", ab_tag="a"),
    ]
    for event in [wanted, *others]:
        store.append(event)
    await settled(store, 5)
    assert len(await found(store, model="claude")) == 2
    assert len(await found(store, provider="anthropic")) == 2
    assert len(await found(store, decision="redirect")) == 2
    assert [event.id for event in await found(store, tag="b")] == [wanted.id]
    assert [event.id for event in await found(store, model="claude", decision="redirect")] == [wanted.id]
    assert await found(store, model="' OR 1=1 --") == []
    assert await found(store, model="\ud800") == []


async def test_seq_cuts_are_exclusive(store: EventStore) -> None:
    await filled(store, 5)
    rows = await found(store, ascending=True)
    middle = rows[2].seq
    assert [event.seq for event in await found(store, after_seq=middle)] == [rows[4].seq, rows[3].seq]
    assert [event.seq for event in await found(store, before_seq=middle)] == [rows[1].seq, rows[0].seq]
    assert store.counters().last_seq == rows[-1].seq


async def test_a_request_that_outlasts_the_tail_is_seen_by_the_tail(store: EventStore) -> None:
    """A long stream arrives first and is inserted last: a cursor made of time would pass it over."""
    running = make_event(timestamp_ms=T0, stream=True)
    store.append(make_event(timestamp_ms=T0 + 60_000))
    await settled(store, 1)
    tail = [event.seq for event in await found(store, ascending=True)]
    assert len(tail) == 1
    store.append(running)
    await settled(store, 2)
    after = await found(store, after_seq=tail[-1], ascending=True)
    assert [event.id for event in after] == [running.id]


async def test_listeners_hear_of_stored_events_in_order_of_seq(store: EventStore) -> None:
    batches: list[Sequence[Event]] = []
    end = store.subscribe(batches.append)
    events = await filled(store, 40)
    heard = [event for batch in batches for event in batch]
    assert [event.id for event in heard] == [event.id for event in events]
    assert [event.seq for event in heard] == sorted({event.seq for event in heard})
    assert all([await store.get(event.id) for event in heard])
    end()
    store.append(make_event())
    await settled(store, 41)
    assert sum(map(len, batches)) == 40


async def test_rows_inserted_while_reading_are_not_doubled(store: EventStore) -> None:
    events = await filled(store, 1_100)
    seen: list[str] = []
    async for event in store.query(EventQuery()):
        seen.append(event.id)
        if len(seen) in (1, 600):
            store.append(make_event())
            await asyncio.sleep(0)
    await settled(store, 1_102)
    assert len(seen) == len(set(seen))
    assert set(seen) >= {event.id for event in events}


async def test_a_repeated_id_is_stored_once_and_accounted_for(store: EventStore) -> None:
    event = make_event()
    store.append(event)
    store.append(make_event(id=event.id, model="other"))
    await settled(store, 1)
    store.append(make_event(id=event.id))
    await until(lambda: store.counters().spilled == 0)
    assert store.counters().dropped == {"duplicate": 2}
    assert [row.model for row in await found(store)] == ["gpt-4o"]


async def test_closing_writes_what_was_accepted(tmp_path: Path) -> None:
    store = BACKENDS["sqlite"](tmp_path)
    await store.start()
    events = [make_event() for _ in range(700)]
    for event in events:
        store.append(event)
    await store.close()
    assert store.counters().stored == 700
    again = BACKENDS["sqlite"](tmp_path)
    await again.start()
    try:
        assert [event.id for event in await found(again, ascending=True)] == [event.id for event in events]
    finally:
        await again.close()
