"""What people and evaluators say of an answer, kept beside its event."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import aiosqlite

from proxy.events.rollups.amend import Amendment, amending

LABEL_LIMIT = 64
COMMENT_LIMIT = 2_000
"""Characters."""
SHOWN = 100
"""Of one event, the newest so many are shown."""

SCHEMA = (
    "CREATE TABLE event_feedback (id INTEGER PRIMARY KEY AUTOINCREMENT, event_seq INTEGER NOT NULL, "
    "given_ms INTEGER NOT NULL, who TEXT NOT NULL, score REAL, label TEXT, comment TEXT, request_key TEXT UNIQUE)",
    "CREATE INDEX event_feedback_event ON event_feedback (event_seq)",
    # Whoever deletes an event need not know of this table.
    "CREATE TRIGGER event_feedback_gone AFTER DELETE ON events "
    "BEGIN DELETE FROM event_feedback WHERE event_seq = old.seq; END",
)


@dataclass(frozen=True, slots=True)
class Feedback:
    """One judgement of one answer. At least one of score, label and comment is there."""

    event_id: str
    given_ms: int
    """Milliseconds since 1970 (UTC)."""
    who: str
    """Name of the token it came with."""
    score: float | None = None
    """0 (bad) to 1 (good)."""
    label: str | None = None
    comment: str | None = None
    request_key: str | None = None
    """The Idempotency-Key: what is sent again under the same one is kept once."""
    id: int = 0
    """Given by the store; a later one is higher."""

    def says_as(self, other: Feedback) -> bool:
        """Whether both say the same of the same event."""
        return (self.event_id, self.score, self.label, self.comment) == (
            other.event_id,
            other.score,
            other.label,
            other.comment,
        )


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a feedback. `feedback` is what the store holds; another one's under the same key included."""

    feedback: Feedback
    is_new: bool


_SELECT = (
    "SELECT e.id, f.given_ms, f.who, f.score, f.label, f.comment, f.request_key, f.id "
    "FROM event_feedback f JOIN events e ON e.seq = f.event_seq"
)
NEWEST = f"{_SELECT} WHERE e.id = ? ORDER BY f.id DESC LIMIT {SHOWN}"
"""The feedback of one event id."""


def from_row(row: Sequence[Any]) -> Feedback:
    """The feedback of a row of NEWEST."""
    return Feedback(*row)


async def write(
    connection: aiosqlite.Connection, given: Sequence[Feedback], changed: list[Amendment]
) -> list[Kept | None]:
    """Keep `given` in one transaction, and each score as its event's; None where there is no such event.

    Adds to `changed` what scores changed. Raises sqlite3.Error when nothing could be written.
    """
    await connection.execute("BEGIN IMMEDIATE")
    try:
        kept = [await _write_one(connection, feedback, changed) for feedback in given]
        await connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            await connection.execute("ROLLBACK")
        raise
    return kept


async def _write_one(
    connection: aiosqlite.Connection, given: Feedback, changed: list[Amendment]
) -> Kept | None:
    if given.request_key is not None:
        earlier = list(
            await connection.execute_fetchall(f"{_SELECT} WHERE f.request_key = ?", (given.request_key,))
        )
        if earlier:
            return Kept(from_row(earlier[0]), is_new=False)
    found = list(await connection.execute_fetchall("SELECT seq FROM events WHERE id = ?", (given.event_id,)))
    if not found:
        return None
    seq = found[0][0]
    cursor = await connection.execute(
        "INSERT INTO event_feedback (event_seq, given_ms, who, score, label, comment, request_key) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (seq, given.given_ms, given.who, given.score, given.label, given.comment, given.request_key),
    )
    if given.score is not None:
        async with amending(connection, (seq,)) as amended:
            await connection.execute("UPDATE events SET quality_score = ? WHERE seq = ?", (given.score, seq))
        changed += amended
    return Kept(replace(given, id=cursor.lastrowid or 0), is_new=True)
