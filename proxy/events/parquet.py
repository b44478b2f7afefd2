"""Rows gathered as JSON lines, written as a Parquet file. Needs pyarrow, which the extra `parquet` brings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from proxy.events.export import COLUMNS, REQUEST_COLUMNS

GROUP_ROWS = 10_000
"""Rows of one row group: what is held in memory at once."""


class ParquetMissingError(Exception):
    """pyarrow is not installed."""

    def __init__(self) -> None:
        super().__init__("Parquet needs pyarrow: pip install 'ktui[parquet]', or choose json, jsonl or csv")


def require() -> Any:
    """The module pyarrow. Raises ParquetMissingError."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise ParquetMissingError from None
    return pyarrow


def write(rows: Path, target: Path, about: dict[str, str], progress: Callable[[int], None]) -> None:
    """Write the lines of `rows` to `target`; the same lines give the same bytes.

    Money is decimal(20, 9) dollars and exact, times are milliseconds UTC, unknown figures are null. `about` goes
    into the file's own metadata; `progress` is called with the number of rows after each row group.
    """
    arrow = require()
    columns = (*COLUMNS, *REQUEST_COLUMNS)
    types = _types(arrow)
    schema = arrow.schema([(name, types[kind]) for name, kind, _ in columns], metadata=about)
    done = 0
    with rows.open("rb") as lines, arrow.parquet.ParquetWriter(target, schema, compression="zstd") as writer:
        for group in _groups(lines):
            arrays = [
                arrow.array([_cell(kind, value(record)) for record in group], types[kind])
                for _, kind, value in columns
            ]
            writer.write_table(arrow.Table.from_arrays(arrays, schema=schema), row_group_size=GROUP_ROWS)
            done += len(group)
            progress(done)


def _groups(lines: Iterator[bytes]) -> Iterator[list[Any]]:
    while group := [msgspec.json.decode(line) for line in islice(lines, GROUP_ROWS)]:
        yield group


def _types(arrow: Any) -> dict[str, Any]:
    text = arrow.string()
    return {
        "text": text,
        "int32": arrow.int32(),
        "int64": arrow.int64(),
        "double": arrow.float64(),
        "bool": arrow.bool_(),
        # 19 digits of nano-dollars fit 64 bits; 20 leave none of them out.
        "money": arrow.decimal128(20, 9),
        "timestamp": arrow.timestamp("ms", tz="UTC"),
        "texts": arrow.list_(text),
        "map": arrow.map_(text, text),
    }


def _cell(kind: str, value: Any) -> Any:
    if value is None:
        return None
    if kind == "money":
        return Decimal(value)
    if kind == "timestamp":
        return datetime.fromisoformat(value)
    if kind == "map":
        return list(value.items())
    return value
