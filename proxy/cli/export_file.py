"""Writing an export to its file, so that it can be stopped at any moment and gone on with.

FILE appears when it is whole. Until then the rows are in FILE.part (for Parquet, which is made at the end, in
FILE.rows), and FILE.manifest.json says up to which byte they count. It stays beside the finished file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

from proxy.base.times import now_ms
from proxy.cli.exits import ProblemError, UsageError
from proxy.cli.export_source import Source
from proxy.events.export import Manifest, ManifestError, Record, exported, layout, read_manifest
from proxy.events.parquet import ParquetMissingError, write

CHECKPOINT_S = 1.0
"""At least so long between two marks of how far the rows are safely on disk."""

Progress = Callable[[Manifest, Record | None], None]
"""Called after each page with the state so far and the last event written."""


def manifest_path(path: Path) -> Path:
    """Of the manifest of `path`."""
    return path.with_name(path.name + ".manifest.json")


def part_path(path: Path) -> Path:
    """Of what becomes `path`."""
    return path.with_name(path.name + ".part")


def rows_path(path: Path, form: str) -> Path:
    """Of the rows gathered so far."""
    return path.with_name(path.name + ".rows") if form == "parquet" else part_path(path)


def load_manifest(path: Path) -> Manifest | None:
    """The manifest of the export `path`; None when it has none. Raises ProblemError."""
    place = manifest_path(path)
    try:
        return read_manifest(place.read_bytes())
    except FileNotFoundError:
        return None
    except ManifestError as error:
        raise ProblemError(f"{place}: {error}") from None


def save_manifest(path: Path, manifest: Manifest) -> None:
    """Replace the manifest of `path` at once and for good."""
    place = manifest_path(path)
    temporary = place.with_name(place.name + ".tmp")
    descriptor = os.open(
        temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
    )
    with os.fdopen(descriptor, "wb") as file:
        file.write(manifest.to_json())
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(place)


def checksum(path: Path) -> str:
    """SHA-256 of a file, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def opened_rows(path: Path, form: str) -> Iterator[BinaryIO]:
    """The file of rows, mode 0600, this process alone writing it. Raises UsageError when another one does."""
    place = rows_path(path, form)
    try:
        descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise UsageError(f"cannot write {place}: {error.strerror}") from None
    with os.fdopen(descriptor, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another kt is writing {path}") from None
        try:
            yield file
        finally:
            file.flush()
            if not manifest_path(path).exists() and os.fstat(file.fileno()).st_size == 0:
                place.unlink(missing_ok=True)


def carry_out(path: Path, manifest: Manifest, rows: BinaryIO, source: Source, progress: Progress) -> Manifest:
    """Go on from where `manifest` stands until `path` is whole; returns its last state.

    Raises ProblemError when the source or the disk fails; what was written so far is kept.
    """
    try:
        gathered = _gather(path, manifest, rows, source, progress)
        if gathered.request.format == "parquet":
            _make_parquet(path, gathered, progress)
        return settle(path, gathered)
    except OSError as error:
        raise ProblemError(
            f"{path} could not be written: {error.strerror or error}; the same command goes on where it stopped"
        ) from None


def _gather(path: Path, manifest: Manifest, rows: BinaryIO, source: Source, progress: Progress) -> Manifest:
    form = layout(manifest.request.format)
    if os.fstat(rows.fileno()).st_size < manifest.size:
        raise ProblemError(
            f"{path.name}: its rows are shorter than its manifest says; begin anew with --overwrite"
        )
    rows.truncate(manifest.size)
    rows.seek(manifest.size)
    if manifest.size == 0:
        rows.write(form.head)
    marked = float("-inf")
    try:
        for page in source.pages(manifest.last_seq or (manifest.top_seq or 0) + 1):
            parts = [form.row(exported(record)) for record in page]
            lead = form.separator if manifest.rows else b""
            rows.write(lead + form.separator.join(parts))
            manifest = replace(
                manifest, rows=manifest.rows + len(page), last_seq=page[-1]["seq"], size=rows.tell()
            )
            if time.monotonic() - marked >= CHECKPOINT_S:
                _mark(path, manifest, rows)
                marked = time.monotonic()
            progress(manifest, page[-1])
    except (KeyboardInterrupt, ProblemError):
        _mark(path, manifest, rows)
        raise
    _mark(path, manifest, rows)
    rows.write(form.tail)
    rows.flush()
    os.fsync(rows.fileno())
    return replace(manifest, size=rows.tell())


def _mark(path: Path, manifest: Manifest, rows: BinaryIO) -> None:
    """What the manifest says is on disk before it says so."""
    rows.flush()
    os.fsync(rows.fileno())
    save_manifest(path, manifest)


def _make_parquet(path: Path, manifest: Manifest, progress: Progress) -> None:
    request = manifest.request
    about = {"description": request.description, "since": request.since, "until": request.until or "",
             "filter": request.filter or "", "type": request.type}  # fmt: skip
    place = part_path(path)
    os.close(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    try:
        write(rows_path(path, "parquet"), place, about, lambda _rows: progress(manifest, None))
    except ParquetMissingError as error:
        raise UsageError(str(error)) from None
    with place.open("rb") as file:
        os.fsync(file.fileno())


def settle(path: Path, manifest: Manifest) -> Manifest:
    """Put the whole file in its place: first the manifest says what it holds, then it appears."""
    part = part_path(path)
    if manifest.state != "finished":
        manifest = replace(
            manifest, state="finished", size=part.stat().st_size, sha256=checksum(part), finished_ms=now_ms()
        )
        save_manifest(path, manifest)
    part.replace(path)
    if manifest.request.format == "parquet":
        rows_path(path, "parquet").unlink(missing_ok=True)
    return manifest
