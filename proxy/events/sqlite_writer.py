"""The one connection that writes events, and the transactions on it."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiosqlite

from proxy.base.sanitise import sanitise
from proxy.base.times import now_ms
from proxy.events import bodies, feedback
from proxy.events.bodies import Gone
from proxy.events.codec import clean, decode, to_row
from proxy.events.event import Event
from proxy.events.feedback import Feedback, Kept
from proxy.events.journal import read_segment
from proxy.events.retention import Forgotten, Limits, delete_seqs, forget_some
from proxy.events.rollups import fold
from proxy.events.rollups.amend import Amendment, amending
from proxy.events.rollups.counting import Counted, count
from proxy.events.rollups.table import MARK
from proxy.events.sqlite_indexes import NEW_POLICIES, UPDATE_BLOCKS
from proxy.events.sqlite_schema import INSERT, Damaged, is_damage, move_aside, open_writer

FOLDED_HERE = 500
"""Events folded in one go where no other process counts them."""

_REPRICE = "UPDATE events SET cost_nanos = ?, cost_status = ?, price_source = ? WHERE seq = ?"

Tell = Callable[[Sequence[Event]], Awaitable[None]]
"""Hears what was committed."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Stored:
    """What a write did."""

    events: list[Event] = field(default_factory=list)
    """Inserted, in order, `seq` set."""
    dropped: Counter[str] = field(default_factory=Counter)
    damaged_lines: int = 0
    inserted: int = 0


@dataclass(frozen=True, slots=True)
class NewCost:
    """What an event costs from now on: nano-dollars, cost status, price source."""

    seq: int
    nanos: int | None
    status: str
    source: str | None


class Writer:
    """Owns the write connection. Every failure that may pass leaves nothing half done and is raised."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: aiosqlite.Connection | None = None
        self._known = False
        self.last_seq = 0
        self.total = 0
        self.notices: list[str] = []
        self.amended = 0
        """Times that stored events became others; what was counted before may not hold any more."""
        self.on_amended: Callable[[Sequence[Amendment]], None] | None = None
        """Told after each commit that made stored events others; it must not raise."""

    async def open(self) -> None:
        """Open the database if it is not; a broken file is moved aside and a new one begun."""
        if self._connection is not None:
            return
        try:
            connection = await open_writer(self._path)
        except Damaged as damage:
            self._replace_broken_file(str(damage))
            connection = await open_writer(self._path)
        try:
            await self._take_stock(connection)
        except BaseException:
            await connection.close()
            raise
        self._connection = connection

    async def _take_stock(self, connection: aiosqlite.Connection) -> None:
        rows = list(
            await connection.execute_fetchall("SELECT seq FROM sqlite_sequence WHERE name = 'events'")
        )
        last = int(rows[0][0]) if rows else 0
        if not self._known:
            self.last_seq = last
            self._known = True
        elif last < self.last_seq:
            # A new file took the old one's place: whoever follows by seq must see what comes next.
            await connection.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?)", (self.last_seq,)
            )
        # Rows beyond last_seq are of a commit whose answer was lost; they count when they are tried again.
        # Two counts, because the first is read off the smallest index and the second looks at hardly any row.
        every = list(await connection.execute_fetchall("SELECT count(*) FROM events"))
        beyond = list(
            await connection.execute_fetchall("SELECT count(*) FROM events WHERE seq > ?", (self.last_seq,))
        )
        self.total = int(every[0][0]) - int(beyond[0][0])

    def _replace_broken_file(self, reason: str) -> None:
        aside = move_aside(self._path, now_ms())
        notice = f"the event store was broken ({sanitise(reason, 200)}): it is kept as {aside.name} and a new one was begun"
        logger.error("%s", notice)
        self.notices.append(notice)

    async def close(self) -> None:
        """Close the connection; the last one to close empties the write-ahead log."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def write(self, events: Sequence[Event]) -> Stored:
        """Insert `events` in one transaction and set their `seq`.

        A repeated id is dropped as `duplicate`; an event the database does not take even when cleaned, as
        `invalid`.
        Raises sqlite3.Error when nothing could be written.
        """
        try:
            return await self._insert(events, [to_row(event) for event in events])
        except (sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError):
            return await self._write_singly(events)
        except (OverflowError, ValueError, TypeError):
            # A value SQLite has no place for (an int beyond 64 bits, text that is not Unicode).
            return await self._write_singly(events)
        except sqlite3.DatabaseError as error:
            if is_damage(error):
                await self.close()
                self._replace_broken_file(str(error))
            raise

    async def write_feedback(self, given: Sequence[Feedback]) -> list[Kept | None]:
        """See feedback.write."""
        self.amended += sum(item.score is not None for item in given)
        changed: list[Amendment] = []
        kept = await feedback.write(self._open_connection(), given, changed)
        self._tell_amended(changed)
        return kept

    async def reprice(self, costs: Sequence[NewCost]) -> None:
        """Put `costs` in their place, all or none; the roll-ups follow."""
        connection = self._open_connection()
        self.amended += 1
        await connection.execute("BEGIN IMMEDIATE")
        try:
            async with amending(connection, [cost.seq for cost in costs]) as changed:
                await connection.executemany(
                    _REPRICE, [(cost.nanos, cost.status, cost.source, cost.seq) for cost in costs]
                )
            await connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                await connection.execute("ROLLBACK")
            raise
        self._tell_amended(changed)

    def _tell_amended(self, changed: Sequence[Amendment]) -> None:
        if changed and self.on_amended is not None:
            self.on_amended(changed)

    async def fold_some(self) -> int:
        """Fold the oldest events that are not folded yet, at most FOLDED_HERE; how many.

        Raises sqlite3.Error or StoreError; then nothing was folded.
        """
        counted = await asyncio.to_thread(count, self._path, FOLDED_HERE)
        return 0 if counted is None else await self.take_in(counted)

    async def folded_seq(self) -> int:
        """The last seq that is in the roll-ups."""
        rows = list(await self._open_connection().execute_fetchall(MARK))
        return int(rows[0][0])

    async def take_in(self, counted: Counted) -> int:
        """See rollups.fold.take_in."""
        return await fold.take_in(self._open_connection(), counted)

    async def forget_some(self, limits: Limits) -> Forgotten | None:
        """See retention.forget_some."""
        connection = self._open_connection()
        forgotten = await forget_some(connection, limits, now_ms())
        if forgotten is not None:
            self.total -= forgotten.events
        else:
            await fold.forget_some(connection, now_ms())
        return forgotten

    async def delete_events(self, seqs: Sequence[int]) -> tuple[int, int]:
        """Delete the events of `seqs` and all that belongs to them; how many, and how many had bodies."""
        events, had_bodies = await delete_seqs(self._open_connection(), seqs)
        self.total -= events
        return events, had_bodies

    async def empty_bodies(self, seqs: Sequence[int], gone: Gone, now_ms: int) -> int:
        """See bodies.empty."""
        chosen = "SELECT value FROM json_each(?)"
        return await bodies.empty(self._open_connection(), chosen, (str(list(seqs)),), gone, now_ms)

    async def empty_log(self) -> bool:
        """Bring the write-ahead log into the file and cut it to nothing; False when a reader is in the way."""
        connection = self._open_connection()
        # As a script: a single statement is stepped once, which gives back one page.
        await connection.executescript("PRAGMA incremental_vacuum(512)")
        rows = list(await connection.execute_fetchall("PRAGMA wal_checkpoint(TRUNCATE)"))
        return not rows[0][0]

    def _open_connection(self) -> aiosqlite.Connection:
        if self._connection is None:
            raise sqlite3.OperationalError("the event store is not open")
        return self._connection

    async def _write_singly(self, events: Sequence[Event]) -> Stored:
        """One bad event must not take the others with it."""
        result = Stored()
        before = self.last_seq, self.total
        for event in events:
            cleaned = clean(event)
            try:
                one = await self._insert([cleaned], [to_row(cleaned)])
            except (
                sqlite3.IntegrityError,
                sqlite3.InterfaceError,
                OverflowError,
                ValueError,
                TypeError,
            ) as error:
                logger.warning(
                    "an event was dropped: the database does not take it (%s)", type(error).__name__
                )
                result.dropped["invalid"] += 1
                continue
            except sqlite3.Error:
                # All will be tried again; from the old mark, those already in are recognised as ours.
                self.last_seq, self.total = before
                raise
            result.events.extend(one.events)
            result.dropped.update(one.dropped)
        return result

    async def _insert(self, events: Sequence[Event], rows: list[list[object]]) -> Stored:
        connection = self._open_connection()
        has_bodies = any(event.bodies is not None for event in events)
        packed = await asyncio.to_thread(bodies.pack, events) if has_bodies else {}
        # IMMEDIATE: a read that turns into a write would fail at once under contention, without any waiting.
        await connection.execute("BEGIN IMMEDIATE")
        try:
            await connection.executemany(INSERT, rows)
            await connection.execute(UPDATE_BLOCKS, (self.last_seq,))
            new = await connection.execute_fetchall(
                "SELECT id, seq FROM events WHERE seq > ?", (self.last_seq,)
            )
            seqs = {row[0]: row[1] for row in new}
            await connection.executemany(NEW_POLICIES, _policies(events, seqs))
            if packed:
                await bodies.write(connection, packed, seqs)
            await connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                await connection.execute("ROLLBACK")
            raise
        return self._result(events, seqs)

    def _result(self, events: Sequence[Event], seqs: dict[str, int]) -> Stored:
        """`seqs`: every row beyond `last_seq`, so also those of a commit whose answer was lost."""
        result = Stored()
        for event in events:
            seq = seqs.pop(event.id, None)
            if seq is None:
                result.dropped["duplicate"] += 1
                continue
            event.seq = seq
            event.bodies = None  # they are stored; whoever is told of the event must not hold them in memory
            result.events.append(event)
            self.last_seq = max(self.last_seq, seq)
        result.events.sort(key=lambda event: event.seq)
        self.total += len(result.events)
        return result

    async def write_segment(self, path: Path, batch: int, tell: Tell) -> Stored:
        """Insert what a journal segment holds and the database does not; `tell` gets each committed batch."""
        result = Stored()
        pending: list[Event] = []
        try:
            for payload in read_segment(path):
                try:
                    pending.append(decode(payload or b""))
                except ValueError:
                    result.damaged_lines += 1
                if len(pending) >= batch:
                    await self._write_part(pending, result, tell)
                    pending = []
        except OSError as error:
            logger.error("the journal segment %s cannot be read: %s", path, error.strerror)
            result.damaged_lines += 1
        if pending:
            await self._write_part(pending, result, tell)
        return result

    async def _write_part(self, events: Sequence[Event], result: Stored, tell: Tell) -> None:
        part = await self.write(events)
        result.inserted += len(part.events)
        await tell(part.events)


def _policies(events: Sequence[Event], seqs: dict[str, int]) -> list[tuple[str, int]]:
    """(policy, seq) of each policy that had a hand in one of `events`."""
    return [
        (policy, seqs[event.id])
        for event in events
        if event.policies_triggered and event.id in seqs
        for policy in dict.fromkeys(event.policies_triggered)
    ]
