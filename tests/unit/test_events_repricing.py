"""Prices that come late: events get their cost, and the roll-ups follow as if it had always been theirs."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from events_factory import T0, make_event, until
from hypothesis import given, settings
from hypothesis import strategies as st
from test_events_rollups import EVENTS, mark, same_as_events, score, stored

from proxy.base.worker import Worker
from proxy.events import folding, repricing
from proxy.events.event import Event
from proxy.events.filter import parse
from proxy.events.repricing import Cost, Repricing
from proxy.events.rollups.cells import COUNTS, DIMENSIONS
from proxy.events.rollups.read import Wanted
from proxy.events.rollups.table import USERS_BEFORE_CUT
from proxy.events.sqlite_store import SqliteEventStore
from proxy.wire.usage import Usage

ALL = {"since_ms": 0, "until_ms": None}


@pytest.fixture(scope="module", autouse=True)
def small_and_soon() -> Iterator[None]:
    """Rounds of folding follow each other at once, and a few events take several transactions."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "EVERY_S", 0.05)
        patch.setattr(repricing, "BATCH", 7)
        yield


def by_tokens(provider: str, target: str | None, model: str, usage: Usage, is_estimate: bool) -> Cost | None:
    """No price for o3, nothing certain of azure; else seven nano-dollars a token, eleven of them written ones."""
    if target == "azure":
        return None
    if model == "o3" or usage.input_tokens is None or usage.output_tokens is None:
        return None, "unpriced", None
    nanos = 7 * usage.input_tokens + 11 * usage.output_tokens
    return nanos, "estimated" if is_estimate else "priced", "file"


def repriced(event: Event, *, every: bool) -> bool:
    """Gives `event` what it should cost then; whether that is something else."""
    if event.cost_status == "none" or not (every or event.cost_status == "unpriced"):
        return False
    usage = Usage(event.input_tokens, event.output_tokens)
    cost = by_tokens("", event.target, event.model, usage, event.usage_status == "estimated")
    if cost is None or cost[:2] == (event.cost_nanos, event.cost_status):
        return False
    event.cost_nanos, event.cost_status = cost[0], cost[1]  # type: ignore[assignment]
    return True


async def reprice(store: SqliteEventStore, **wanted: Any) -> repricing.Repriced:
    done = await store.reprice(Repricing(**wanted), by_tokens, 60)
    assert done.next_seq is None
    return done


async def figures(store: SqliteEventStore) -> dict[Any, Any]:
    """All cells with their sketches, and sums of squares as far as floats are the same in any order."""
    found = {}
    for dimension in DIMENSIONS:
        for key, cell in (await store.rollups(Wanted(dimension, **ALL))).cells.items():
            sketches = [(sketch.zeros, sketch.count, dict(sketch.buckets)) for sketch in cell.sketches]
            squares = [pytest.approx(square, rel=1e-9, abs=1e-9) for square in cell.squares]
            found[dimension, *key] = (cell.counts, squares, sketches)
    return found


@settings(max_examples=12, deadline=None)
@given(st.lists(EVENTS, min_size=2, max_size=30), st.booleans(), st.data())
async def test_roll_ups_are_those_of_events_that_had_always_cost_that(
    events: list[Event], every: bool, data: st.DataObject
) -> None:
    for number, event in enumerate(events):
        event.id = f"event-{number}"
        event.usage_status = data.draw(st.sampled_from(["reported", "estimated"]))
    half = len(events) // 2
    with tempfile.TemporaryDirectory() as name:
        place = Path(name, "changed")
        place.mkdir()
        store = await stored(place, events[:half])
        # Some folded, some not; then a restart, late rows and a late score, and all of it once more.
        await until(lambda: mark(place) == half)
        for event in events[half:]:
            store.append(event)
        await until(lambda: store.counters().stored == len(events))
        changed = sum(repriced(event, every=every) for event in events)
        assert (await reprice(store, every=every)).changed == changed
        await same_as_events(store, events, **ALL)
        await store.close()
        store = await stored(place, [])
        try:
            await until(lambda: mark(place) == len(events))
            await score(store, events[0], 0.5)
            late = make_event(id="late", timestamp_ms=events[0].timestamp_ms, input_tokens=9, output_tokens=1,
                              cost_nanos=None, cost_status="unpriced", attempts=1)  # fmt: skip
            store.append(late)
            await until(lambda: mark(place) == len(events) + 1)
            assert repriced(late, every=False) and (await reprice(store)).changed == 1
            await same_as_events(store, [*events, late], **ALL)
            Path(name, "fresh").mkdir()
            fresh = await stored(Path(name, "fresh"), [*events, late])
            try:
                await until(lambda: mark(Path(name, "fresh")) == len(events) + 1)
                assert await figures(store) == await figures(fresh)
            finally:
                await fresh.close()
            assert (await reprice(store, every=every)).changed == 0, "the same twice changes nothing"
        finally:
            await store.close()


async def test_it_is_told_first_and_done_in_parts(tmp_path: Path) -> None:
    events = [
        make_event(model=model, target="openai", cost_nanos=None, cost_status="unpriced", input_tokens=10,
                   output_tokens=n, timestamp_ms=T0 + n)
        for n, model in enumerate(["gpt-4o", "o3"] * 20)
    ]  # fmt: skip
    events.append(make_event(target="azure", cost_nanos=None, cost_status="unpriced", timestamp_ms=T0 + 99))
    expected = sum(70 + 11 * n for n in range(0, 40, 2))
    store = await stored(tmp_path, events)
    try:
        told = await store.reprice(Repricing(), by_tokens, 60, dry_run=True)
        assert (told.changed, told.before, told.after) == (20, 0, expected)
        assert (told.unpriced, told.unclear) == (20, 1)
        assert all(event.cost_status == "unpriced" for event in [await store.get(e.id) for e in events])
        parts, after_seq, done = 0, 0, 0
        while True:
            step = await store.reprice(Repricing(after_seq=after_seq), by_tokens, 0)
            parts, done = parts + 1, done + step.changed
            if step.next_seq is None:
                break
            after_seq = step.next_seq
        assert parts > 2 and done == 20
        found = [await store.get(event.id) for event in events]
        assert sum(event.cost_nanos or 0 for event in found if event) == expected
        assert {event.price_source for event in found if event and event.cost_nanos} == {"file"}
    finally:
        await store.close()


async def test_only_what_is_asked_for_is_touched(tmp_path: Path) -> None:
    events = [
        make_event(id=f"{n}", key=key, timestamp_ms=T0 + n, input_tokens=1, output_tokens=1, target="openai",
                   cost_nanos=nanos, cost_status=status)
        for n, (key, nanos, status) in enumerate(
            [("a", None, "unpriced"), ("b", None, "unpriced"), ("a", 5, "priced"), ("a", None, "none")]
        )
    ]  # fmt: skip
    store = await stored(tmp_path, events)

    async def costs() -> list[int | None]:
        return [event.cost_nanos for event in [await store.get(f"{n}") for n in range(4)] if event]

    try:
        assert (await reprice(store, where=parse("key:b", 0), until_ms=T0)).changed == 0
        await reprice(store, where=parse("key:b", 0))
        assert await costs() == [None, 18, 5, None]
        await reprice(store, since_ms=T0 + 1, every=True)
        assert await costs() == [None, 18, 18, None], "what never went upstream has no cost"
    finally:
        await store.close()


async def test_users_that_went_into_the_rest_are_repriced_there(tmp_path: Path) -> None:
    number = USERS_BEFORE_CUT + 30
    events = [
        make_event(unit_kind="user", unit_digest=f"user-{n}", cost_nanos=None, cost_status="unpriced",
                   input_tokens=1, output_tokens=1, target="openai")
        for n in range(number)
    ]  # fmt: skip
    store = await stored(tmp_path, events)
    try:
        await until(lambda: mark(tmp_path) == number, 20)
        assert (await reprice(store)).changed == number
        cells = (await store.rollups(Wanted("user", **ALL))).cells
        fields = {name: index for index, name in enumerate(COUNTS)}
        for name, expected in (("priced", number), ("unpriced", 0), ("cost_nanos", 18 * number)):
            assert sum(cell.counts[fields[name]] for cell in cells.values()) == expected
    finally:
        await store.close()


async def test_a_price_during_the_counting_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was counted at the old price is thrown away, and counted again at the new one."""
    monkeypatch.setattr(folding, "FEW", 0)
    going, go = asyncio.Event(), asyncio.Event()
    worker = Worker()
    run = worker.run

    async def held(*arguments: Any, **more: Any) -> Any:
        answer = await run(*arguments, **more)
        going.set()
        await go.wait()
        return answer

    worker.run = held  # type: ignore[method-assign]
    events = [
        make_event(id=f"{n}", timestamp_ms=T0 + n, cost_nanos=None, cost_status="unpriced", target="openai",
                   input_tokens=n, output_tokens=1)
        for n in range(60)
    ]  # fmt: skip
    store = await stored(tmp_path, events, worker)
    try:
        await asyncio.wait_for(going.wait(), 10)
        assert mark(tmp_path) == 0 and all(repriced(event, every=False) for event in events)
        assert (await reprice(store)).changed == 60
        go.set()
        await until(lambda: mark(tmp_path) == len(events), 20)
        await same_as_events(store, events, **ALL)
    finally:
        await store.close()
        await worker.close()
