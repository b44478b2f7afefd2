"""One line of fields that gives things up in a fixed order until it fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.text import Text


@dataclass(frozen=True)
class Field:
    """A field and its forms, longest first, the last one is kept; an empty form is gone. `gap`: cells before it."""

    name: str
    forms: tuple[Text, ...]
    gap: int = 3


@dataclass(frozen=True)
class Placed:
    """Where a field ended up: columns `start` (inclusive) to `end` (exclusive)."""

    name: str
    start: int
    end: int


def fit(
    left: Sequence[Field], right: Sequence[Field], width: int, order: Sequence[tuple[str, int]]
) -> tuple[Text, list[Placed]]:
    """The line, `width` cells with one empty at both ends, and the places of its fields.

    `order` lists (field, form): each step sets that field to that form, until everything fits.
    """
    chosen: dict[str, int] = {field.name: 0 for field in (*left, *right)}
    for name, form in order:
        if _length(left, chosen) + _length(right, chosen) + 4 <= width:
            break
        if name in chosen:
            chosen[name] = max(form, chosen[name])
    line = Text(" ", no_wrap=True, end="")
    places: list[Placed] = []
    _append(line, left, chosen, places)
    tail = Text(no_wrap=True, end="")
    tail_places: list[Placed] = []
    _append(tail, right, chosen, tail_places)
    start = max(width - 1 - tail.cell_len, line.cell_len + (1 if tail.cell_len else 0))
    line.append(" " * (start - line.cell_len))
    line.append_text(tail)
    places += [Placed(place.name, place.start + start, place.end + start) for place in tail_places]
    line.truncate(width, overflow="ellipsis", pad=True)
    return line, places


def _form(field: Field, chosen: Mapping[str, int]) -> Text:
    return field.forms[min(chosen[field.name], len(field.forms) - 1)] if field.forms else Text()


def _length(fields: Sequence[Field], chosen: Mapping[str, int]) -> int:
    total = 0
    for field in fields:
        text = _form(field, chosen)
        if text.cell_len:
            total += text.cell_len + (field.gap if total else 0)
    return total


def _append(line: Text, fields: Sequence[Field], chosen: Mapping[str, int], places: list[Placed]) -> None:
    first = True
    for field in fields:
        text = _form(field, chosen)
        if not text.cell_len:
            continue
        line.append("" if first else " " * field.gap)
        start = line.cell_len
        line.append_text(text)
        places.append(Placed(field.name, start, line.cell_len))
        first = False
