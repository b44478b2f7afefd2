"""Bodies in the store: with their event, apart from it, and gone without a trace."""

from __future__ import annotations

import base64
import random
import zlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from events_factory import T0, make_event, until

from proxy.base.ids import uuid7
from proxy.base.times import now_ms
from proxy.events.bodies import Capture
from proxy.events.codec import decode, prepare
from proxy.events.event import Bodies, Body, Event
from proxy.events.feedback import Feedback
from proxy.events.filter import matcher, parse
from proxy.events.purge import Amount, Purge
from proxy.events.retention import Limits
from proxy.events.rollups.cells import COUNTS
from proxy.events.rollups.read import Wanted
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.store import EventQuery


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteEventStore]:
    store = SqliteEventStore(tmp_path / "events.db", tmp_path / "journal")
    await store.start()
    yield store
    await store.close()


def with_bodies(asked: bytes = b'{"a": 1}', answered: bytes = b'{"b": 2}', **changes: object) -> Event:
    both = Bodies(
        Body(asked, len(asked), "application/json"), Body(answered, len(answered) + 5, "text/plain")
    )
    return make_event(bodies=both, **changes)


def test_a_capture_holds_the_beginning_and_counts_all() -> None:
    capture = Capture(10)
    for part in (b"123456", b"", b"789abc", b"def"):
        capture.add(part)
    body = capture.body()
    assert (body.data, body.size, body.truncated) == (b"123456789a", 15, True)


def test_bodies_go_through_the_journal_whatever_their_size() -> None:
    big = bytes(range(256)) * 2048
    event = with_bodies(big, b"\xff\x00")
    storable, payload = prepare(event)
    assert storable is event, "long bodies must not make an event that has to be cut"
    assert decode(payload).bodies == event.bodies
    assert decode(prepare(make_event())[1]).bodies is None
    assert decode(payload.replace(b'"bodies":{', b'"bodies":7,"b":{')).bodies is None


async def test_stored_beside_the_event_and_read_by_its_id(store: SqliteEventStore) -> None:
    event, bare = with_bodies(), make_event()
    kept = event.bodies
    told: list[Event] = []
    store.subscribe(told.extend)
    store.append(event)
    store.append(bare)
    await until(lambda: len(told) == 2)
    assert all(one.bodies is None for one in told), "no listener holds bodies in memory"
    found = await store.bodies_of(event.id)
    assert found is not None and found.bodies == kept
    nothing = await store.bodies_of(bare.id)
    assert nothing is not None and nothing.bodies is None and nothing.gone is None
    assert await store.bodies_of("nobody") is None


async def test_bodies_left_in_the_journal_by_a_crash_are_stored(tmp_path: Path) -> None:
    directory = tmp_path / "journal"
    directory.mkdir()
    event = with_bodies()
    payload = prepare(event)[1]
    (directory / "1.journal").write_bytes(b"%08x %b\n" % (zlib.crc32(payload), payload))
    store = SqliteEventStore(tmp_path / "events.db", directory)
    await store.start()
    try:
        found = await store.bodies_of(event.id)
        assert found is not None and found.bodies == event.bodies
    finally:
        await store.close()


def traces(directory: Path, canary: bytes) -> list[str]:
    return [path.name for path in directory.rglob("*") if path.is_file() and canary in path.read_bytes()]


def stored_form(text: bytes) -> bytes:
    return zlib.compress(text, 1)


async def settled(store: SqliteEventStore, number: int) -> None:
    await until(lambda: store.total() == number and store.counters().spilled == 0)


async def test_a_purge_of_bodies_leaves_the_events_and_no_trace(
    store: SqliteEventStore, tmp_path: Path
) -> None:
    secret = b"canary-" + uuid7().encode()
    old, new = with_bodies(secret, timestamp_ms=T0), with_bodies(timestamp_ms=T0 + 5_000)
    for event in (old, new):
        store.append(event)
    await settled(store, 2)
    assert traces(tmp_path, stored_form(secret)), "what is looked for afterwards must be there before"
    purge = Purge("bodies", before_ms=T0 + 1)
    assert await store.count_purge(purge) == Amount(1, 1)
    purged = await store.purge(purge, 5.0)
    assert (purged.removed, purged.more, purged.traces) == (Amount(0, 1), False, False)
    assert not traces(tmp_path, stored_form(secret))
    assert not traces(tmp_path, secret) and not traces(tmp_path, base64.b64encode(secret)[:-4])
    assert store.total() == 2
    found, other = await store.bodies_of(old.id), await store.bodies_of(new.id)
    assert found is not None and found.bodies is None and found.gone == "purged" and found.gone_ms is not None
    assert other is not None and other.bodies is not None
    assert await store.count_purge(purge) == Amount(1, 0)


async def test_large_bodies_leave_no_trace_either(store: SqliteEventStore, tmp_path: Path) -> None:
    noise = random.Random(7).randbytes(60_000)
    store.append(with_bodies(noise))
    await settled(store, 1)
    piece = stored_form(noise)[20_000:20_100]
    assert traces(tmp_path, piece)
    await store.purge(Purge("bodies"), 5.0)
    assert not traces(tmp_path, piece)


async def test_a_purge_of_events_takes_what_belongs_to_them_and_leaves_the_figures(
    store: SqliteEventStore, tmp_path: Path
) -> None:
    secret = b"canary-" + uuid7().encode()
    doomed = [
        with_bodies(secret, model="gpt-4o-mini", error_message=secret.decode(), policies_triggered=["p"])
        for _ in range(1_201)
    ]
    for event in doomed:
        store.append(event)
    spared = make_event()
    store.append(spared)
    await settled(store, 1_202)
    await store.give_feedback(Feedback(doomed[0].id, T0, "anna", comment=secret.decode(), request_key="k"))
    where = parse("model:gpt-4o-mini", T0)
    assert await store.count_purge(Purge("events", where=where)) == Amount(1_201, 1_201)
    purged = await store.purge(Purge("events", where=where), 10.0)
    assert (purged.removed, purged.more) == (Amount(1_201, 1_201), False)
    assert store.total() == 1 and await store.get(spared.id) is not None
    assert await store.bodies_of(doomed[0].id) is None and await store.feedback_of(doomed[0].id) == []
    assert not traces(tmp_path, secret) and not traces(tmp_path, stored_form(secret))
    figures = await store.rollups(Wanted("model", T0 - 60_000, None))
    counted = {value: cell.counts[COUNTS.index("requests")] for (_, value), cell in figures.cells.items()}
    assert counted == {"gpt-4o-mini": 1_201, "gpt-4o": 1}


async def test_a_purge_out_of_time_says_so_and_can_go_on(store: SqliteEventStore) -> None:
    for _ in range(600):
        store.append(make_event())
    await settled(store, 600)
    first = await store.purge(Purge("events"), 0.0)
    assert first.more and first.removed == Amount(0, 0)
    assert (await store.purge(Purge("events"), 10.0)).removed == Amount(600, 0)


async def test_bodies_go_by_age_and_by_size_before_their_events(tmp_path: Path) -> None:
    limits = Limits(age_ms=10**15, bodies_age_ms=now_ms() - T0, bodies_bytes=10**9)
    store = SqliteEventStore(tmp_path / "events.db", tmp_path / "journal", limits=limits, tidy_every_s=0.01)
    await store.start()
    try:
        old, new = with_bodies(timestamp_ms=T0 - 9), with_bodies(timestamp_ms=now_ms())
        store.append(old)
        store.append(new)
        await until(lambda: store.forgotten["bodies"] == 1)
        found = await store.bodies_of(old.id)
        assert found is not None and found.gone == "age" and store.total() == 2
        store.keep(replace(limits, bodies_bytes=10))
        await until(lambda: store.forgotten["bodies"] == 2)
        found = await store.bodies_of(new.id)
        assert found is not None and found.gone == "size"
    finally:
        await store.close()


async def test_events_are_found_by_whether_their_bodies_are_kept(store: SqliteEventStore) -> None:
    kept, emptied = with_bodies(model="a"), with_bodies(model="b")
    others = [make_event(policies_triggered=["p"]) for _ in range(30)]
    for event in (*others, kept, emptied):
        store.append(event)
    await settled(store, 32)
    await store.purge(Purge("bodies", where=parse("model:b", T0)), 5.0)

    async def found(text: str) -> set[str]:
        return {event.id async for event in store.query(EventQuery(where=parse(text, T0)))}

    assert await found("has:body") == {kept.id}
    assert await found("not has:body model:b,gpt-4o") == {emptied.id, *(event.id for event in others)}
    assert await found("has:body,split") == {kept.id}
    assert await found("policy:p not has:body") == {event.id for event in others}
    assert await found("has:body model:b") == set()
    assert await store.count_purge(Purge("bodies", where=parse("has:body", T0))) == Amount(1, 1)
    test = matcher(parse("has:body", T0))
    assert test(with_bodies()) and not test(make_event())
