"""The feed tells every request once, in order, whatever happens between list and stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from fake_api import NOW, FakeGateway, event

from ktui.answers import Config, EventRow, Status
from ktui.feed import Feed


class Ear:
    def __init__(self) -> None:
        self.told: list[int] = []
        self.holes: list[int] = []
        self.lost = 0

    def feed_status(self, status: Status) -> None: ...

    def feed_config(self, config: Config) -> None: ...

    def feed_events(self, rows: list[EventRow]) -> None:
        self.told += [row.seq for row in rows]

    def feed_missed(self) -> None:
        self.holes.append(len(self.told))

    def feed_lost(self, reason: str) -> None:
        self.lost += 1


@asynccontextmanager
async def listening(fake: FakeGateway) -> AsyncIterator[Ear]:
    ear = Ear()
    task = asyncio.create_task(Feed(fake.link(), ear, patience=(0.01,)).run())
    try:
        yield ear
    finally:
        task.cancel()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(8):
        while not condition():
            await asyncio.sleep(0.01)


async def test_what_is_stored_between_the_list_and_the_stream_is_told() -> None:
    fake = FakeGateway()
    opened, plain = asyncio.Event(), fake._stream

    async def late() -> AsyncIterator[bytes]:
        if not opened.is_set():
            opened.set()
            fake.events.append(event(19, NOW))  # Stored, and nobody listened yet.
        async for chunk in plain():
            yield chunk

    fake._stream = late  # type: ignore[method-assign]
    async with listening(fake) as ear:
        await until(lambda: 20 in ear.told)
        fake.add_events(2)
        await until(lambda: 22 in ear.told)
    assert sorted(set(ear.told)) == list(range(1, 23))
    assert not ear.holes


async def test_a_pause_is_made_up_for_without_a_hole() -> None:
    fake = FakeGateway()
    async with listening(fake) as ear:
        await until(lambda: bool(fake._queues))
        fake.down = True
        fake.break_streams()
        await until(lambda: ear.lost > 0)
        fake.add_events(700)
        fake.down = False
        await until(lambda: 719 in ear.told)
    assert list(dict.fromkeys(ear.told)) == list(range(1, 720))
    assert not ear.holes


async def test_more_missed_than_is_fetched_is_a_hole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ktui.feed.MOST_MISSED", 100)
    fake = FakeGateway()
    async with listening(fake) as ear:
        await until(lambda: bool(fake._queues))
        fake.down = True
        fake.break_streams()
        await until(lambda: ear.lost > 0)
        fake.add_events(700)
        fake.down = False
        await until(lambda: 719 in ear.told)
    hole = ear.holes[0]
    assert ear.told[hole - 1] == 19 and ear.told[hole] == 620


async def test_another_store_is_told_from_its_beginning() -> None:
    fake = FakeGateway()
    fake.add_events(100)
    async with listening(fake) as ear:
        await until(lambda: bool(fake._queues))
        told = len(ear.told)
        fake.events = [event(i, NOW + timedelta(seconds=i)) for i in range(3)]
        events: dict[str, Any] = fake.status["events"]
        events["last_seq"] = 3
        fake.break_streams()
        await until(lambda: ear.told[told:][:3] == [1, 2, 3])
        assert ear.holes
