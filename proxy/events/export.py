"""Events in a file: the rows of each format, and the manifest that says what the file holds.

Nothing here reads or writes a file. Figures that are unknown or do not apply are null (an empty cell), never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import msgspec

from proxy.events.wire_form import Number, csv_cell, csv_header

FileFormat = Literal["json", "jsonl", "csv", "parquet"]
State = Literal["unfinished", "finished"]
Record = Mapping[str, Any]
"""An event as the Events API shows it with `unknown=null`."""

MANIFEST_VERSION = 1


def exported(record: Record) -> dict[str, Any]:
    """`record` with null for the figures of a request that never went upstream.

    The Events API shows them as zeros; an average over a file must not count them.
    """
    row = dict(record)
    if row["cost_status"] == "none":
        row["cost"] = None
    if row["usage_status"] == "none":
        row["input_tokens"] = row["output_tokens"] = None
    return row


@dataclass(frozen=True, slots=True)
class Layout:
    """How the rows of a text format stand in their file."""

    head: bytes
    separator: bytes
    """Between two rows."""
    tail: bytes
    row: Callable[[Record], bytes]
    """One row, without the separator."""


def layout(form: FileFormat) -> Layout:
    """Of `form`. A Parquet file is made at the end, of rows gathered as jsonl."""
    if form == "json":
        return Layout(b"[", b",\n", b"]\n", msgspec.json.encode)
    if form == "csv":
        return Layout(csv_header().encode(), b"", b"", _csv_row)
    return Layout(b"", b"", b"", lambda record: msgspec.json.encode(record) + b"\n")


Column = tuple[str, str, Callable[[Record], Any]]
"""Name, type (of Parquet) and value."""


def _columns() -> tuple[Column, ...]:
    types = {
        "seq": "int64", "timestamp": "timestamp", "status": "int32", "stream": "bool", "latency_ms": "double",
        "ttft_ms": "double", "overhead_us": "int64", "cost": "money", "input_tokens": "int64",
        "output_tokens": "int64", "cached_tokens": "int64", "cache_write_tokens": "int64",
        "reasoning_tokens": "int64", "policies_triggered": "texts", "quality_score": "double", "attempts": "int32",
    }  # fmt: skip
    inside = {"ab_tag", "experiment", "phase", "unit_kind", "unit_digest", "salt"}

    def value(name: str) -> Callable[[Record], Any]:
        # An older gateway does not tell of every field: what it does not tell is not known.
        if name in inside:
            return lambda record: record["metadata"].get(name)
        return lambda record: record.get(name)

    names = csv_header().strip().split(",")
    return tuple((name, types.get(name, "text"), value(name)) for name in names)


COLUMNS = _columns()
"""Those of CSV, in its order; Parquet has them with types, and REQUEST_COLUMNS behind them."""
REQUEST_COLUMNS: tuple[Column, ...] = (
    ("request_metadata", "map", lambda record: record["metadata"]["request"]),
    ("dropped_params", "texts", lambda record: record["metadata"]["dropped_params"]),
)


def _csv_row(record: Record) -> bytes:
    cells = []
    for _, kind, value in COLUMNS:
        cell = value(record)
        if kind == "texts":
            cell = ";".join(cell)
        elif kind == "money" and cell is not None:
            cell = Number(cell)
        cells.append(csv_cell(cell))
    return (",".join(cells) + "\r\n").encode()


@dataclass(frozen=True, slots=True)
class Request:
    """What an export asks for. It decides, with the store, every byte of the file."""

    type: str
    format: FileFormat
    since: str
    """As it was asked for: a span such as 7d, or a time."""
    until: str | None
    filter: str | None
    description: str
    origin: str
    """Whose events: the state directory of a gateway, or the address of its control API."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a file holds, and how far it got. Times are milliseconds since 1970 (UTC)."""

    request: Request
    asked_ms: int
    """When it was first asked for; spans count back from here."""
    top_seq: int | None
    """The newest event of the file, fixed at the start; None when there is none."""
    state: State = "unfinished"
    last_seq: int | None = None
    """The oldest event written so far."""
    rows: int = 0
    size: int = 0
    """Length in bytes of the file, or of what is kept of an unfinished one."""
    sha256: str | None = None
    """Of the finished file."""
    finished_ms: int | None = None
    version: int = MANIFEST_VERSION

    def to_json(self) -> bytes:
        """For its file."""
        return msgspec.json.format(msgspec.json.encode(asdict(self)), indent=2) + b"\n"


class ManifestError(ValueError):
    """A text is no manifest; one sentence."""


def read_manifest(text: bytes) -> Manifest:
    """The manifest that `to_json` wrote. Raises ManifestError."""
    try:
        found = msgspec.json.decode(text, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ManifestError("it is not the manifest of an export") from None
    if found.version != MANIFEST_VERSION:
        raise ManifestError(f"it is of version {found.version}; this kt knows {MANIFEST_VERSION}")
    if min(found.rows, found.size) < 0:
        raise ManifestError("it is not the manifest of an export")
    return found


def difference(ours: Request, theirs: Request) -> str | None:
    """What the two ask for differently, in words; None when nothing."""
    for field in fields(Request):
        mine, other = getattr(ours, field.name), getattr(theirs, field.name)
        if mine != other:
            return f"{field.name} {other or 'nothing'} instead of {mine or 'nothing'}"
    return None
