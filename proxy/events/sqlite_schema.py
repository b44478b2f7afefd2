"""The event database: its table, its version, and how its file is opened."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

import aiosqlite

from proxy.base.priority import let_others_go_first
from proxy.base.sanitise import sanitise
from proxy.events.bodies import SCHEMA as BODIES
from proxy.events.codec import FIELDS
from proxy.events.errors import StoreError
from proxy.events.feedback import SCHEMA as FEEDBACK
from proxy.events.rollups import table
from proxy.events.sqlite_indexes import LEANER, NARROW, TRACED
from proxy.events.sqlite_indexes import SCHEMA as FINDING

SCHEMA_VERSION = 9
QUICK_CHECK_BYTES = 64 * 1024 * 1024
"""Largest file whose soundness is checked at start; beyond it the check would hold the start up."""
_WAL_LIMIT = 64 * 1024 * 1024

_TABLE = """
CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  id TEXT NOT NULL UNIQUE,
  timestamp_ms INTEGER NOT NULL,
  endpoint TEXT NOT NULL,
  requested_model TEXT NOT NULL,
  model TEXT NOT NULL,
  decision TEXT NOT NULL,
  status INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  latency_ms REAL NOT NULL,
  stream INTEGER NOT NULL,
  error TEXT,
  error_message TEXT,
  ttft_ms REAL,
  overhead_us INTEGER,
  provider TEXT,
  target TEXT,
  upstream_model TEXT,
  input_tokens INTEGER,
  output_tokens INTEGER,
  cached_tokens INTEGER,
  cache_write_tokens INTEGER,
  reasoning_tokens INTEGER,
  usage_status TEXT NOT NULL,
  cost_nanos INTEGER,
  cost_status TEXT NOT NULL,
  price_source TEXT,
  finish_reason TEXT,
  policies_triggered TEXT NOT NULL,
  severity TEXT,
  split TEXT,
  ab_tag TEXT,
  phase TEXT,
  salt TEXT,
  unit_kind TEXT,
  unit_digest TEXT,
  draw INTEGER NOT NULL,
  config_version TEXT NOT NULL,
  attempts INTEGER NOT NULL,
  key TEXT,
  quality_score REAL,
  facts TEXT NOT NULL,
  request_metadata TEXT NOT NULL
)
"""
# Each index ends in the rowid, which is seq: a walk over one model is in order of seq without sorting.
_MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (
        _TABLE,
        "CREATE INDEX events_timestamp ON events (timestamp_ms)",
        "CREATE INDEX events_model ON events (model)",
        "CREATE INDEX events_tag ON events (ab_tag) WHERE ab_tag IS NOT NULL",
    ),
    2: (
        "ALTER TABLE events ADD COLUMN dropped_params TEXT NOT NULL DEFAULT '[]'",
        "ALTER TABLE events ADD COLUMN attempt_log TEXT NOT NULL DEFAULT '[]'",
    ),
    3: FEEDBACK,
    4: FINDING,
    5: table.SCHEMA,
    6: (*LEANER, *table.ANEW),
    7: BODIES,
    8: NARROW,
    9: ("ALTER TABLE events ADD COLUMN trace TEXT", TRACED),
}
"""What leads to each version, from the one before."""

# A repeated id is passed over. OR IGNORE would also pass over a row with a NULL where none may be.
INSERT = (
    f"INSERT INTO events ({', '.join(FIELDS)}) VALUES ({', '.join('?' * len(FIELDS))}) "
    "ON CONFLICT (id) DO NOTHING"
)
SELECT = f"SELECT seq, {', '.join(FIELDS)} FROM events"


class Damaged(Exception):
    """The file is not a sound database."""


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process holds the database: waiting helps."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken: waiting does not help."""
    return _code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _code(error: sqlite3.Error) -> int:
    # Extended codes carry the primary one in their low byte.
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


async def open_writer(path: Path, busy_s: float = 1.0) -> aiosqlite.Connection:
    """The one connection that writes, on a current schema.

    Raises StoreError (one sentence) when the file is of a newer version, Damaged when it is broken,
    sqlite3.Error for what may pass (locked, full).
    """
    _make_private(path)

    def connect() -> sqlite3.Connection:
        # In the connection's own thread.
        let_others_go_first()
        return sqlite3.connect(path, isolation_level=None, timeout=busy_s)

    connection = await aiosqlite.Connection(connect, iter_chunk_size=64)
    try:
        # Takes effect in a file that is new: what retention frees can then be given back.
        await connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        await connection.execute("PRAGMA journal_mode=WAL")
        await connection.execute("PRAGMA synchronous=NORMAL")
        await connection.execute(f"PRAGMA journal_size_limit={_WAL_LIMIT}")
        # What is deleted is overwritten with zeros: prompts that were purged must not be left in the file.
        await connection.execute("PRAGMA secure_delete=ON")
        await _migrate(connection, path)
        await _check(connection, path)
    except sqlite3.DatabaseError as error:
        await connection.close()
        if is_damage(error):
            raise Damaged(str(error)) from None
        raise
    except BaseException:
        await connection.close()
        raise
    return connection


async def open_reader(path: Path) -> aiosqlite.Connection:
    """A connection that can only read, and never checkpoints."""
    if not _exists(path):
        raise StoreError(
            f"there is no event store at {path}: start the gateway once, or name another --state-dir"
        )
    connection = await aiosqlite.connect(
        f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None, timeout=2.0
    )
    try:
        await connection.execute("PRAGMA query_only=1")
        await connection.execute("PRAGMA wal_autocheckpoint=0")
        version = await _version(connection)
        if version > SCHEMA_VERSION:
            raise StoreError(_newer(path, version))
        if version < SCHEMA_VERSION:
            raise StoreError(
                f"{path} was written by an older ktui (store version {version}): start the gateway once, "
                "which brings it up to date"
            )
    except sqlite3.Error as error:
        await connection.close()
        raise StoreError(f"cannot read the event store {path}: {sanitise(error, 200)}") from None
    except BaseException:
        await connection.close()
        raise
    return connection


def _exists(path: Path) -> bool:
    return path.exists()


def _size(path: Path) -> int:
    return path.stat().st_size


def _make_private(path: Path) -> None:
    """The file exists with mode 0600; SQLite gives its -wal and -shm the same."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise StoreError(f"cannot write the event store {path}: {error.strerror}") from None


async def _version(connection: aiosqlite.Connection) -> int:
    rows = list(await connection.execute_fetchall("PRAGMA user_version"))
    return int(rows[0][0])


def _newer(path: Path, version: int) -> str:
    return (
        f"{path} was written by a newer ktui (store version {version}, this one knows {SCHEMA_VERSION}): "
        "upgrade, or name another --state-dir"
    )


async def _migrate(connection: aiosqlite.Connection, path: Path) -> None:
    version = await _version(connection)
    if version > SCHEMA_VERSION:
        raise StoreError(_newer(path, version))
    if version == SCHEMA_VERSION:
        return
    await connection.execute("BEGIN IMMEDIATE")
    try:
        version = await _version(connection)
        for step in range(version + 1, SCHEMA_VERSION + 1):
            for statement in _MIGRATIONS[step]:
                await connection.execute(statement)
        await connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
        await connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            await connection.execute("ROLLBACK")
        raise


async def _check(connection: aiosqlite.Connection, path: Path) -> None:
    if _size(path) > QUICK_CHECK_BYTES:
        return
    rows = list(await connection.execute_fetchall("PRAGMA quick_check(1)"))
    if rows[0][0] != "ok":
        raise Damaged(str(rows[0][0]))


def move_aside(path: Path, stamp: int) -> Path:
    """Rename a broken database (with its -wal and -shm) to `NAME.corrupt-STAMP`; returns the new path."""
    aside = path.with_name(f"{path.name}.corrupt-{stamp}")
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(path.with_name(f"{path.name}.corrupt-{stamp}{suffix}"))
    return aside
