"""Deleting on request: events, or only their bodies, so that nothing of them can be read in the files any more.

The roll-ups stay: they hold sums of many requests and no text of any. An event that is not in them yet is folded
first, so that charts and costs of the past do not change.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from proxy.base.times import now_ms
from proxy.events.bodies import KEPT
from proxy.events.errands import Errands
from proxy.events.filter.expression import Expression
from proxy.events.rollups.table import MARK
from proxy.events.sqlite_plan import Plan
from proxy.events.sqlite_writer import FOLDED_HERE, Writer
from proxy.events.store import EventQuery

BATCH = 500
"""Events deleted in one transaction: short enough for appends to wait behind it."""
STRETCH = 100_000
"""Seqs that one read looks through at most."""
_CHECKPOINT_S = 3.0

What = Literal["events", "bodies"]
Rows = Callable[[str, Sequence[Any]], Awaitable[list[Any]]]


@dataclass(frozen=True, slots=True)
class Purge:
    """What is to go: of the events that arrived before `before_ms` (None: all) and meet `where`, `what`."""

    what: What
    before_ms: int | None = None
    where: Expression | None = None

    @property
    def query(self) -> EventQuery:
        """The events it is about."""
        return EventQuery(until_ms=self.before_ms, where=self.where)


@dataclass(frozen=True, slots=True)
class Amount:
    """Events, and how many of them have bodies."""

    events: int
    bodies: int


@dataclass(frozen=True, slots=True)
class Purged:
    """What a call removed. `more`: it ran out of time, and there is more to remove."""

    removed: Amount
    more: bool
    traces: bool = False
    """A read under way kept the write-ahead log from being emptied: what was removed may stand in it for a while."""


async def amount(purge: Purge, way: tuple[int, int, Plan], rows: Rows) -> Amount:
    """What `purge` would remove. `way` is that of its query."""
    low, high, plan = way
    events = bodies = 0
    while low <= high:
        last = min(high, low + STRETCH - 1)
        sql, values = plan.seqs(low, last, True, STRETCH)
        counted = f"SELECT count(*), count(b.event_seq) FROM ({sql}) AS found"
        join = f"{counted} LEFT JOIN ({KEPT}) AS b ON b.event_seq = found.seq"
        found = (await rows(join, values))[0]
        events, bodies, low = events + found[0], bodies + found[1], last + 1
    return Amount(events, bodies)


async def purge_some(
    purge: Purge, way: tuple[int, int, Plan], rows: Rows, errands: Errands, within_s: float
) -> Purged:
    """Remove for about `within_s` seconds, the oldest first. Raises StoreError; what was removed is gone."""
    deadline = time.monotonic() + within_s
    low, top, plan = way
    while low <= top and time.monotonic() < deadline and await errands.run(Writer.fold_some) == FOLDED_HERE:
        pass
    mark = int((await rows(MARK, ()))[0][0])
    high = min(top, mark)
    events = bodies = 0
    while low <= high and time.monotonic() < deadline:
        last = min(high, low + STRETCH - 1)
        sql, values = plan.seqs(low, last, True, STRETCH)
        only = f" WHERE seq IN ({KEPT})" if purge.what == "bodies" else ""
        seqs = [
            row[0] for row in await rows(f"SELECT seq FROM ({sql}){only} ORDER BY seq LIMIT {BATCH}", values)
        ]
        if seqs:
            gone = await errands.run(_step(purge.what, seqs))
            events, bodies = events + gone.events, bodies + gone.bodies
        low = seqs[-1] + 1 if len(seqs) == BATCH else last + 1
    traces = bool(events or bodies) and not await _leave_no_traces(errands)
    return Purged(Amount(events, bodies), low <= top, traces)


def _step(what: What, seqs: Sequence[int]) -> Callable[[Writer], Awaitable[Amount]]:
    async def work(writer: Writer) -> Amount:
        if what == "bodies":
            return Amount(0, await writer.empty_bodies(seqs, "purged", now_ms()))
        return Amount(*await writer.delete_events(seqs))

    return work


async def _leave_no_traces(errands: Errands) -> bool:
    """Empty the write-ahead log: older forms of the pages stand in it. False when a reader is in the way."""
    deadline = time.monotonic() + _CHECKPOINT_S
    while not await errands.run(Writer.empty_log):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True
