"""Three-way merge of texts by lines, after the diff3 method (Khanna, Kunal and Pierce, 2007). Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Side = Literal["same", "mine", "theirs", "both", "conflict"]
"""Who changed a stretch: nobody, one, both in the same way, or both differently."""

MARK_MINE, MARK_BASE, MARK_MIDDLE, MARK_THEIRS = "<<<<<<< mine", "||||||| before", "=======", ">>>>>>> theirs"


@dataclass(frozen=True, slots=True)
class Chunk:
    """A stretch of lines (with their line ends) in each of the three texts."""

    side: Side
    base: tuple[str, ...]
    mine: tuple[str, ...]
    theirs: tuple[str, ...]

    @property
    def merged(self) -> tuple[str, ...]:
        """The lines to take. A conflict takes both, between marks that no policy file can hold."""
        if self.side == "conflict":
            return (
                *_marked(MARK_MINE, self.mine),
                *_marked(MARK_BASE, self.base),
                *_marked(MARK_MIDDLE, self.theirs),
                MARK_THEIRS + "\n",
            )
        return self.theirs if self.side == "theirs" else self.mine


@dataclass(frozen=True, slots=True)
class Merge:
    """The stretches in order; together they are each of the three texts."""

    chunks: tuple[Chunk, ...]

    @property
    def conflicts(self) -> int:
        """How many stretches both changed differently."""
        return self.count("conflict")

    def count(self, side: Side) -> int:
        """How many stretches are of that kind."""
        return sum(chunk.side == side for chunk in self.chunks)

    @property
    def text(self) -> str:
        """The merged text; with conflicts it has marks and is no policy until they are settled."""
        return "".join(line for chunk in self.chunks for line in chunk.merged)


def merge(base: str, mine: str, theirs: str) -> Merge:
    """Merges what `mine` and `theirs` changed in `base`."""
    lines = [_lines(text) for text in (base, mine, theirs)]
    return Merge(tuple(_joined(_chunks(*lines))))


def _marked(mark: str, lines: Sequence[str]) -> tuple[str, ...]:
    ended = (*lines[:-1], lines[-1] if lines[-1].endswith("\n") else lines[-1] + "\n") if lines else ()
    return (mark + "\n", *ended)


def _lines(text: str) -> list[str]:
    parts = text.split("\n")
    whole = [part + "\n" for part in parts[:-1]]
    return [*whole, parts[-1]] if parts[-1] else whole


def _chunks(base: list[str], mine: list[str], theirs: list[str]) -> Iterator[Chunk]:
    at_base = at_mine = at_theirs = 0
    for start, in_mine, in_theirs, length in _in_all_three(base, mine, theirs):
        between = (base[at_base:start], mine[at_mine:in_mine], theirs[at_theirs:in_theirs])
        if any(between):
            yield _chunk(*between)
        if length:
            kept = tuple(base[start : start + length])
            yield Chunk("same", kept, kept, kept)
        at_base, at_mine, at_theirs = start + length, in_mine + length, in_theirs + length


def _chunk(base: Sequence[str], mine: Sequence[str], theirs: Sequence[str]) -> Chunk:
    side: Side
    if mine == theirs:
        side = "same" if mine == base else "both"
    elif mine == base:
        side = "theirs"
    elif theirs == base:
        side = "mine"
    else:
        side = "conflict"
    return Chunk(side, tuple(base), tuple(mine), tuple(theirs))


def _in_all_three(base: list[str], mine: list[str], theirs: list[str]) -> Iterator[tuple[int, int, int, int]]:
    """(in base, in mine, in theirs, lines) of the stretches no side changed; the last one is empty, at the end."""
    ours, others = _matches(base, mine), _matches(base, theirs)
    i = j = 0
    while i < len(ours) and j < len(others):
        (base_a, mine_a, length_a), (base_b, theirs_b, length_b) = ours[i], others[j]
        start, end = max(base_a, base_b), min(base_a + length_a, base_b + length_b)
        if start < end:
            yield start, mine_a + start - base_a, theirs_b + start - base_b, end - start
        if base_a + length_a < base_b + length_b:
            i += 1
        else:
            j += 1
    yield len(base), len(mine), len(theirs), 0


def _matches(a: list[str], b: list[str]) -> list[tuple[int, int, int]]:
    # Equal ends are cut off first: the matcher's time grows with what lies between them.
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    inner = difflib.SequenceMatcher(
        None, a[head : len(a) - tail], b[head : len(b) - tail], autojunk=False
    ).get_matching_blocks()
    found = [(head + block.a, head + block.b, block.size) for block in inner if block.size]
    ends = [(len(a) - tail, len(b) - tail, tail)] if tail else []
    return ([(0, 0, head)] if head else []) + found + ends


def _joined(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """Neighbours of one kind become one."""
    last: Chunk | None = None
    for chunk in chunks:
        if last is not None and last.side == chunk.side:
            last = Chunk(
                chunk.side, last.base + chunk.base, last.mine + chunk.mine, last.theirs + chunk.theirs
            )
            continue
        if last is not None:
            yield last
        last = chunk
    if last is not None:
        yield last
