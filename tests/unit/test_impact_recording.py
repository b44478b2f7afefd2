"""What is stored of a request is read back as the same facts, or marked as something else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from events_factory import T0, make_event, until

from proxy.events.codec import prepare
from proxy.events.errors import StoreError
from proxy.events.event import Event
from proxy.events.recorded_requests import read_request_by_id, read_requests, request_of, usage_of
from proxy.events.sqlite_store import SqliteEventStore
from proxy.policy.recorded import arrival

FACTS = {
    "has_tools": True,
    "has_images": False,
    "max_tokens": 5,
    "units": {"user": "ab"},
    "headers": {"x-a": None},
}


def event(**changes: Any) -> Event:
    return make_event(**{"facts": FACTS, **changes})


async def stored(path: Path, *events: Event) -> SqliteEventStore:
    store = SqliteEventStore(path / "events.db", path / "journal")
    await store.start()
    for item in events:
        store.append(item)
    await until(lambda: store.counters().stored == len(events))
    return store


async def test_a_stored_request_is_the_one_that_was_recorded(tmp_path: Path) -> None:
    full = event(
        id="full",
        stream=True,
        key="web",
        draw=2**64 - 1,
        ab_tag="a",
        unit_kind="user",
        unit_digest="ab",
        policies_triggered=["x", "y"],
        config_version="v",
        cached_tokens=3,
        cache_write_tokens=2,
        reasoning_tokens=1,
    )
    bare = event(
        id="bare", cost_nanos=None, cost_status="none", facts={"has_tools": False, "has_images": False}
    )
    other = event(id="other", model="served", facts={**FACTS, "decided_model": "decided"})
    store = await stored(tmp_path, full, bare, other)
    try:
        # While the gateway's own store is open: the worker reads beside it.
        found = read_requests(tmp_path / "events.db", 10)
        assert found == [request_of(other), request_of(bare), request_of(full)]
        assert read_request_by_id(tmp_path / "events.db", "full") == found[2]
        assert read_request_by_id(tmp_path / "events.db", "\ud800") is None
    finally:
        await store.close()
    assert (found[0].model, found[0].served) == ("decided", "served")
    assert found[2].draw == 2**64 - 1
    assert (found[2].went_upstream, found[1].went_upstream) == (True, False)
    usage = usage_of(found[2])
    assert (usage.input_tokens, usage.output_tokens, usage.cached_tokens) == (1_000, 100, 3)
    assert (usage.cache_write_tokens, usage.reasoning_tokens) == (2, 1)


async def test_only_decided_requests_of_the_window_count_towards_the_last(tmp_path: Path) -> None:
    # The one that came first is stored last, as a long stream is.
    events = [event(id=f"e{n}", timestamp_ms=T0 + n) for n in range(1, 6)]
    refused = [event(id=f"r{n}", facts={}, timestamp_ms=T0 + 10) for n in range(3)]
    store = await stored(tmp_path, *events, *refused, event(id="late", timestamp_ms=T0))
    await store.close()
    path = tmp_path / "events.db"
    assert [item.id for item in read_requests(path, 3)] == ["late", "e5", "e4"]
    assert [item.id for item in read_requests(path, 3, T0 + 2)] == ["e5", "e4", "e3"]
    assert [item.id for item in read_requests(path, 9, T0 + 4)] == ["e5", "e4"]
    assert read_requests(path, 9, T0 + 11) == []


@pytest.mark.parametrize(
    ("changes", "marked"),
    [
        ({}, False),
        ({"error_message": "a\x00b"}, False),
        ({"facts": {**FACTS, "headers": {"x-a": "a\x00b"}}}, True),
        ({"facts": {**FACTS, "metadata": {"m": "\ud800"}}}, True),
        ({"facts": {**FACTS, "user": "u" * 300_000}}, True),
        ({"requested_model": "gpt\x00"}, True),
        ({"key": "\ud800"}, True),
    ],
)
def test_facts_that_cannot_be_stored_as_they_are_are_marked(changes: dict[str, Any], marked: bool) -> None:
    prepared, _ = prepare(event(**changes))
    assert prepared.facts.get("changed", False) is marked


def test_a_store_that_is_not_one_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no event store"):
        read_requests(tmp_path / "events.db", 1)
    (tmp_path / "events.db").write_bytes(b"not a database, but long enough to be looked at" * 40)
    with pytest.raises(StoreError, match="cannot read the event store"):
        read_requests(tmp_path / "events.db", 1)


def test_arrival_is_exact_to_the_millisecond() -> None:
    assert arrival(1_760_000_000_123).isoformat() == "2025-10-09T08:53:20.123000+00:00"
    assert arrival(0).isoformat() == "1970-01-01T00:00:00+00:00"
