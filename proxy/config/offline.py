"""Going back to a version where no gateway runs: what an apply would write, and what it would remember."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from pathlib import Path

from proxy.base.sanitise import sanitise
from proxy.base.times import now_ms
from proxy.config import files
from proxy.config.state import StoredVersion, text_hash
from proxy.config.versions import VersionStore
from proxy.policy.lint import Surroundings, lint


class NotRestoredError(Exception):
    """Nothing was written; its text is one sentence."""


async def restore_offline(
    path: Path, text: str, store: Path, surroundings: Surroundings, *, who: str, why: str
) -> int:
    """Write `text` to `path` and keep it as a new version in `store`; its number.

    What stood in the file is kept as a version before, unless it is one. The caller holds the lock of the state
    directory. Raises NotRestoredError.
    """
    first = next((item for item in lint(text, surroundings).diagnostics if item.severity == "error"), None)
    if first is not None:
        raise NotRestoredError(f"that version no longer lints clean: line {first.line}: {first.message}")
    reading = files.read(path)
    if reading.text is None and not reading.missing:
        raise NotRestoredError(f"{path}: {reading.problem}; it was not overwritten")
    versions = VersionStore(store)
    try:
        await versions.open()
        try:
            return await _replace(path, reading.text, text, versions, sanitise(who, 80), sanitise(why, 500))
        finally:
            await versions.close()
    except (sqlite3.Error, ValueError) as error:
        raise NotRestoredError(f"{store}: {error}") from None


async def _replace(
    path: Path, present: str | None, text: str, versions: VersionStore, who: str, why: str
) -> int:
    if present is not None and await versions.find(str(path), text_hash(present)) is None:
        kept = "the text of the file before it was restored"
        await versions.add(
            str(path), StoredVersion(0, text_hash(present), now_ms(), "", "file", kept, present)
        )
    if present != text:
        try:
            await asyncio.to_thread(files.write, path, text)
        except OSError as error:
            raise NotRestoredError(f"could not write {path}: {os.strerror(error.errno or 0)}") from None
    return await versions.add(
        str(path), StoredVersion(0, text_hash(text), now_ms(), who, "restore", why, text)
    )
