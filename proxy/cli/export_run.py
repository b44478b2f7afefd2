"""Which file an export goes to, whether it goes on with an earlier one, and the run itself."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from proxy.base.times import now_ms
from proxy.cli.api import Api
from proxy.cli.exits import ProblemError, UsageError
from proxy.cli.export_file import (
    carry_out,
    checksum,
    load_manifest,
    manifest_path,
    opened_rows,
    part_path,
    save_manifest,
    settle,
)
from proxy.cli.export_index import entries, note
from proxy.cli.export_progress import Meter
from proxy.cli.export_source import ApiSource, Source, StoreSource
from proxy.cli.places import Gateway
from proxy.events.export import Manifest, Request, difference
from proxy.events.parquet import ParquetMissingError, require

NO_STORE = "no gateway runs and there is no event store in {}; name one with --state-dir or --api"


def choose(state: Path, asked: Request, out: Path | None, resume: bool) -> tuple[Path, Request]:
    """The file, and what is asked for: with `resume` as its manifest says. Raises UsageError."""
    if out is not None:
        path = out.absolute()
        if not resume:
            return path, asked
        kept = load_manifest(path)
        if kept is None:
            raise UsageError(f"there is no unfinished export {path}")
        return path, kept.request
    unfinished = [
        (entry.path, entry.manifest.request)
        for entry in entries(state)
        if entry.manifest is not None and entry.state == "unfinished"
    ]
    if resume:
        if len(unfinished) != 1:
            names = ", ".join(str(path) for path, _ in unfinished) or "none"
            raise UsageError(
                f"--resume without --out goes on with the only unfinished export; there are: {names}"
            )
        return unfinished[0]
    here = Path.cwd()
    for path, request in unfinished:
        if request == asked and path.parent == here:
            return path, request
    return _free_name(here, asked), asked


def _free_name(folder: Path, asked: Request) -> Path:
    stem = f"{asked.type}-{datetime.fromtimestamp(now_ms() / 1_000, UTC):%Y%m%dT%H%M%SZ}"
    for number in count(1):
        path = folder / f"{stem}{'' if number == 1 else f'-{number}'}.{asked.format}"
        if not path.exists() and not manifest_path(path).exists():
            return path
    raise AssertionError


def run(path: Path, request: Request, state: Path, gateway: Gateway | None, overwrite: bool) -> Manifest:
    """Make `path`, from where an earlier run of the same request stopped. Raises UsageError, ProblemError."""
    if request.format == "parquet":
        try:
            require()
        except ParquetMissingError as error:
            raise UsageError(str(error)) from None
    _check_room(path, None if overwrite else load_manifest(path), overwrite)
    with opened_rows(path, request.format) as rows:
        kept = None if overwrite else load_manifest(path)
        if kept is not None and kept.state == "finished":
            return settle(path, kept)
        if kept is not None:
            _check_same(path, request, kept)
        elif not overwrite and rows.seek(0, 2):
            raise UsageError(f"{rows.name} has no manifest; delete it, or begin anew with --overwrite")
        asked_ms = now_ms() if kept is None else kept.asked_ms
        with closing(_source(request, asked_ms, state, gateway)) as source:
            manifest = kept or Manifest(request, asked_ms, source.newest())
            save_manifest(path, manifest)
            note(state, path)
            with Meter(manifest) as meter:
                return carry_out(path, manifest, rows, source, meter.show)


def _check_room(path: Path, kept: Manifest | None, overwrite: bool) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"there is no directory {path.parent}")
    if path.is_dir():
        raise UsageError(f"{path} is a directory; name a file with --out")
    under_way = kept is not None and (kept.state == "unfinished" or part_path(path).exists())
    if path.exists() and not overwrite and not under_way:
        raise UsageError(
            f"{path} is there already; name another with --out, or write over it with --overwrite"
        )


def _check_same(path: Path, request: Request, kept: Manifest) -> None:
    differs = difference(request, kept.request)
    if differs is not None:
        raise UsageError(
            f"{path} is an unfinished export of something else ({differs}): --resume goes on with it as it was, "
            "--overwrite begins anew"
        )


def _source(request: Request, asked_ms: int, state: Path, gateway: Gateway | None) -> Source:
    if gateway is not None:
        if request.origin not in (gateway.api, str(state)):
            raise UsageError(
                f"the export is of the events of {request.origin}; name that with --api or --state-dir"
            )
        return ApiSource(Api(gateway), request, asked_ms)
    path = state / "events.db"
    if request.origin != str(state):
        raise UsageError(
            f"the export is of the events of {request.origin}; name that with --api or --state-dir"
        )
    if not path.exists():
        raise UsageError(NO_STORE.format(state))
    return StoreSource(path, request, asked_ms)


def verify(path: Path) -> Manifest:
    """The manifest of `path`, which is what it says. Raises ProblemError when it is not."""
    manifest = load_manifest(path)
    if manifest is None:
        raise UsageError(
            f"{path} has no manifest {manifest_path(path).name} beside it, so nothing tells what it was"
        )
    if manifest.state != "finished":
        raise ProblemError(f"{path} is not finished: {manifest.rows:,} rows so far; the same command goes on")
    if not path.exists():
        raise ProblemError(f"{path} is gone; its manifest tells of {manifest.rows:,} rows")
    size = path.stat().st_size
    if size != manifest.size:
        raise ProblemError(f"{path} has {size:,} bytes, and had {manifest.size:,} when it was written")
    found = checksum(path)
    if found != manifest.sha256:
        raise ProblemError(f"{path} has the SHA-256 {found}, and had {manifest.sha256} when it was written")
    return manifest
