"""Costs of stored events at other prices: a price that came late, or was wrong."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from proxy.events.errands import Errands
from proxy.events.filter import parse
from proxy.events.filter.expression import All, Expression
from proxy.events.sqlite_plan import Plan
from proxy.events.sqlite_writer import NewCost, Writer
from proxy.events.store import EventQuery
from proxy.wire.usage import Usage

BATCH = 200
"""Events of one transaction: short enough for appends to wait behind it."""
STRETCH = 100_000
"""Seqs that one read looks through at most."""
_TOKENS = "input_tokens, output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens"
_COLUMNS = f"seq, provider, target, model, usage_status, cost_status, cost_nanos, {_TOKENS}"
_WITHOUT = parse("cost_status:unpriced", 0)
_UPSTREAM = parse("not cost_status:none", 0)

Cost = tuple[int | None, str, str | None]
"""Nano-dollars, cost status, price source."""
Prices = Callable[[str, str | None, str, Usage, bool], Cost | None]
"""Of (provider, target, model, usage, whether that is an estimate); None where it cannot be told from these."""
Rows = Callable[[str, Sequence[Any]], Awaitable[list[Any]]]


@dataclass(frozen=True, slots=True)
class Repricing:
    """Which events get another cost: those without a price, or with `every` all that went upstream."""

    since_ms: int | None = None
    until_ms: int | None = None
    where: Expression | None = None
    every: bool = False
    after_seq: int = 0
    """Where an earlier call ended."""

    @property
    def query(self) -> EventQuery:
        """The events it is about."""
        which = _UPSTREAM if self.every else _WITHOUT
        where = which if self.where is None else All((which, self.where))
        return EventQuery(
            since_ms=self.since_ms, until_ms=self.until_ms, where=where, after_seq=self.after_seq or None
        )


@dataclass(slots=True)
class Repriced:
    """What a call did, or would do. Sums of money in nano-dollars, over the events that changed."""

    changed: int = 0
    before: int = 0
    after: int = 0
    unpriced: int = 0
    """Events that still have no price."""
    unclear: int = 0
    """Events whose cost depends on more than is kept of them; they stay as they are."""
    next_seq: int | None = None
    """It ran out of time: what is beyond this seq is still to be looked at."""


async def reprice_some(
    repricing: Repricing,
    way: tuple[int, int, Plan],
    rows: Rows,
    prices: Prices,
    within_s: float,
    errands: Errands | None,
) -> Repriced:
    """Look at events for about `within_s` seconds, the oldest first, one batch at least, and give them their costs.

    Without `errands` nothing is written: it tells what would be. `way` is that of the query. Raises StoreError.
    """
    deadline = time.monotonic() + within_s
    low, top, plan = way
    done = Repriced()
    while low <= top:
        last = min(top, low + STRETCH - 1)
        sql, values = plan.seqs(low, last, True, BATCH)
        found = await rows(
            f"SELECT {_COLUMNS} FROM events WHERE seq IN (SELECT seq FROM ({sql})) ORDER BY seq", values
        )
        costs = _new_costs(found, prices, done)
        if costs and errands is not None:
            await errands.run(_step(costs))
        low = found[-1][0] + 1 if len(found) == BATCH else last + 1
        if low <= top and time.monotonic() >= deadline:
            done.next_seq = low - 1
            break
    return done


def _new_costs(found: Sequence[Any], prices: Prices, done: Repriced) -> list[NewCost]:
    """The costs that are others now; `done` counts them."""
    costs = []
    for seq, provider, target, model, usage_status, status, nanos, *tokens in found:
        cost = prices(provider or "", target, model, Usage(*tokens), usage_status == "estimated")
        if cost is None:
            done.unclear += 1
            continue
        done.unpriced += cost[0] is None
        if (cost[0], cost[1]) != (nanos, status):
            costs.append(NewCost(seq, *cost))
            done.changed += 1
            done.before += nanos or 0
            done.after += cost[0] or 0
    return costs


def _step(costs: Sequence[NewCost]) -> Callable[[Writer], Awaitable[None]]:
    async def work(writer: Writer) -> None:
        await writer.reprice(costs)

    return work
