"""Writing requests to a file, straight from the Events API: nothing is overwritten, nothing half-written stays."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from ktui.answers import EventRow
from ktui.link import GatewayLink
from proxy.base.sanitise import sanitise

FORMATS = ("jsonl", "json", "csv")
_PATH = "/v1/events"

Progress = Callable[[int], None]
"""Told the bytes written so far."""


class ExportError(Exception):
    """Nothing was written; one sentence."""


def default_name(now: datetime, marked: int) -> str:
    """`requests-20260611-143207.jsonl`."""
    return f"{'marked' if marked else 'requests'}-{now:%Y%m%d-%H%M%S}.jsonl"


def target_of(text: str, here: Path, formats: Sequence[str] = FORMATS) -> tuple[Path, str]:
    """The file and the format, one of `formats`, that a typed name means. Raises ExportError."""
    name = text.strip()
    if not name or not name.isprintable():
        raise ExportError(f"type a file name, such as requests.{formats[0]}")
    path = (here / Path(name).expanduser()).absolute()
    form = path.suffix.removeprefix(".").lower()
    if form not in formats:
        more = "; parquet is written by: kt export create --format parquet" if form == "parquet" else ""
        raise ExportError(f"the name must end in {', '.join(f'.{item}' for item in formats)}{more}")
    if not path.parent.is_dir():
        raise ExportError(f"there is no directory {sanitise(path.parent, 200)}")
    if path.exists() or path.is_symlink():
        raise ExportError(f"{sanitise(path.name, 100)} exists already and is never overwritten")
    return path, form


async def write_rows(
    link: GatewayLink,
    path: Path,
    form: str,
    *,
    filter_text: str = "",
    marked: Sequence[EventRow] = (),
    progress: Progress | None = None,
) -> int:
    """Writes the marked requests, else all stored ones that match, to a new file; returns its bytes.

    Raises ExportError or LinkError; then, and when cancelled, there is no file.
    """
    part = path.with_name(f".{path.name}.part")
    chunks = _of_marked(link, form, marked) if marked else _of_all(link, form, filter_text)
    try:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ExportError(f"{sanitise(part, 200)} cannot be made: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            written = await _written(file, chunks, progress)
        await asyncio.to_thread(_give_name, part, path)
    except OSError as error:
        raise ExportError(f"{sanitise(path, 200)} was not written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    return written


async def _written(file: BinaryIO, chunks: AsyncIterator[bytes], progress: Progress | None) -> int:
    written = 0
    async for chunk in chunks:
        await asyncio.to_thread(file.write, chunk)
        written += len(chunk)
        if progress is not None:
            progress(written)
    file.flush()
    await asyncio.to_thread(os.fsync, file.fileno())
    return written


def _give_name(part: Path, path: Path) -> None:
    """Raises OSError; a file of that name, also one made meanwhile, stays as it is."""
    try:
        path.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems know no hard links.
        if path.exists():
            raise FileExistsError(17, "it exists meanwhile") from None
        part.replace(path)


async def _of_all(link: GatewayLink, form: str, filter_text: str) -> AsyncIterator[bytes]:
    params = {"format": form, "order": "oldest", **({"filter": filter_text} if filter_text else {})}
    async with aclosing(link.download(_PATH, params)) as chunks:
        async for chunk in chunks:
            yield chunk


async def _of_marked(link: GatewayLink, form: str, rows: Sequence[EventRow]) -> AsyncIterator[bytes]:
    """Each request by its place in the store, oldest first."""
    one = "jsonl" if form == "json" else form
    lead = b"[" if form == "json" else b""
    for number, row in enumerate(sorted(rows, key=lambda row: row.seq)):
        params: dict[str, str | int] = {"format": one, "after_seq": row.seq - 1, "before_seq": row.seq + 1}
        async with aclosing(link.download(_PATH, params)) as chunks:
            data = b"".join([chunk async for chunk in chunks])
        if form == "csv":
            head, end, record = data.partition(b"\r\n")
            yield head + end + record if not number else record
        elif form == "json" and data.strip():
            yield lead + data.rstrip(b"\n")
            lead = b",\n"
        else:
            yield data
    if form == "json":
        yield b"]\n" if lead != b"[" else b"[]\n"
