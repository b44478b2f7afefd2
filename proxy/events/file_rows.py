"""Events read back from an exported file: JSON, JSON lines, CSV or Parquet. Blocking.

What an export leaves out (the facts a policy asked, single attempts) stays unknown.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from proxy.base.money import to_nanos
from proxy.base.sanitise import sanitise
from proxy.base.times import rfc3339
from proxy.events.codec import clean
from proxy.events.event import Event
from proxy.events.export import COLUMNS
from proxy.events.parquet import require

WHOLE_LIMIT = 256 << 20
"""Bytes of the largest JSON array that may be laid out freely; a larger one needs one event a line."""
_NEEDED = ("id", "seq", "timestamp", "model", "decision", "status", "outcome", "latency_ms")
_FORMULA = ("'=", "'+", "'-", "'@", "'\t", "'\r")
_KINDS = {name: kind for name, kind, _ in COLUMNS}


class FileError(Exception):
    """The file cannot be read as events; one sentence that says where and why."""


def read_events(path: Path) -> Iterator[Event]:
    """The events of `path` in the order they stand there, `seq` set. Raises FileError.

    The kind of file is told from its first bytes.
    """
    try:
        yield from _events(path)
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from None


def _events(path: Path) -> Iterator[Event]:
    rows, record_of = _rows(path)
    for place, row in rows:
        try:
            yield event_of(record_of(row))
        except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
            reason = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            raise FileError(
                f"{path}, {place}, is not an event of an export: {sanitise(reason, 200)}"
            ) from None


Rows = Iterator[tuple[str, Any]]
"""Where each stands in the file, and what stands there."""


def _rows(path: Path) -> tuple[Rows, Callable[[Any], Mapping[str, Any]]]:
    """The rows, and what makes the form of the Events API of one."""
    with path.open("rb") as file:
        head = file.read(64)
    if head.startswith(b"PAR1"):
        return _parquet_rows(path), _from_columns
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"[":
        return _array_rows(path), dict
    if start == b"{":
        return _line_rows(path), dict
    if start:
        return _csv_rows(path), _from_cells
    return iter(()), dict


def _line_rows(path: Path) -> Rows:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield f"line {number}", _decoded(path, number, line)


def _array_rows(path: Path) -> Rows:
    """One event a line is read line by line, in flat memory; any other layout as a whole."""
    with path.open("rb") as file:
        first = file.readline()
    try:
        msgspec.json.decode(first.strip().removeprefix(b"[").rstrip(b",]"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        yield from _whole_array(path)
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            text = line.strip()
            text = text.removeprefix(b"[") if number == 1 else text
            text = text.removesuffix(b"]").removesuffix(b",")
            if text:
                yield f"line {number}", _decoded(path, number, text)


def _whole_array(path: Path) -> Rows:
    if path.stat().st_size > WHOLE_LIMIT:
        raise FileError(
            f"{path} is larger than {WHOLE_LIMIT >> 20} MiB and has not one event a line: make it JSON lines"
        )
    try:
        rows = msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FileError(f"{path} is not JSON: {sanitise(error, 160)}") from None
    for number, row in enumerate(rows, start=1):
        yield f"event {number}", row


def _decoded(path: Path, number: int, line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FileError(f"{path}, line {number}, is not JSON: {sanitise(error, 160)}") from None


def _csv_rows(path: Path) -> Rows:
    number = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = list(reader.fieldnames or ())
            missing = [name for name in _NEEDED if name not in columns]
            if missing:
                raise FileError(f"{path} is no export of events: its first line names no column {missing[0]}")
            for row in reader:
                number = reader.line_num
                yield f"line {number}", {name: row[name] for name in columns}
    except (csv.Error, UnicodeDecodeError) as error:
        raise FileError(f"{path}, after line {number}, is not CSV: {sanitise(error, 160)}") from None


def _from_cells(row: Mapping[str, Any]) -> dict[str, Any]:
    return _nested({name: _cell(name, text) for name, text in row.items()})


def _cell(name: str, text: str | None) -> Any:
    """The value of one CSV cell; what is empty is unknown."""
    if text is None or text == "":
        return None
    kind = _KINDS.get(name, "text")
    if kind in ("int32", "int64"):
        return int(text)
    if kind == "double":
        return float(text)
    if kind == "bool":
        return text == "true"
    plain = text[1:] if text.startswith(_FORMULA) else text
    return plain.split(";") if kind == "texts" else plain


def _parquet_rows(path: Path) -> Rows:
    arrow = require()
    try:
        with arrow.parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield f"row {number}", row
    except arrow.ArrowException as error:
        raise FileError(f"{path} is not a Parquet file: {sanitise(error, 160)}") from None


def _from_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    return _nested({name: _plain(value) for name, value in row.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(round(value.timestamp() * 1_000))
    return f"{value:f}" if isinstance(value, Decimal) else value


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    """A flat row in the form of the Events API."""
    names = ("ab_tag", "experiment", "phase", "unit_kind", "unit_digest", "salt", "dropped_params")
    metadata = {name: flat.get(name) for name in names}
    return {**flat, "metadata": {**metadata, "request": dict(flat.get("request_metadata") or ())}}


def event_of(record: Mapping[str, Any]) -> Event:
    """The event that the Events API shows as `record`, be unknown figures null or 0.

    Raises KeyError, TypeError or ValueError when it is none.
    """
    for name in _NEEDED:
        record[name]
    metadata = record.get("metadata") or {}
    cost = record.get("cost")
    as_they_are: dict[str, Any] = {name: record.get(name) for name in _AS_THEY_ARE}
    event = Event(
        id=str(record["id"]),
        timestamp_ms=_milliseconds(record["timestamp"]),
        endpoint=record.get("endpoint") or "chat",
        requested_model=record.get("requested_model") or record["model"] or "",
        model=record["model"] or "",
        decision=record["decision"],
        status=int(record["status"]),
        outcome=record["outcome"],
        latency_ms=float(record["latency_ms"]),
        stream=bool(record.get("stream")),
        input_tokens=_counted(record, "input_tokens"),
        output_tokens=_counted(record, "output_tokens"),
        usage_status=record.get("usage_status") or "unknown",
        cost_nanos=None if cost is None or _is_filler(record) else to_nanos(Decimal(str(cost))),
        cost_status=record.get("cost_status") or "unpriced",
        policies_triggered=list(record.get("policies_triggered") or ()),
        split=metadata.get("experiment"),
        ab_tag=metadata.get("ab_tag"),
        phase=metadata.get("phase"),
        salt=metadata.get("salt"),
        unit_kind=metadata.get("unit_kind"),
        unit_digest=metadata.get("unit_digest"),
        config_version=record.get("config_version") or "",
        attempts=int(record.get("attempts") or 0),
        request_metadata=dict(metadata.get("request") or {}),
        dropped_params=list(metadata.get("dropped_params") or ()),
        **as_they_are,
    )
    event = clean(event)
    event.seq = int(record["seq"])
    return event


_AS_THEY_ARE = (
    "error", "error_message", "ttft_ms", "overhead_us", "provider", "target", "upstream_model", "cached_tokens",
    "cache_write_tokens", "reasoning_tokens", "price_source", "finish_reason", "severity", "key", "quality_score",
    "trace",
)  # fmt: skip


def _is_filler(record: Mapping[str, Any]) -> bool:
    """Whether the cost is a 0 that only fills the place of an unknown one."""
    return record.get("cost_status") in ("unpriced", "none")


def _counted(record: Mapping[str, Any], name: str) -> int | None:
    number = record.get(name)
    if number is None or (number == 0 and record.get("usage_status") in ("unknown", "none")):
        return None
    return int(number)


def _milliseconds(text: Any) -> int:
    moment = datetime.fromisoformat(str(text))
    if moment.tzinfo is None:
        raise ValueError(f"the time {text} names no zone")
    return round(moment.timestamp() * 1_000)
