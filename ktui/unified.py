"""A unified diff as rows: line numbers of both sides, and which part of a changed line differs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["same", "gone", "new", "gap"]

_HUNK = re.compile(r"@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@")


@dataclass(frozen=True, slots=True)
class DiffRow:
    """One line. `before` and `after` count from 1, None where the line is not on that side.

    `changed` is the part (start, end) that differs from the line it replaces. A gap stands for lines left out between two places.
    """

    kind: Kind
    text: str = ""
    before: int | None = None
    after: int | None = None
    changed: tuple[int, int] | None = None


def rows_of(unified: str) -> list[DiffRow]:
    """The rows of a unified diff; the two lines that name the files are left out.

    Lines that belong to no hunk are ignored, as is the remark on a missing line feed at the end.
    """
    rows: list[DiffRow] = []
    before = after = 0
    in_hunk = False
    # Only a line feed ends a line of a diff: other separators belong to the text.
    for line in unified.split("\n"):
        hunk = _HUNK.match(line)
        if hunk is not None:
            before, after = int(hunk[1]), int(hunk[2])
            if rows:
                rows.append(DiffRow("gap"))
            in_hunk = True
        elif not in_hunk or not line:
            continue
        elif line[0] == "-":
            rows.append(DiffRow("gone", line[1:].rstrip("\r"), before=before))
            before += 1
        elif line[0] == "+":
            rows.append(DiffRow("new", line[1:].rstrip("\r"), after=after))
            after += 1
        elif line[0] == " ":
            rows.append(DiffRow("same", line[1:].rstrip("\r"), before, after))
            before, after = before + 1, after + 1
    return _with_changed_parts(rows)


def counts(rows: Sequence[DiffRow]) -> tuple[int, int]:
    """How many lines came and how many went."""
    return sum(row.kind == "new" for row in rows), sum(row.kind == "gone" for row in rows)


def side_by_side(rows: Sequence[DiffRow]) -> list[tuple[DiffRow | None, DiffRow | None]]:
    """The rows in two columns: a line that went stands beside the one that came in its place."""
    pairs: list[tuple[DiffRow | None, DiffRow | None]] = []
    for gone, new, other in _runs(rows):
        if other is not None:
            pairs.append((other, other))
            continue
        for index in range(max(len(gone), len(new))):
            pairs.append(
                (gone[index] if index < len(gone) else None, new[index] if index < len(new) else None)
            )
    return pairs


def _runs(rows: Sequence[DiffRow]) -> Iterator[tuple[list[DiffRow], list[DiffRow], DiffRow | None]]:
    """Each run of lines that went with the lines that came after it, or one other row."""
    gone: list[DiffRow] = []
    new: list[DiffRow] = []
    for row in rows:
        if row.kind == "gone" and not new:
            gone.append(row)
        elif row.kind == "new":
            new.append(row)
        else:
            if gone or new:
                yield gone, new, None
            gone, new = ([row], []) if row.kind == "gone" else ([], [])
            if row.kind != "gone":
                yield [], [], row
    if gone or new:
        yield gone, new, None


def _with_changed_parts(rows: Sequence[DiffRow]) -> list[DiffRow]:
    """The same rows; where as many lines came as went, each pair says which part of it differs."""
    told: list[DiffRow] = []
    for gone, new, other in _runs(rows):
        if other is not None:
            told.append(other)
            continue
        if len(gone) == len(new):
            parts = [_different(a.text, b.text) for a, b in zip(gone, new, strict=True)]
            gone = [replace(row, changed=part[0]) for row, part in zip(gone, parts, strict=True)]
            new = [replace(row, changed=part[1]) for row, part in zip(new, parts, strict=True)]
        told += [*gone, *new]
    return told


def _different(a: str, b: str) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    """The parts of two lines between what they begin and end with alike, widened to whole words."""
    start = 0
    while start < min(len(a), len(b)) and a[start] == b[start]:
        start += 1
    while start and (_in_word(a, start) or _in_word(b, start)):
        start -= 1
    end = 0
    while end < min(len(a), len(b)) - start and a[-1 - end] == b[-1 - end]:
        end += 1
    while end and (_in_word(a, len(a) - end) or _in_word(b, len(b) - end)):
        end -= 1
    if start == 0 and end == 0:
        return None, None
    return (start, len(a) - end), (start, len(b) - end)


def _in_word(text: str, place: int) -> bool:
    """Whether `place` stands inside a word or number."""
    return 0 < place < len(text) and _word(text[place - 1]) and _word(text[place])


def _word(character: str) -> bool:
    return character.isalnum() or character in "_-."
