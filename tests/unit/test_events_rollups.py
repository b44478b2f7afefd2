"""Roll-ups say what the events say: exactly in counts and sums, within the promise in quantiles."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from events_factory import T0, make_event, until
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.base.worker import Worker
from proxy.events import folding
from proxy.events.event import Event
from proxy.events.feedback import Feedback
from proxy.events.rollups.cells import COUNTS, DAY_MS, DIMENSIONS, GRAINS, HOUR_MS, MINUTE_MS
from proxy.events.rollups.counting import AT_MOST
from proxy.events.rollups.read import Wanted, spans
from proxy.events.rollups.table import OTHER, TOP_USERS, USERS_BEFORE_CUT
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.sqlite_writer import Writer


@pytest.fixture(scope="module", autouse=True)
def soon() -> Iterator[None]:
    """Rounds of folding follow each other at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "EVERY_S", 0.05)
        yield


EVENTS = st.builds(
    make_event,
    id=st.just(""),
    timestamp_ms=st.integers(T0, T0 + 3 * DAY_MS),
    model=st.sampled_from(["gpt-4o", "o3", "claude"]),
    target=st.sampled_from([None, "openai", "azure"]),
    decision=st.sampled_from(["allow", "block", "warn"]),
    outcome=st.sampled_from(["ok", "blocked", "error", "truncated", "client_cancelled"]),
    attempts=st.integers(0, 2),
    split=st.sampled_from([None, "ab"]),
    ab_tag=st.sampled_from([None, "ab-a", "ab-b"]),
    phase=st.sampled_from([None, "canary"]),
    key=st.sampled_from([None, "team", "batch"]),
    policies_triggered=st.sampled_from([[], ["ab"], ["ab", "cheap"], ["ab", "ab"]]),
    unit_kind=st.sampled_from(["user", "random"]),
    unit_digest=st.sampled_from(["aa", "bb"]),
    latency_ms=st.floats(0.001, 600_000),
    ttft_ms=st.none() | st.floats(0.001, 60_000),
    cost_nanos=st.none() | st.integers(0, 10**12),
    cost_status=st.sampled_from(["priced", "unpriced", "estimated"]),
    provider=st.sampled_from([None, "openai", "anthropic"]),
    quality_score=st.none() | st.floats(0, 1),
    input_tokens=st.none() | st.integers(0, 10**6),
    output_tokens=st.none() | st.integers(0, 10**5),
)


def values_of(event: Event, dimension: str) -> list[str]:
    single = {
        "all": "",
        "model": event.model,
        "provider": event.provider,
        "target": event.target,
        "key": event.key,
        "decision": event.decision,
    }
    if dimension in single:
        return [] if single[dimension] is None else [str(single[dimension])]
    if dimension == "policy":
        return list(dict.fromkeys(event.policies_triggered))
    if dimension == "user":
        return [str(event.unit_digest)] if event.unit_kind == "user" else []
    if dimension == "variant":
        return [f'["ab","{event.ab_tag}",""]'] if event.split and event.ab_tag else []
    return ['["ab","canary"]'] if event.split and event.phase else []


def counted(events: list[Event]) -> list[int]:
    """The figures of COUNTS, worked out from the events one by one."""
    upstream = [event for event in events if event.attempts]
    measured = [e for e in events if e.input_tokens is not None or e.output_tokens is not None]
    return [
        len(events),
        sum(event.outcome in ("error", "truncated", "client_cancelled") for event in events),
        sum(event.outcome == "blocked" for event in events),
        len(upstream),
        sum(event.ttft_ms is not None for event in events),
        sum(event.cost_nanos is not None for event in events),
        sum(event.cost_status == "unpriced" for event in events),
        len(measured),
        sum(event.cost_nanos or 0 for event in events),
        sum(event.input_tokens or 0 for event in events),
        sum(event.output_tokens or 0 for event in events),
        sum(event.cached_tokens or 0 for event in events),
        sum(event.reasoning_tokens or 0 for event in events),
        sum(int(event.latency_ms * 1_000 + 0.5) for event in upstream),
        sum(int(event.ttft_ms * 1_000 + 0.5) for event in events if event.ttft_ms is not None),
        sum(event.cost_status == "estimated" for event in events),
        sum(event.cost_nanos or 0 for event in events if event.cost_status == "estimated"),
        sum(event.quality_score is not None for event in events),
        sum(
            int(event.quality_score * 1_000_000 + 0.5) for event in events if event.quality_score is not None
        ),
    ]


def nearest_rank(values: list[float], q: float) -> float:
    return sorted(values)[int(q * (len(values) - 1))]


async def stored(place: Path, events: list[Event], worker: Worker | None = None) -> SqliteEventStore:
    store = SqliteEventStore(place / "events.db", place / "journal", worker=worker)
    await store.start()
    for event in events:
        store.append(event)
    await until(lambda: store.counters().stored == len(events))
    return store


def mark(place: Path) -> int:
    with sqlite3.connect(place / "events.db") as connection:
        return int(connection.execute("SELECT seq FROM rollup_mark").fetchone()[0])


async def same_as_events(store: SqliteEventStore, events: list[Event], **window: Any) -> None:
    for dimension in DIMENSIONS:
        expected: dict[str, list[Event]] = defaultdict(list)
        for event in events:
            for value in values_of(event, dimension):
                expected[value].append(event)
        found = await store.rollups(Wanted(dimension, **window))
        assert found.complete
        assert {value: cell.counts for (_, value), cell in found.cells.items()} == {
            value: counted(of) for value, of in expected.items()
        }
        for (_, value), cell in found.cells.items():
            latencies = [event.latency_ms for event in expected[value] if event.attempts]
            assert cell.squares[0] == pytest.approx(sum(ms**2 for ms in latencies), rel=1e-9)
            for q in (0.5, 0.95):
                if latencies:
                    assert cell.sketches[0].quantile(q) == pytest.approx(
                        nearest_rank(latencies, q), rel=0.0101
                    )


@settings(max_examples=15, deadline=None)
@given(st.lists(EVENTS, min_size=1, max_size=60), st.booleans())
async def test_every_dimension_equals_the_events(events: list[Event], folded_first: bool) -> None:
    for number, event in enumerate(events):
        event.id = f"event-{number}"
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        half = len(events) // 2
        store = await stored(place, events[:half] if folded_first else [])
        if folded_first and half:
            await until(lambda: mark(place) == half)
        # Late rows, of minutes that were folded already, and a restart between them.
        await store.close()
        store = await stored(place, events[half:] if folded_first else events)
        try:
            await same_as_events(store, events, since_ms=0, until_ms=None)
        finally:
            await store.close()


async def score(store: SqliteEventStore, event: Event, value: float) -> None:
    given_now = Feedback(event_id=event.id, given_ms=T0, who="test", score=value)
    assert await store.give_feedback(given_now) is not None
    event.quality_score = value


@settings(max_examples=10, deadline=None)
@given(st.lists(EVENTS, min_size=2, max_size=20), st.data())
async def test_scores_that_come_late_are_counted_where_their_events_are(
    events: list[Event], data: st.DataObject
) -> None:
    for number, event in enumerate(events):
        event.id = f"event-{number}"
    pairs = st.lists(st.tuples(st.sampled_from(events), st.floats(0, 1)), max_size=12)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        half = len(events) // 2
        store = await stored(place, events[:half])
        try:
            await until(lambda: mark(place) == half)
            for event in events[half:]:
                store.append(event)
            await until(lambda: store.counters().stored == len(events))
            for event, value in data.draw(pairs):
                await score(store, event, value)
            await same_as_events(store, events, since_ms=0, until_ms=None)
            await until(lambda: mark(place) == len(events))
            for event, value in data.draw(pairs):
                await score(store, event, value)
            await same_as_events(store, events, since_ms=0, until_ms=None)
        finally:
            await store.close()


async def test_many_events_are_counted_by_the_worker(tmp_path: Path) -> None:
    source = random.Random(1)
    events = [
        make_event(timestamp_ms=T0 + n * 1_000, latency_ms=source.uniform(1, 9_000), key=f"k{n % 3}")
        for n in range(2_600)
    ]
    worker = Worker()
    store = await stored(tmp_path, events, worker)
    try:
        assert worker.pid is not None
        await score(store, events[-1], 0.25)
        await until(lambda: mark(tmp_path) == len(events), 20)
        await score(store, events[0], 0.75)
        await same_as_events(store, events, since_ms=0, until_ms=None)
    finally:
        await store.close()
        await worker.close()


async def test_a_backlog_is_folded_without_a_pause(tmp_path: Path) -> None:
    """Batch after batch while there is more: waiting between full ones, it would never catch up under load."""
    writer, worker, wake = Writer(tmp_path / "events.db"), Worker(), asyncio.Event()
    await writer.open()
    many = 2 * AT_MOST + 100
    await writer.write([make_event(timestamp_ms=T0 + n) for n in range(many)])
    rounds = folding.Folding(tmp_path / "events.db", writer, worker)
    try:
        wake.set()
        while mark(tmp_path) < many:
            await asyncio.wait_for(wake.wait(), 10)
            wake.clear()
            await rounds.step(wake)
    finally:
        rounds.close()
        await writer.close()
        await worker.close()


async def test_a_score_during_the_counting_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was counted without the score is thrown away, and counted again with it."""
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
    events = [make_event(timestamp_ms=T0 + n) for n in range(200)]
    store = await stored(tmp_path, events, worker)
    try:
        await asyncio.wait_for(going.wait(), 10)
        assert mark(tmp_path) == 0
        await score(store, events[7], 0.5)
        go.set()
        await until(lambda: mark(tmp_path) == len(events), 20)
        await same_as_events(store, events, since_ms=0, until_ms=None)
    finally:
        await store.close()
        await worker.close()


async def test_a_window_of_minutes_is_exact_at_both_ends(tmp_path: Path) -> None:
    events = [make_event(timestamp_ms=T0 + n * 7 * MINUTE_MS, split="ab", ab_tag="ab-a") for n in range(500)]
    store = await stored(tmp_path, events)
    try:
        await until(lambda: mark(tmp_path) == 500)
        low, high = (
            T0 // MINUTE_MS * MINUTE_MS + 333 * MINUTE_MS,
            T0 // MINUTE_MS * MINUTE_MS + 2_999 * MINUTE_MS,
        )
        inside = [event for event in events if low <= event.timestamp_ms < high]
        for dimension in ("all", "variant"):
            cells = (await store.rollups(Wanted(dimension, low, high))).cells
            assert [cell.counts for cell in cells.values()] == [counted(inside)]
        points = (await store.rollups(Wanted("all", low, high, HOUR_MS))).cells
        assert sum(cell.counts[0] for cell in points.values()) == len(inside) and len(points) > 40
    finally:
        await store.close()


async def test_a_store_without_roll_ups_gets_them_in_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "EVERY_S", 3_600.0)
    events = [make_event(timestamp_ms=T0 + n * 1_000) for n in range(2_500)]
    await (await stored(tmp_path, events)).close()
    with sqlite3.connect(tmp_path / "events.db") as connection:
        connection.execute("DELETE FROM rollups")
        connection.execute("UPDATE rollup_mark SET seq = 0")
    store = SqliteEventStore(tmp_path / "events.db", tmp_path / "journal")
    await store.start()
    try:
        await until(lambda: mark(tmp_path) == 2_500, 10)
        await same_as_events(store, events, since_ms=0, until_ms=None)
    finally:
        await store.close()


async def test_users_beyond_the_top_are_counted_together(tmp_path: Path) -> None:
    few = [make_event(unit_kind="user", unit_digest=f"few-{n}") for n in range(USERS_BEFORE_CUT + 50)]
    often = [make_event(unit_kind="user", unit_digest=f"often-{n % 9}") for n in range(90)]
    store = await stored(tmp_path, [*often, *few])
    try:
        await until(lambda: mark(tmp_path) == len(often) + len(few))
        cells = {
            value: cell for (_, value), cell in (await store.rollups(Wanted("user", 0, None))).cells.items()
        }
    finally:
        await store.close()
    requests = COUNTS.index("requests")
    assert sum(cell.counts[requests] for cell in cells.values()) == len(often) + len(few)
    assert all(cells[f"often-{n}"].counts[requests] == 10 for n in range(9))
    assert OTHER in cells and TOP_USERS < len(cells) <= USERS_BEFORE_CUT


@given(
    st.integers(0, 40 * DAY_MS // MINUTE_MS),
    st.integers(1, 40 * DAY_MS // MINUTE_MS),
    st.sampled_from(GRAINS),
)
def test_spans_cover_a_window_once(first: int, length: int, widest: int) -> None:
    since, end = first * MINUTE_MS, (first + length) * MINUTE_MS
    parts = sorted(spans(since, end, widest), key=lambda part: part[1])
    at = since
    for grain, low, high in parts:
        assert low == at and low < high and low % grain == high % grain == 0 and grain <= widest
        at = high
    assert at == end
