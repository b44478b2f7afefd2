"""An exported file as a store of its own, so that everything that reads a store reads it too."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

from proxy.base.sanitise import sanitise
from proxy.events.codec import decode, prepare
from proxy.events.errors import StoreError
from proxy.events.file_rows import read_events
from proxy.events.sqlite_writer import Writer

BATCH = 2_000

Item = TypeVar("Item")
Progress = Callable[[str, int], None]
"""Called with what is being done (`reading`, `storing`, `counting`) and the events it was done for."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What was taken in. Times are arrivals, milliseconds since 1970; None in an empty file."""

    events: int
    first_ms: int | None
    last_ms: int | None


async def import_file(source: Path, store: Path, progress: Progress) -> Imported:
    """Make the store `store`, which must not exist, of the file `source`. Blocks for long stretches.

    Raises FileError when the file cannot be read as events, StoreError when the store cannot be written.
    """
    staged = store.with_name(store.name + ".staged")
    try:
        with closing(sqlite3.connect(staged, isolation_level=None)) as sorter:
            found = _stage(source, sorter, progress)
            await _store(sorter, store, progress)
        return found
    except sqlite3.Error as error:
        raise StoreError(f"cannot write {store}: {sanitise(error, 200)}") from None
    finally:
        staged.unlink(missing_ok=True)


def _batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    while batch := list(islice(items, BATCH)):
        yield batch


def _stage(source: Path, sorter: sqlite3.Connection, progress: Progress) -> Imported:
    """Exports are newest first, stores are not: this is where the order is turned, in flat memory."""
    sorter.executescript(
        "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; "
        "CREATE TABLE staged (seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, event BLOB NOT NULL); BEGIN"
    )
    done = 0
    for events in _batches(read_events(source)):
        rows = [(event.seq, event.timestamp_ms, prepare(event)[1]) for event in events]
        sorter.executemany("INSERT OR IGNORE INTO staged VALUES (?, ?, ?)", rows)
        done += len(rows)
        progress("reading", done)
    sorter.execute("COMMIT")
    count, first, last = sorter.execute("SELECT count(*), min(at), max(at) FROM staged").fetchone()
    return Imported(count, first, last)


async def _store(sorter: sqlite3.Connection, store: Path, progress: Progress) -> None:
    writer = Writer(store)
    await writer.open()
    try:
        done = 0
        for rows in _batches(sorter.execute("SELECT event FROM staged ORDER BY seq")):
            await writer.write([decode(row[0]) for row in rows])
            done += len(rows)
            progress("storing", done)
        done = 0
        while folded := await writer.fold_some():
            done += folded
            progress("counting", done)
    finally:
        await writer.close()
