"""What the policy file says about how much is kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from control_support import gateway
from pydantic import ValidationError

from proxy.base.ids import uuid7
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.store import EventQuery
from proxy.policy.schema import EventsSpec
from proxy.policy.spec import bytes_of


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GiB", 2 * 1024**3), ("500MB", 500_000_000), ("1.5 TiB", 3 * 1024**4 // 2), ("2G", None), ("GiB", None),
     ("1e3MB", None), ("9" * 400 + "MB", None)],
)  # fmt: skip
def test_a_size_is_read_with_its_unit(text: str, size: int | None) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["2", "2 gigabytes", "1MB", "0GiB", "2000TiB", "-1GiB"])
def test_what_is_no_size_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValidationError, match="must be a size such as 500MB or 2GiB"):
        EventsSpec(max_size=text)


async def test_a_smaller_size_lets_the_oldest_go_at_once(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        store = running.service.hub.store
        assert isinstance(store, SqliteEventStore)
        await running.ask(1)
        kept = await anext(store.query(EventQuery(limit=1)))
        events = [replace(kept, id=uuid7(), facts={"note": "x" * 6_000}) for _ in range(1_500)]
        first, last = events[0], events[-1]
        for event in events:
            store.append(event)
        async with asyncio.timeout(30):
            # What the roll-ups have not taken in may not go.
            while store.counters().stored <= len(events) or await store.not_rolled_up():
                await asyncio.sleep(0.02)
        assert not store.forgotten
        running.policy.write_text(running.policy.read_text() + "events: {max_size: 6MiB}\n")
        async with asyncio.timeout(20):
            while not store.forgotten["size"]:
                await asyncio.sleep(0.02)
        assert await store.get(last.id) is not None and await store.get(first.id) is None
