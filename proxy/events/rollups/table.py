"""The tables of the roll-ups, and what is kept in them for how long."""

from __future__ import annotations

from proxy.events.rollups.cells import COUNTS, DAY_MS, HOUR_MS, MINUTE_MS, SKETCHES, SQUARES

KEEP_MS = {MINUTE_MS: 30 * DAY_MS, HOUR_MS: 400 * DAY_MS}
"""How long buckets are kept, by width; days for ever."""
TOP_USERS = 200
"""Users of a bucket that keep a row of their own once it is cut."""
USERS_BEFORE_CUT = 2 * TOP_USERS
OTHER = "other"
"""The users of a bucket beyond the top."""

_BLOBS = tuple(f"{name}_sketch" for name in SKETCHES)
SCHEMA = (
    "CREATE TABLE rollups (grain INTEGER NOT NULL, dimension TEXT NOT NULL, start_ms INTEGER NOT NULL, "
    "value TEXT NOT NULL, "
    + ", ".join(f"{name} INTEGER NOT NULL" for name in COUNTS)
    + ", "
    + ", ".join(f"{name} REAL NOT NULL" for name in SQUARES)
    + ", "
    + ", ".join(f"{name} BLOB" for name in _BLOBS)
    + ", PRIMARY KEY (grain, dimension, start_ms, value)) WITHOUT ROWID",
    "CREATE TABLE rollup_mark (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL)",
    "INSERT INTO rollup_mark VALUES (1, 0)",
)
ANEW = ("DROP TABLE rollups", SCHEMA[0], "UPDATE rollup_mark SET seq = 0")
"""Statements after which everything that is still there is folded again."""
COLUMNS = ("grain", "dimension", "start_ms", "value", *COUNTS, *SQUARES, *_BLOBS)
KEY_COLUMNS = 4
"""How many of COLUMNS, from the left, are the key."""
BLOB_COLUMNS = len(_BLOBS)
"""How many of COLUMNS, from the right, are sketches."""
MARK = "SELECT seq FROM rollup_mark"
THIS = " AND ".join(f"{name} = ?" for name in COLUMNS[:KEY_COLUMNS])
"""The condition of the row of a key."""
PUT = f"INSERT OR REPLACE INTO rollups ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * len(COLUMNS))})"
