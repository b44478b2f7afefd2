"""The event store on SQLite: a journal in front, one writer behind, readers beside it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from proxy.base.sanitise import sanitise
from proxy.base.worker import Worker
from proxy.events.backlog import Backlog
from proxy.events.codec import prepare
from proxy.events.errands import Errands
from proxy.events.errors import StoreError
from proxy.events.event import Event
from proxy.events.feedback import Feedback, Kept
from proxy.events.feedback_queue import FeedbackQueue
from proxy.events.folding import Folding
from proxy.events.journal import Journal
from proxy.events.purge import Purge, Purged, purge_some
from proxy.events.read_side import ReadSide
from proxy.events.repricing import Prices, Repriced, Repricing, reprice_some
from proxy.events.retention import Limits
from proxy.events.rollups.amend import Amendment
from proxy.events.sqlite_reader import EventReader
from proxy.events.sqlite_writer import Writer
from proxy.events.store import Counters, EventQuery, Listener

BATCH_EVENTS = 100
"""Most events of one transaction."""
FULL_AT = 24
"""So many events do not wait for more: their rows are made on the loop in one go, and must not hold up a request."""
TOLD_AT_ONCE = 6
"""Events that listeners get before requests have their turn again."""
BATCH_S = 0.1
"""Longest time an event waits for others to be written with it."""
OPEN_WITHIN_S = 5.0
CLOSE_WITHIN_S = 5.0
"""How long a database that takes nothing may hold up the end; what is left stays in the journal."""
TIDY_EVERY_S = 60.0
"""How often it is looked for events to forget."""
_BACKOFF_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)

logger = logging.getLogger(__name__)


class SqliteEventStore(ReadSide):
    """Events in one SQLite file, with a journal directory of their own. `worker` counts for the roll-ups."""

    def __init__(
        self,
        path: Path,
        journal_dir: Path,
        *,
        backlog_events: int | None = None,
        close_within_s: float = CLOSE_WITHIN_S,
        limits: Limits | None = None,
        tidy_every_s: float = TIDY_EVERY_S,
        worker: Worker | None = None,
    ) -> None:
        self._path = path
        self._journal = Journal(journal_dir)
        self._backlog = (
            Backlog(self._journal) if backlog_events is None else Backlog(self._journal, backlog_events)
        )
        self._writer = Writer(path)
        super().__init__(EventReader(path))
        self._folding = Folding(path, self._writer, worker)
        self._close_within_s = close_within_s
        self._feedback = FeedbackQueue()
        self._errands = Errands(self._wake)
        self._limits = limits
        self._tidy_every_s = tidy_every_s
        self._tidy_at = 0.0
        self.forgotten: Counter[str] = Counter()
        """Events (and under `bodies`, bodies) retention took away since this store was opened, by reason."""
        self._listeners: list[Listener] = []
        self._work = asyncio.Event()
        self._full = asyncio.Event()
        self._closing = asyncio.Event()
        self._closed = False
        self._give_up_at: float | None = None
        self._task: asyncio.Task[None] | None = None
        self._trouble: str | None = None
        self._last_timestamp_ms: int | None = None
        self._untold_seq: int | None = None

    # -- life

    async def start(self) -> None:
        """Open the database, bring its schema up to date and read back what a crash left in the journal.

        Raises StoreError with one sentence when that is not possible.
        """
        self._journal.open()
        try:
            await self._open_patiently()
            newest = [event async for event in self._reader.query(EventQuery(limit=1))]
            self._last_timestamp_ms = newest[0].timestamp_ms if newest else None
            await self._recover()
        except BaseException:
            await self._reader.close()
            await self._writer.close()
            self._journal.close()
            raise
        self._task = asyncio.create_task(self._supervise(), name="event-writer")

    async def _open_patiently(self) -> None:
        deadline = time.monotonic() + OPEN_WITHIN_S
        for pause in (*_BACKOFF_S, *[2.0] * 10):
            try:
                await self._writer.open()
                return
            except sqlite3.Error as error:
                if time.monotonic() + pause > deadline:
                    raise StoreError(
                        f"cannot open the event store {self._path}: {sanitise(error, 200)}"
                    ) from None
                await asyncio.sleep(pause)

    async def _recover(self) -> None:
        try:
            while (await self._read_back_one()) is not None:
                pass
        except sqlite3.Error as error:
            # The gateway can serve without it: the writer goes on trying.
            self._note_failure(error)
            self._work.set()

    async def close(self) -> None:
        """Write what is accepted and close. What the database does not take in time stays in the journal."""
        if self._closed:
            return
        self._closed = True
        self._give_up_at = time.monotonic() + self._close_within_s
        self._closing.set()
        self._work.set()
        self._full.set()
        try:
            if self._task is not None:
                await self._task
        finally:
            self._folding.close()
            self._feedback.refuse()
            self._errands.refuse()
            self._backlog.keep_what_is_left()
            await self._reader.close()
            await self._writer.close()
            self._journal.close()

    # -- taking in

    def append(self, event: Event) -> None:
        """Accept `event`: one write to the journal, then the queue of the writer. Never raises."""
        if self._closed:
            self._backlog.refuse("closed")
            return
        try:
            storable, payload = prepare(event)
        except Exception:
            # A value that cannot even be turned into text. The request it belongs to must not suffer.
            logger.exception("an event could not be encoded")
            self._backlog.refuse("invalid")
            return
        self._backlog.accept(storable, payload)
        self._work.set()
        if len(self._backlog) >= FULL_AT:
            self._full.set()

    async def give_feedback(self, feedback: Feedback) -> Kept | None:
        """Keep `feedback` and, when it has a score, make that its event's; None when there is no such event.

        Raises StoreError with one sentence when the database does not take it in time.
        """
        if self._closed:
            raise StoreError("the event store is closed")
        waiting = self._feedback.put(feedback)
        self._work.set()
        self._full.set()
        return await waiting

    async def purge(self, purge: Purge, within_s: float) -> Purged:
        """Remove for about `within_s` seconds; see purge.purge_some. Raises StoreError."""
        way = await self._reader.way_of(purge.query)
        purged = await purge_some(purge, way, self._reader.rows, self._errands, within_s)
        # The journal may still hold lines of what was stored and is now removed.
        self._journal.seal()
        self._journal.tidy()
        return purged

    async def reprice(
        self, repricing: Repricing, prices: Prices, within_s: float, *, dry_run: bool = False
    ) -> Repriced:
        """Give events other costs for about `within_s` seconds, or only count; see repricing. Raises StoreError."""
        way = await self._reader.way_of(repricing.query)
        errands = None if dry_run else self._errands
        return await reprice_some(repricing, way, self._reader.rows, prices, within_s, errands)

    def _wake(self) -> None:
        self._work.set()
        self._full.set()

    # -- giving out

    def keep(self, limits: Limits) -> None:
        """From now on keep events within `limits`."""
        if limits != self._limits:
            self._limits = limits
            self._tidy_at = 0.0
            self._work.set()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each batch once it is committed; returns what ends that."""
        self._listeners.append(listener)

        def end() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return end

    def on_amended(self, listener: Callable[[Sequence[Amendment]], None]) -> None:
        """Call `listener` when stored events became others: a score or a price came late. It must not raise."""
        self._writer.on_amended = listener

    def counters(self) -> Counters:
        """What became of the events accepted since this store was opened."""
        book = self._backlog
        return Counters(book.accepted, book.stored, book.spilled, dict(book.dropped), self._writer.last_seq)

    @property
    def told_seq(self) -> int:
        """Listeners were told of everything up to this `seq`, and will be told of the rest."""
        return self._writer.last_seq if self._untold_seq is None else self._untold_seq - 1

    def total(self) -> int:
        """Events in the database (kept as a number, not counted anew)."""
        return self._writer.total

    @property
    def last_timestamp_ms(self) -> int | None:
        """Arrival of the event stored last; None when there is none."""
        return self._last_timestamp_ms

    @property
    def trouble(self) -> str | None:
        """What keeps events from being stored, in one sentence; None when nothing does."""
        journal = self._journal.trouble
        if self._trouble is None:
            return journal and f"{journal}; until it does, a crash would lose the newest events"
        return f"{self._trouble}; they wait in {f'memory: {journal}' if journal else 'the journal'}"

    @property
    def notices(self) -> tuple[str, ...]:
        """What happened to the file that an operator should know, one sentence each."""
        return tuple(self._writer.notices)

    # -- the writer's task

    async def _supervise(self) -> None:
        """Keep the writer going whatever it meets."""
        while True:
            try:
                await self._run()
                return
            except Exception as error:
                # Faults of the database are handled where they arise; this is none. Take a new connection.
                logger.exception("the event writer failed and is started again")
                self._trouble = f"events are not being stored: {sanitise(error, 200)}"
                await self._writer.close()
                await self._pause(1.0)
                self._work.set()
                if self._time_is_up():
                    return

    async def _run(self) -> None:
        failures = 0
        while True:
            await self._wait_for_work()
            try:
                await self._writer.open()
                busy = await self._write_one_round()
            except sqlite3.Error as error:
                self._note_failure(error)
                # The writer may have begun a new file; a reader must not stay on the old one.
                await self._reader.reset()
                if self._time_is_up():
                    return
                await self._pause(_BACKOFF_S[min(failures, len(_BACKOFF_S) - 1)])
                failures += 1
                self._work.set()
                continue
            failures = 0
            self._trouble = None
            self._journal.try_again()
            if not self._closing.is_set():
                await self._folding.step(self._work)
            await self._forget()
            await self._errands.do_next(self._writer)
            if not busy and self._closing.is_set():
                return

    async def _forget(self) -> None:
        """Forget one batch when it is time; the next one follows after the next batch of events."""
        now = time.monotonic()
        if self._limits is None or self._closing.is_set() or now < self._tidy_at:
            return
        try:
            gone = await self._writer.forget_some(self._limits)
        except sqlite3.Error as error:
            # On a full disk even a deletion fails; appending has its own way of telling.
            logger.warning("old events could not be forgotten: %s", sanitise(error, 200))
            gone = None
        if gone is None:
            self._tidy_at = now + self._tidy_every_s
            return
        self.forgotten[gone.reason] += gone.events or gone.bodies
        self._work.set()

    async def _wait_for_work(self) -> None:
        try:
            due_at = self._folding.due_at
            until = due_at if self._limits is None else min(due_at, self._tidy_at)
            await asyncio.wait_for(self._work.wait(), max(0.0, until - time.monotonic()))
        except TimeoutError:
            return
        if not self._closing.is_set() and len(self._backlog) < FULL_AT:
            try:
                await asyncio.wait_for(self._full.wait(), BATCH_S)
            except TimeoutError:
                pass
        self._work.clear()
        self._full.clear()

    async def _write_one_round(self) -> bool:
        """Write a batch, or read back a segment of the journal; whether there may be more to do."""
        batch = self._backlog.first(BATCH_EVENTS)
        if batch:
            stored = await self._writer.write([waiting.event for waiting in batch])
            await self._tell(stored.events)
            self._backlog.settle(len(batch), len(stored.events), stored.dropped)
            self._journal.tidy()
        read_back = None
        if len(self._backlog) < BATCH_EVENTS:
            read_back = await self._read_back_one()
        busy = bool(self._backlog) or read_back is not None
        await self._feedback.settle(self._writer.write_feedback, is_all_stored=not busy)
        if busy:
            self._work.set()
        if len(self._backlog) >= FULL_AT or self._closing.is_set():
            self._full.set()
        return busy

    async def _read_back_one(self) -> int | None:
        """Store the events that are in one journal segment alone; None when there is no such segment."""
        segment = self._journal.waiting()
        if segment is None:
            return None

        async def part(events: Sequence[Event]) -> None:
            # At once, not at the end: after a failure half way they are not counted as lost when read again.
            self._backlog.read_back(segment, len(events))
            await self._tell(events)

        result = await self._writer.write_segment(segment.path, BATCH_EVENTS, part)
        if result.damaged_lines:
            logger.warning("%d damaged lines in %s were passed over", result.damaged_lines, segment.path)
        self._backlog.finish(segment)
        self._journal.tidy()
        return result.inserted

    async def _tell(self, events: Sequence[Event]) -> None:
        for first in range(0, len(events), TOLD_AT_ONCE):
            rest = first + TOLD_AT_ONCE
            self._untold_seq = events[rest].seq if rest < len(events) else None
            self._tell_some(events[first:rest])
            await asyncio.sleep(0)

    def _tell_some(self, events: Sequence[Event]) -> None:
        self._last_timestamp_ms = events[-1].timestamp_ms
        for listener in list(self._listeners):
            try:
                listener(events)
            except Exception:
                logger.exception("a listener of the event store failed")

    def _note_failure(self, error: sqlite3.Error) -> None:
        sentence = f"events are not being stored: {sanitise(error, 200)}"
        if sentence != self._trouble:
            logger.warning("%s", sentence)
        self._trouble = sentence

    def _time_is_up(self) -> bool:
        return self._give_up_at is not None and time.monotonic() >= self._give_up_at

    async def _pause(self, seconds: float) -> None:
        """Wait; shorter once the store is being closed."""
        if self._closing.is_set():
            await asyncio.sleep(min(seconds, 0.1))
            return
        try:
            await asyncio.wait_for(self._closing.wait(), seconds)
        except TimeoutError:
            pass
