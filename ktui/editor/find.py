"""Finding words in the draft, and going to a line. Pure."""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass

MOST_HITS = 10_000
"""Hits counted at most."""


@dataclass(frozen=True, slots=True)
class Hit:
    """Where the words stand: row from 0, columns from 0, `end` excluded."""

    row: int
    start: int
    end: int


def pattern_of(words: str) -> re.Pattern[str] | None:
    """What to look for; capitals count only where `words` has one. None for nothing."""
    if not words:
        return None
    return re.compile(re.escape(words), 0 if words != words.lower() else re.IGNORECASE)


def hits_of(words: str, text: str) -> tuple[Hit, ...]:
    """All places of `words` in `text`, in order, at most `MOST_HITS`."""
    pattern = pattern_of(words)
    if pattern is None:
        return ()
    found: list[Hit] = []
    for row, line in enumerate(text.split("\n")):
        for match in pattern.finditer(line):
            found.append(Hit(row, match.start(), match.end()))
            if len(found) == MOST_HITS:
                return tuple(found)
    return tuple(found)


def nearest(hits: tuple[Hit, ...], row: int, column: int, *, step: int = 0) -> int | None:
    """Index of the hit at or after a place; with `step` 1 the one after it, with -1 the one before. Round and round."""
    if not hits:
        return None
    place = bisect_left(hits, (row, column), key=lambda hit: (hit.row, hit.start))
    here = place < len(hits) and (hits[place].row, hits[place].start) == (row, column)
    if step > 0 and here:
        place += 1
    elif step < 0:
        place -= 1
    return place % len(hits)


def line_of(words: str) -> int | None:
    """The line of `:120`, counted from 1; None when `words` is something else."""
    match = re.fullmatch(r":\s*(\d{1,9})", words)
    return int(match[1]) if match else None
