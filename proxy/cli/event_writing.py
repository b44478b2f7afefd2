"""Events on standard output: one writer for each form, fed one record at a time."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from typing import Any

from wcwidth import wcswidth

from proxy.base.sanitise import sanitise
from proxy.cli.event_options import Form, value_of
from proxy.cli.exits import emit_rows, flush, say

Record = dict[str, Any]
_LOOKED_AT = 200
"""Records that the widths of a table of chosen fields are made from."""
_WIDEST = 60


def write_events(
    records: Iterable[Record], form: Form, names: Sequence[str] | None, *, at_once: bool = False
) -> None:
    """Write `records` (figures that are not known null in a table and in CSV), only the fields of `names` if given.

    `at_once`: each is handed over before the next one is asked for.
    """
    lines = _lines(records, form, names, at_once)
    for line in lines:
        if form == "table":
            say(line)
        else:
            emit_rows(line)
        if at_once:
            flush()
    flush()


def _lines(
    records: Iterable[Record], form: Form, names: Sequence[str] | None, at_once: bool
) -> Iterable[str]:
    if form == "table":
        return (
            _table(records) if names is None else _fields_table(records, names, 0 if at_once else _LOOKED_AT)
        )
    if form == "csv":
        return _csv(records, names)
    return _json(records, names) if form == "json" else _jsonl(records, names)


def _table(records: Iterable[Record]) -> Iterable[str]:
    from proxy.cli.event_table import heading, line

    yield heading()
    for record in records:
        yield line(record)


def _fields_table(records: Iterable[Record], names: Sequence[str], looked_at: int) -> Iterable[str]:
    coming = iter(records)
    first = list(islice(coming, looked_at))
    rows = [[cell(value_of(record, name)) for name in names] for record in first]
    widths = [
        min(_WIDEST, max(len(name), *(wcswidth(row[place]) for row in rows)) if rows else max(len(name), 12))
        for place, name in enumerate(names)
    ]
    yield _padded(names, widths)
    for row in chain(rows, ([cell(value_of(record, name)) for name in names] for record in coming)):
        yield _padded(row, widths)


def _padded(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (item + " " * (width - wcswidth(item)) for item, width in zip(cells, widths, strict=True))
    return "  ".join(padded).rstrip()


def cell(value: Any) -> str:
    """A value on one line, safe on a terminal; `-` for none."""
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (dict, list)):
        value = json.dumps(value)
    return sanitise(value, 500)


def _csv(records: Iterable[Record], names: Sequence[str] | None) -> Iterable[str]:
    from proxy.events.export import exported, layout
    from proxy.events.pick import csv_picker

    if names is None:
        whole = layout("csv")
        yield whole.head.decode()
        yield from (whole.row(exported(record)).decode() for record in records)
        return
    yield ",".join(names) + "\r\n"
    yield from map(csv_picker(names), map(exported, records))


def _picked(records: Iterable[Record], names: Sequence[str] | None) -> Iterable[Record]:
    from proxy.events.pick import picker

    return records if names is None else map(picker(names), records)


def _jsonl(records: Iterable[Record], names: Sequence[str] | None) -> Iterable[str]:
    for record in _picked(records, names):
        yield json.dumps(record) + "\n"


def _json(records: Iterable[Record], names: Sequence[str] | None) -> Iterable[str]:
    separator = "["
    for record in _picked(records, names):
        yield separator + json.dumps(record)
        separator = ",\n"
    yield "[]\n" if separator == "[" else "]\n"
