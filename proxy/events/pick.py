"""Some fields of an event's JSON, named as in `fields=`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import msgspec

from proxy.events.event import Event
from proxy.events.wire_form import csv_cell, event_json

Record = Mapping[str, Any]
_INSIDE = "metadata"


def _names() -> tuple[str, ...]:
    shape = event_json(Event("", 0, "", "", "", "", 0, "ok", 0.0))
    inside = shape.pop(_INSIDE)
    return (*shape, _INSIDE, *(f"{_INSIDE}.{name}" for name in inside))


NAMES = _names()
"""Every field, those of the metadata with a dot."""


class UnknownFieldError(ValueError):
    """No field has that name; one sentence."""


def read_names(text: str) -> tuple[str, ...]:
    """The names in `text`, which commas part, each once. Raises UnknownFieldError."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        if name not in NAMES:
            near = get_close_matches(name, NAMES, 1) or get_close_matches(f"{_INSIDE}.{name}", NAMES, 1)
            hint = f", did you mean {near[0]}?" if near else f"; known are {', '.join(NAMES)}"
            raise UnknownFieldError(f"no field is called {name!r}{hint}")
    return names


def picker(names: Sequence[str]) -> Callable[[Record], dict[str, Any]]:
    """Takes the fields of these names from a record; a dotted one stays inside its parent."""
    plain = [name for name in names if "." not in name]
    inside = [name.partition(".")[2] for name in names if "." in name and _INSIDE not in plain]

    def pick(record: Record) -> dict[str, Any]:
        # An older gateway does not tell of every field: what it does not tell is not known.
        picked = {name: record.get(name) for name in plain}
        if inside:
            picked[_INSIDE] = {name: record[_INSIDE].get(name) for name in inside}
        return picked

    return pick


def csv_picker(names: Sequence[str]) -> Callable[[Record], str]:
    """A record as one CSV record of these fields, with its CRLF; lists and objects are JSON in one cell."""

    def line(record: Record) -> str:
        cells = []
        for name in names:
            value: Any = record
            for part in name.split("."):
                value = value.get(part)
            cells.append(csv_cell(_cell(value)))
        return ",".join(cells) + "\r\n"

    return line


def _cell(value: Any) -> Any:
    return msgspec.json.encode(value).decode() if isinstance(value, (list, dict)) else value
