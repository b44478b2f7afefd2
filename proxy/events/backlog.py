"""What is accepted and not yet in the database, and the numbers that account for it."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from proxy.events.codec import prepare
from proxy.events.event import Event
from proxy.events.journal import Journal, JournalError, Segment

MEMORY_EVENTS = 10_000
MEMORY_BYTES = 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Waiting:
    """One event on its way to the database."""

    event: Event
    size: int
    """Bytes of its journal line, near enough."""
    segment: Segment | None
    """Where it is journalled; None when it is in memory only."""


class Backlog:
    """Takes events in; gives them out in batches; knows at every moment what became of each.

    An event goes to the journal and to memory. With memory full it stays in the journal alone (`deferred`)
    and is read back later; with the journal failing it stays in memory alone; with both it is dropped, under
    a reason.
    """

    def __init__(
        self, journal: Journal, max_events: int = MEMORY_EVENTS, max_bytes: int = MEMORY_BYTES
    ) -> None:
        self._journal = journal
        self._max_events = max_events
        self._max_bytes = max_bytes
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0
        self.accepted = 0
        self.stored = 0
        self.spilled = 0
        self.dropped: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def accept(self, event: Event, payload: bytes) -> None:
        """Take `event` in. Never raises."""
        self.accepted += 1
        room = len(self._waiting) < self._max_events and self._bytes + len(payload) <= self._max_bytes
        try:
            segment = self._journal.append(payload)
        except JournalError as error:
            if not room:
                self.dropped[error.reason] += 1
                return
            segment = None
        self.spilled += 1
        if room:
            self._waiting.append(Waiting(event, len(payload), segment))
            self._bytes += len(payload)
            if segment is not None:
                segment.queued += 1
        elif segment is not None:
            segment.deferred += 1

    def refuse(self, reason: str) -> None:
        """Account for an event that could not even be taken in."""
        self.accepted += 1
        self.dropped[reason] += 1

    def first(self, limit: int) -> list[Waiting]:
        """The oldest waiting events; they stay until `settle`."""
        return [self._waiting[index] for index in range(min(limit, len(self._waiting)))]

    def settle(self, number: int, stored: int, reasons: Counter[str]) -> None:
        """The oldest `number` events are done with: `stored` are in the database, the others were dropped."""
        for _ in range(number):
            done = self._waiting.popleft()
            self._bytes -= done.size
            if done.segment is not None:
                done.segment.queued -= 1
        self.spilled -= number
        self.stored += stored
        self.dropped.update(reasons)

    def read_back(self, segment: Segment, inserted: int) -> None:
        """`inserted` events that were in `segment` alone are now in the database."""
        if segment.recovered:
            # An earlier process accepted them; what it had stored already is not counted again.
            self.accepted += inserted
            self.stored += inserted
            return
        counted = min(inserted, segment.deferred)
        segment.deferred -= counted
        self.spilled -= counted
        self.stored += counted

    def finish(self, segment: Segment) -> None:
        """`segment` was read to its end: what did not come back is lost (damaged lines, a repeated id)."""
        if segment.deferred:
            self.spilled -= segment.deferred
            self.dropped["journal-damaged"] += segment.deferred
        segment.deferred = 0
        segment.recovered = False

    def keep_what_is_left(self) -> None:
        """Before the end, what is in memory alone goes to the journal, or is dropped."""
        from_memory = [waiting for waiting in self._waiting if waiting.segment is None]
        for waiting in from_memory:
            self._journal_late(waiting)

    def _journal_late(self, waiting: Waiting) -> None:
        try:
            segment = self._journal.append(prepare(waiting.event)[1])
        except JournalError as error:
            self.spilled -= 1
            self.dropped[error.reason] += 1
            return
        waiting.segment = segment
        segment.queued += 1
