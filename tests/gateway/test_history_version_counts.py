"""How many requests each version met: by arrival, from its apply to the next one of any file."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from control_support import Running, gateway

from proxy.config.state import StoredVersion
from proxy.config.versions import VersionStore
from proxy.control.hub import Hub
from proxy.control.version_counts import COUNTED_ANEW_MS, SETTLED_MS, VersionCounts
from proxy.events.errors import StoreError


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with gateway(tmp_path) as started:
        yield started


async def test_requests_count_for_the_version_they_met(running: Running) -> None:
    async with running.control() as control:
        await running.ask(3)
        text = running.policy.read_text() + "# again\n"
        answer = await control.put("/v1/config", json={"text": text}, headers={"If-Match": "*"})
        assert answer.json()["number"] == 2
        await running.ask(2)
        listed = (await control.get("/v1/config/versions")).json()["versions"]
        assert {item["number"]: item["events"] for item in listed} == {1: 3, 2: 2}


def stored(number: int) -> StoredVersion:
    return StoredVersion(number, "h", 0, "", "", "")


async def test_the_apply_of_another_file_ends_the_span_of_the_one_before(tmp_path: Path) -> None:
    versions = VersionStore(tmp_path / "versions.db")
    await versions.open()
    try:
        for path, at in (("a", 100), ("b", 200), ("a", 300)):
            await versions.add(path, StoredVersion(0, "h", at, "", "", "", "text"))
        assert await versions.spans("a") == {1: (100, 200), 3: (300, None)}
        assert await versions.spans("b") == {2: (200, 300)}
        assert await versions.spans("a", limit=1) == {3: (300, None)}
    finally:
        await versions.close()


class Counting:
    """Stands for hub, configuration and store; remembers which spans were asked for."""

    def __init__(self, spans: dict[int, tuple[int, int | None]]) -> None:
        self.spans = spans
        self.asked: list[list[tuple[int, int | None]]] = []
        self.broken = False
        self.now = 10 * SETTLED_MS
        config = SimpleNamespace(version_spans=self.version_spans)
        hub = SimpleNamespace(config=config, store=self, clock_ms=lambda: self.now)
        self.counts = VersionCounts(cast(Hub, cast(Any, hub)))

    async def version_spans(self) -> dict[int, tuple[int, int | None]]:
        return self.spans

    async def count_between(self, spans: Sequence[tuple[int, int | None]]) -> list[int]:
        if self.broken:
            raise StoreError("it is locked")
        self.asked.append(list(spans))
        return [7] * len(spans)


async def test_spans_that_no_longer_grow_are_counted_once_for_some_minutes() -> None:
    old, fresh = (0, SETTLED_MS), (9 * SETTLED_MS + 1, None)
    store = Counting({1: old, 2: fresh})
    for _ in range(2):
        assert await store.counts.of([stored(2), stored(1)]) == {1: 7, 2: 7}
    assert store.asked == [[fresh, old], [fresh]]
    store.now += COUNTED_ANEW_MS + 1
    await store.counts.of([stored(2), stored(1)])
    assert store.asked[-1] == [fresh, old]


async def test_a_store_that_cannot_be_read_gives_no_numbers_and_no_error() -> None:
    store = Counting({1: (0, None)})
    store.broken = True
    assert await store.counts.of([stored(1)]) == {}
