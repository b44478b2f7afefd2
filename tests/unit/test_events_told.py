"""Listeners hear of a batch in parts, with the loop's other work between; nobody counts a request twice for it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from events_factory import make_event, until

from proxy.base.times import now_ms
from proxy.events.alerts import Alerts
from proxy.events.event import Event
from proxy.events.sqlite_store import BATCH_EVENTS, TOLD_AT_ONCE, SqliteEventStore
from proxy.policy.schema import AlertSpec, EventsSpec, PolicyFile
from proxy.service.standing_alerts import StandingAlerts

COUNT = 4 * TOLD_AT_ONCE + 1


async def stored(store: SqliteEventStore) -> None:
    for _ in range(COUNT):
        store.append(make_event(timestamp_ms=now_ms(), latency_ms=0.0, ab_tag="a"))
    await until(lambda: store.counters().stored == COUNT)


async def test_others_have_their_turn_between_the_parts_of_a_batch(tmp_path: Path) -> None:
    assert COUNT <= BATCH_EVENTS
    store = SqliteEventStore(tmp_path / "events.db", tmp_path / "journal")
    await store.start()
    order: list[int | str] = []
    marks: list[tuple[int, int]] = []

    def listen(events: Sequence[Event]) -> None:
        order.append(len(events))
        marks.append((store.told_seq, events[-1].seq))
        asyncio.get_running_loop().call_soon(order.append, "other work")

    store.subscribe(listen)
    await stored(store)
    await store.close()
    assert order == [part for size in [*[TOLD_AT_ONCE] * 4, 1] for part in (size, "other work")]
    assert all(told == newest for told, newest in marks)
    assert store.told_seq == store.counters().last_seq


async def test_an_alert_that_begins_amid_a_batch_counts_each_request_once(tmp_path: Path) -> None:
    store = SqliteEventStore(tmp_path / "events.db", tmp_path / "journal")
    await store.start()
    alerts = Alerts()
    standing = StandingAlerts(alerts, store)
    rule = AlertSpec(name="many", filter="variant:a", more_than=1, within="1h")
    begun: list[int] = []

    def begin(events: Sequence[Event]) -> None:
        if not begun:
            begun.append(len(events))
            asyncio.get_running_loop().call_soon(
                standing.apply, PolicyFile(events=EventsSpec(alerts=(rule,)))
            )

    store.subscribe(begin)
    store.subscribe(alerts.observe_all)
    await stored(store)
    await until(lambda: not standing._counting)
    (state,) = alerts.states()
    assert begun == [TOLD_AT_ONCE] and state.requests == COUNT
    await standing.stop()
    await store.close()
