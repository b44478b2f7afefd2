"""The child process of a replay: takes in the file, then serves the control API over it."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ktui.child import Parent
from proxy.base.times import rfc3339
from proxy.events.errors import StoreError
from proxy.events.file_rows import FileError
from proxy.events.import_file import import_file
from proxy.service.replay_service import Archive, ReplayService

_TELL_EVERY_S = 0.25


async def main(parent: Parent) -> None:
    """Says how far the reading is, then where the control API listens; ends with the parent."""
    wanted = await parent.receive()
    if wanted is None:
        return
    try:
        if wanted["file"] is not None:
            await import_file(Path(wanted["file"]), Path(wanted["directory"]) / "events.db", _Teller(parent))
        service = ReplayService(_archive(wanted), os.environ)
        url = await service.start()
    except (FileError, StoreError, OSError, ValueError, sqlite3.Error) as error:
        parent.send({"error": str(error)})
        return
    last = service.last_timestamp_ms
    parent.send(
        {
            "api_url": url,
            "token": service.token.reveal(),
            "last": None if last is None else rfc3339(last),
        }
    )
    await parent.receive()
    await service.stop()


def _archive(wanted: dict[str, Any]) -> Archive:
    """What is looked at. Opening the versions writes to them, so it is a copy that is opened."""
    directory, own = Path(wanted["directory"]), Path(wanted["own"])
    kept, copy = directory / "versions.db", own / "versions.db"
    if kept.is_file() and kept != copy:
        read_only = f"file:{quote(str(kept))}?mode=ro"
        with (
            closing(sqlite3.connect(read_only, uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
    return Archive(directory, copy, wanted["name"], Path(wanted["policy"]))


class _Teller:
    """Tells the parent how far it is, a few times a second."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._told_at = 0.0

    def __call__(self, doing: str, events: int) -> None:
        now = time.monotonic()
        if now - self._told_at >= _TELL_EVERY_S:
            self._told_at = now
            self._parent.send({"doing": doing, "events": events})
