"""Reading the versions that a state directory keeps, without a gateway. Blocking; also while a gateway runs."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from proxy.config.state import StoredVersion

_COLUMNS = "number, hash, applied_at_ms, who, through, why"


class VersionsUnreadableError(Exception):
    """The store is there but cannot be read; its text is one sentence."""


def stored_paths(store: Path) -> list[str]:
    """The files that versions were applied from, the one applied last first. Raises VersionsUnreadableError."""
    rows = _query(store, "SELECT path FROM versions GROUP BY path ORDER BY max(number) DESC", ())
    return [str(row[0]) for row in rows]


def stored_versions(store: Path, path: str, limit: int = 500) -> list[StoredVersion]:
    """The versions applied from `path` without their texts, newest first. Raises VersionsUnreadableError."""
    wanted = f"SELECT {_COLUMNS} FROM versions WHERE path = ? ORDER BY number DESC LIMIT ?"
    return [StoredVersion(*row) for row in _query(store, wanted, (path, limit))]


def stored_version(store: Path, number: int) -> StoredVersion | None:
    """One version with its text; None when there is none. Raises VersionsUnreadableError."""
    rows = _query(store, f"SELECT {_COLUMNS}, text FROM versions WHERE number = ?", (number,))
    return StoredVersion(*rows[0]) if rows else None


def _query(store: Path, statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    try:
        with closing(
            sqlite3.connect(f"file:{quote(str(store))}?mode=ro", uri=True, timeout=2.0)
        ) as open_store:
            return open_store.execute(statement, values).fetchall()
    except sqlite3.Error as error:
        raise VersionsUnreadableError(f"{store} cannot be read: {error}") from None
