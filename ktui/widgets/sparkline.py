"""Sparklines: one column of eight heights per value."""

from __future__ import annotations

from collections.abc import Sequence

from ktui.glyphs import SPARK


def spark(values: Sequence[float | None], width: int, *, from_zero: bool = False) -> str:
    """`width` columns; a gap is a space. From the smallest value, or from zero, to the largest.

    More values than columns are averaged, fewer stand at the right.
    """
    columns = _columns(values, width)
    known = [value for value in columns if value is not None]
    if not known:
        return " " * width
    low, high = (0.0 if from_zero else min(known)), max(known)
    span = high - low
    top = len(SPARK) - 1
    middle = top // 2 if not from_zero or high > 0 else 0
    drawn = (
        " " if value is None else SPARK[round((value - low) / span * top) if span > 0 else middle]
        for value in columns
    )
    return "".join(drawn).rjust(width)


def _columns(values: Sequence[float | None], width: int) -> list[float | None]:
    if len(values) <= width:
        return list(values)
    result: list[float | None] = []
    for column in range(width):
        start, end = column * len(values) // width, (column + 1) * len(values) // width
        known = [value for value in values[start:end] if value is not None]
        result.append(sum(known) / len(known) if known else None)
    return result
