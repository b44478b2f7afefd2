"""What was asked and answered, word for word: kept beside its event, only where the policy file asks for it.

Bodies travel with their event (recorder, journal, writer) and then lie in a table of their own, so that no list of
events reads them and each can go long before its event does.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import aiosqlite
import msgspec

from proxy.events.event import Bodies, Body, Event

MAX_BYTES = 64 * 1024
"""Kept of each side when the file names no other number."""
_FAST = 1
"""zlib's quickest level: text shrinks to about a third all the same."""

Gone = Literal["purged", "age", "size"]

SCHEMA = (
    # One row for each event that had bodies, also once they are gone: so it can be said why there are none.
    "CREATE TABLE event_bodies (event_seq INTEGER PRIMARY KEY, timestamp_ms INTEGER NOT NULL, "
    "request BLOB, request_bytes INTEGER, request_cut INTEGER, request_type TEXT, "
    "response BLOB, response_bytes INTEGER, response_cut INTEGER, response_type TEXT, "
    "stored_bytes INTEGER NOT NULL, gone TEXT, gone_ms INTEGER)",
    "CREATE INDEX event_bodies_kept ON event_bodies (timestamp_ms) WHERE gone IS NULL",
    "CREATE TABLE event_bodies_size (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL)",
    "INSERT INTO event_bodies_size VALUES (1, 0)",
    "CREATE TRIGGER event_bodies_new AFTER INSERT ON event_bodies "
    "BEGIN UPDATE event_bodies_size SET bytes = bytes + new.stored_bytes; END",
    "CREATE TRIGGER event_bodies_changed AFTER UPDATE ON event_bodies "
    "BEGIN UPDATE event_bodies_size SET bytes = bytes + new.stored_bytes - old.stored_bytes; END",
    "CREATE TRIGGER event_bodies_deleted AFTER DELETE ON event_bodies "
    "BEGIN UPDATE event_bodies_size SET bytes = bytes - old.stored_bytes; END",
    # Whoever deletes an event need not know of this table.
    "CREATE TRIGGER event_bodies_gone AFTER DELETE ON events "
    "BEGIN DELETE FROM event_bodies WHERE event_seq = old.seq; END",
)
KEPT = "SELECT event_seq FROM event_bodies WHERE gone IS NULL"
"""The seqs of the events whose bodies are there."""
_INSERT = (
    "INSERT INTO event_bodies (event_seq, timestamp_ms, request, request_bytes, request_cut, request_type, "
    "response, response_bytes, response_cut, response_type, stored_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (event_seq) DO NOTHING"
)
FIND = (
    "SELECT b.request, b.request_bytes, b.request_cut, b.request_type, b.response, b.response_bytes, "
    "b.response_cut, b.response_type, b.gone, b.gone_ms "
    "FROM events e LEFT JOIN event_bodies b ON b.event_seq = e.seq WHERE e.id = ?"
)
"""The bodies of one event id; all NULL when the event had none, no row when there is no event."""
EMPTIED = (
    "request = NULL, response = NULL, request_bytes = NULL, response_bytes = NULL, request_cut = NULL, "
    "response_cut = NULL, request_type = NULL, response_type = NULL, stored_bytes = 0, gone = ?, gone_ms = ?"
)
"""What a row is set to when its bodies go: why, and when (milliseconds since 1970)."""

Packed = tuple[Any, ...]


class Capture:
    """Bytes on their way past, of which the first `limit` are held."""

    __slots__ = ("_held", "_limit", "content_type", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = bytearray()
        self.size = 0
        """Bytes that came by."""
        self.content_type: str | None = None

    @property
    def limit(self) -> int:
        """Bytes held at most."""
        return self._limit

    def add(self, data: bytes) -> None:
        """`data` comes by."""
        room = self._limit - self.size
        if room > 0:
            self._held += data if len(data) <= room else data[:room]
        self.size += len(data)

    def body(self) -> Body:
        """What came by so far."""
        return Body(bytes(self._held), self.size, self.content_type)


@dataclass(frozen=True, slots=True)
class FoundBodies:
    """What the store has of one event's bodies."""

    bodies: Bodies | None
    gone: Gone | None = None
    """Why they are there no more; None with no bodies: none were kept."""
    gone_ms: int | None = None


def read_encoded(value: Any) -> Bodies | None:
    """The bodies of a journal line; None for what is none: the event matters more."""
    if value is None:
        return None
    try:
        return msgspec.convert(value, Bodies)
    except msgspec.ValidationError:
        return None


def pack(events: Sequence[Event]) -> Mapping[str, Packed]:
    """The rows of those that have bodies, by event id, without the seq. Compresses: not on the event loop."""
    packed: dict[str, Packed] = {}
    for event in events:
        if event.bodies is not None:
            request, response = _side(event.bodies.request), _side(event.bodies.response)
            size = len(request[0] or b"") + len(response[0] or b"")
            packed[event.id] = (event.timestamp_ms, *request, *response, size)
    return packed


def _side(body: Body | None) -> tuple[bytes | None, int | None, int | None, str | None]:
    if body is None:
        return None, None, None, None
    return zlib.compress(body.data, _FAST), body.size, int(body.truncated), body.content_type


async def write(
    connection: aiosqlite.Connection, packed: Mapping[str, Packed], seqs: Mapping[str, int]
) -> None:
    """Keep what was packed, in the transaction that is open. Raises sqlite3.Error."""
    await connection.executemany(
        _INSERT, [(seqs[event_id], *row) for event_id, row in packed.items() if event_id in seqs]
    )


async def empty(
    connection: aiosqlite.Connection, chosen: str, values: Sequence[Any], gone: Gone, now_ms: int
) -> int:
    """Let go of the bodies of the seqs that `chosen` (a SELECT) finds, in a transaction of its own; how many.

    Raises sqlite3.Error; then all are still there.
    """
    await connection.execute("BEGIN IMMEDIATE")
    try:
        cursor = await connection.execute(
            f"UPDATE event_bodies SET {EMPTIED} WHERE gone IS NULL AND event_seq IN ({chosen})",
            (gone, now_ms, *values),
        )
        await connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            await connection.execute("ROLLBACK")
        raise
    return cursor.rowcount


def from_row(row: Sequence[Any]) -> FoundBodies:
    """What a row of FIND says."""
    gone, gone_ms = row[8], row[9]
    if gone is not None:
        return FoundBodies(None, gone, gone_ms)
    request, response = _unpacked(*row[0:4]), _unpacked(*row[4:8])
    return FoundBodies(Bodies(request, response) if request or response else None)


def _unpacked(data: bytes | None, size: int | None, cut: int | None, kind: str | None) -> Body | None:
    return None if data is None else Body(zlib.decompress(data), size or 0, kind)
