"""Looking through the store a stretch at a time, newest first: what any filter can be answered with. Blocking."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from proxy.base.sanitise import sanitise
from proxy.events.codec import from_row
from proxy.events.errors import StoreError
from proxy.events.sqlite_plan import Plan
from proxy.events.sqlite_schema import SELECT
from proxy.events.wire_form import event_json


@dataclass(frozen=True, slots=True)
class Stretch:
    """Consecutive seqs, both ends included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Hits:
    """What a stretch held."""

    rows: list[tuple[int, bytes]]
    """seq and JSON of each event that fits, newest first; at most as many as were asked for."""
    reached_ms: int | None
    """Arrival of the event at the old end of what was looked at: the stretch, or the last row when there was no room for more."""


def ready() -> None:
    """Nothing: whoever asks another process for it has that process started, with all this imported."""


def search_stretch(path: Path, way: Plan, stretch: Stretch, limit: int, unknown_null: bool) -> Hits:
    """The newest `limit` events of `stretch` that fit `way`. Raises StoreError."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2.0)) as store:
            store.execute("PRAGMA query_only=1")
            store.execute("PRAGMA wal_autocheckpoint=0")
            rows = _rows(store, way, stretch, limit)
            reached = store.execute(
                "SELECT timestamp_ms FROM events WHERE seq >= ? ORDER BY seq LIMIT 1", (stretch.low,)
            ).fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"cannot read the event store {path}: {sanitise(error, 200)}") from None
    events = [from_row(row) for row in rows]
    encoded = [
        (row[0], msgspec.json.encode(event_json(event, unknown_null)))
        for row, event in zip(rows, events, strict=True)
    ]
    if len(events) >= limit:
        return Hits(encoded, events[-1].timestamp_ms)
    return Hits(encoded, None if reached is None else reached[0])


def _rows(store: sqlite3.Connection, way: Plan, stretch: Stretch, limit: int) -> Sequence[Any]:
    sql, values = way.seqs(stretch.low, stretch.high, False, limit)
    return store.execute(
        f"{SELECT} WHERE seq IN (SELECT seq FROM ({sql})) ORDER BY seq DESC", values
    ).fetchall()
