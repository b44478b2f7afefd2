"""What a store of events must do, whatever is behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.events.event import Event
from proxy.events.filter.expression import Expression


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events, newest first unless `ascending`. Windows are by `timestamp` (arrival), `until` exclusive."""

    since_ms: int | None = None
    until_ms: int | None = None
    model: str | None = None
    provider: str | None = None
    decision: str | None = None
    tag: str | None = None
    after_seq: int | None = None
    before_seq: int | None = None
    limit: int | None = None
    """Keeps the newest, or with `keep_oldest` the oldest."""
    ascending: bool = False
    keep_oldest: bool = False
    """Only where `ascending`."""
    where: Expression | None = None
    """What else must hold, in the filter language."""


@dataclass(frozen=True, slots=True)
class Counters:
    """`accepted = stored + spilled + sum(dropped)`, at every moment."""

    accepted: int
    stored: int
    spilled: int
    """In the journal or the ring in memory only; at rest 0."""
    dropped: dict[str, int]
    last_seq: int


Listener = Callable[[Sequence[Event]], None]
"""Called on the store's event loop with each inserted batch, oldest first, `seq` set. Must not block."""


class EventStore(Protocol):
    """A store. All methods are called on one event loop."""

    async def start(self) -> None:
        """Open, migrate and replay what a crash left behind."""

    async def close(self) -> None:
        """Write what is accepted and close. No event is lost."""

    def append(self, event: Event) -> None:
        """Accept `event`: one write to the journal, then the writer's queue. Never blocks on the database, never raises."""

    def query(self, query: EventQuery) -> AsyncIterator[Event]:
        """The events, streamed in pages with flat memory; a row inserted meanwhile is neither doubled nor torn."""

    async def get(self, event_id: str) -> Event | None:
        """One event by id."""

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` after each insertion; returns what ends it."""

    def counters(self) -> Counters:
        """The conservation law, in numbers since this store was opened (`last_seq`: in all)."""
