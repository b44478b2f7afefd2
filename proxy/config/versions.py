"""Every applied text, kept: number, hash, when, who, through what, why."""

from __future__ import annotations

from pathlib import Path

import aiosqlite

from proxy.config.state import StoredVersion

_SCHEMA = """
CREATE TABLE IF NOT EXISTS versions (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  hash TEXT NOT NULL,
  path TEXT NOT NULL,
  text TEXT NOT NULL,
  applied_at_ms INTEGER NOT NULL,
  who TEXT NOT NULL,
  through TEXT NOT NULL,
  why TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS versions_by_path ON versions (path, number);
PRAGMA user_version = 1;
"""
_COLUMNS = "number, hash, applied_at_ms, who, through, why"


class VersionStore:
    """A small SQLite file of its own; one connection, one caller at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: aiosqlite.Connection | None = None

    async def open(self) -> None:
        """Open or make the file. Raises ValueError when a newer version of this program wrote it."""
        connection = await aiosqlite.connect(self._path, isolation_level=None)
        self._connection = connection
        try:
            self._path.chmod(0o600)
            rows = list(await connection.execute_fetchall("PRAGMA user_version"))
            if int(rows[0][0]) > 1:
                raise ValueError(
                    f"{self._path} was written by a newer ktui; use that one or another state directory"
                )
            await connection.executescript(_SCHEMA)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close; a second call does nothing."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def add(self, path: str, version: StoredVersion) -> int:
        """Keep `version` of the file at `path`; its number."""
        cursor = await self._open_connection.execute(
            "INSERT INTO versions (hash, path, text, applied_at_ms, who, through, why) VALUES (?,?,?,?,?,?,?)",
            (
                version.hash,
                path,
                version.text,
                version.applied_at_ms,
                version.who,
                version.through,
                version.why,
            ),
        )
        number = cursor.lastrowid
        await cursor.close()
        return int(number or 0)

    async def listing(self, path: str, limit: int = 500) -> list[StoredVersion]:
        """The versions of the file at `path` without their texts, newest first."""
        rows = await self._open_connection.execute_fetchall(
            f"SELECT {_COLUMNS} FROM versions WHERE path = ? ORDER BY number DESC LIMIT ?", (path, limit)
        )
        return [StoredVersion(*row) for row in rows]

    async def spans(self, path: str, limit: int = 500) -> dict[int, tuple[int, int | None]]:
        """When each version of the file at `path` ran, by its number: from its apply to the next one, of any file.

        Milliseconds since 1970; the end is None for the newest of all.
        """
        rows = await self._open_connection.execute_fetchall(
            "SELECT number, applied_at_ms, until FROM (SELECT number, path, applied_at_ms, "
            "LEAD(applied_at_ms) OVER (ORDER BY number) AS until FROM versions) "
            "WHERE path = ? ORDER BY number DESC LIMIT ?",
            (path, limit),
        )
        return {row[0]: (row[1], row[2]) for row in rows}

    async def find(self, path: str, digest: str) -> StoredVersion | None:
        """The latest version whose hash begins with `digest`, with its text."""
        return await self._one("path = ? AND substr(hash, 1, ?) = ?", (path, len(digest), digest))

    async def latest(self, path: str) -> StoredVersion | None:
        """The version applied last from `path`, with its text."""
        return await self._one("path = ?", (path,))

    async def at(self, path: str, moment_ms: int) -> StoredVersion | None:
        """The version of the file at `path` that had been applied last at `moment_ms`, with its text."""
        return await self._one("path = ? AND applied_at_ms <= ?", (path, moment_ms))

    async def _one(self, where: str, values: tuple[object, ...]) -> StoredVersion | None:
        rows = list(
            await self._open_connection.execute_fetchall(
                f"SELECT {_COLUMNS}, text FROM versions WHERE {where} ORDER BY number DESC LIMIT 1", values
            )
        )
        return StoredVersion(*rows[0]) if rows else None

    @property
    def _open_connection(self) -> aiosqlite.Connection:
        if self._connection is None:
            raise RuntimeError("the version store is not open")
        return self._connection
