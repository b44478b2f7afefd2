"""The events that arrived in a span of time, read from the store's file. Blocking; read-only."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from proxy.base.sanitise import sanitise
from proxy.events.codec import from_row
from proxy.events.errors import StoreError
from proxy.events.event import Event
from proxy.events.sqlite_schema import SELECT

_BETWEEN = (
    f"{SELECT} INDEXED BY events_timestamp WHERE timestamp_ms >= ? AND timestamp_ms < ? "
    "ORDER BY timestamp_ms DESC LIMIT ?"
)


def read_arrivals(path: Path, since_ms: int, until_ms: int, limit: int) -> list[Event]:
    """The newest `limit` events that arrived from `since_ms` on and before `until_ms`, newest first.

    Raises StoreError when the file cannot be read.
    """
    if not path.exists():
        raise StoreError(f"there is no event store at {path}")
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=2.0)) as store:
            store.execute("PRAGMA query_only=1")
            store.execute("PRAGMA wal_autocheckpoint=0")
            return [from_row(row) for row in store.execute(_BETWEEN, (since_ms, until_ms, limit))]
    except sqlite3.Error as error:
        raise StoreError(f"cannot read the event store {path}: {sanitise(error, 200)}") from None
