"""Feedback on its way to the database: what waits, what is refused, what cannot hurt the writer."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from events_factory import T0, make_event

from proxy.base.times import now_ms
from proxy.events import feedback_queue
from proxy.events.errors import StoreError
from proxy.events.feedback import Feedback, Kept
from proxy.events.feedback_queue import FeedbackQueue, storable
from proxy.events.sqlite_store import SqliteEventStore

GIVEN = Feedback("e", T0, "ann", score=0.5, request_key="k")


class Database:
    """Knows some events; fails when told to."""

    def __init__(self) -> None:
        self.events: set[str] = set()
        self.written: list[Feedback] = []
        self.is_broken = False

    async def write(self, given: Sequence[Feedback]) -> list[Kept | None]:
        if self.is_broken:
            raise sqlite3.OperationalError("database is locked")
        self.written += [item for item in given if item.event_id in self.events]
        return [Kept(item, True) if item.event_id in self.events else None for item in given]


async def test_an_event_on_its_way_is_waited_for() -> None:
    queue, database = FeedbackQueue(), Database()
    waiting = asyncio.ensure_future(queue.put(GIVEN))
    await queue.settle(database.write, is_all_stored=False)
    await asyncio.sleep(0)
    assert not waiting.done()
    database.events.add("e")
    await queue.settle(database.write, is_all_stored=False)
    assert await waiting == Kept(GIVEN, True)


async def test_an_unknown_event_is_told_once_all_are_stored_or_patience_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    queue, database = FeedbackQueue(), Database()
    first = asyncio.ensure_future(queue.put(GIVEN))
    await queue.settle(database.write, is_all_stored=True)
    assert await first is None
    monkeypatch.setattr(feedback_queue, "PATIENCE_S", 0.0)
    second = asyncio.ensure_future(queue.put(GIVEN))
    await queue.settle(database.write, is_all_stored=False)
    assert await second is None


async def test_what_could_not_be_written_keeps_its_order() -> None:
    queue, database = FeedbackQueue(), Database()
    database.events.add("e")
    answers = [asyncio.ensure_future(queue.put(replace(GIVEN, score=number / 500))) for number in range(450)]
    database.is_broken = True
    with pytest.raises(sqlite3.OperationalError):
        await queue.settle(database.write, is_all_stored=True)
    database.is_broken = False
    await queue.settle(database.write, is_all_stored=True)
    await asyncio.gather(*answers)
    assert [item.score for item in database.written] == [number / 500 for number in range(450)]


async def test_nobody_waits_for_ever_and_not_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback_queue, "WITHIN_S", 0.01)
    monkeypatch.setattr(feedback_queue, "ROOM", 1)
    queue, database = FeedbackQueue(), Database()
    with pytest.raises(StoreError, match="try again"):
        await queue.put(GIVEN)
    with pytest.raises(StoreError, match="too much feedback"):
        queue.put(GIVEN)
    database.events.add("e")
    await queue.settle(database.write, is_all_stored=True)
    assert database.written == []


async def test_what_waits_at_the_end_is_told() -> None:
    queue = FeedbackQueue()
    waiting = asyncio.ensure_future(queue.put(GIVEN))
    queue.refuse()
    with pytest.raises(StoreError, match="closed"):
        await waiting


def test_hostile_texts_are_made_storable() -> None:
    evil = "a\ud800\x00b"
    clean = storable(
        replace(GIVEN, event_id=evil, who=evil, label=evil, comment=evil * 2_000, request_key=evil)
    )
    for value in (clean.event_id, clean.who, clean.label, clean.comment, clean.request_key):
        assert value is not None and "\x00" not in value and value.encode()
    for score in (float("nan"), float("inf"), -0.1, 1.1):
        with pytest.raises(ValueError, match="from 0 to 1"):
            storable(replace(GIVEN, score=score))


async def test_hostile_feedback_leaves_the_store_working(tmp_path: Path) -> None:
    store = SqliteEventStore(tmp_path / "events.db", tmp_path / "journal")
    await store.start()
    event = make_event(timestamp_ms=now_ms())
    try:
        store.append(event)
        evil = Feedback(event.id, T0, "\ud800", label="\ud800\x00", request_key="k")
        kept = await store.give_feedback(evil)
        assert kept is not None and kept.is_new
        assert await store.give_feedback(replace(evil, event_id="\ud800", request_key="l")) is None
        assert (await store.give_feedback(replace(evil, score=0.25, request_key="m"))) is not None
        found = await store.get(event.id)
        assert found is not None and found.quality_score == 0.25
        assert [item.score for item in await store.feedback_of(event.id)] == [0.25, None]
    finally:
        await store.close()
    with pytest.raises(StoreError, match="closed"):
        await store.give_feedback(GIVEN)
