"""Braille canvases by plotext: one per series, as plain rows; the painter decides about colour and order.

plotext keeps one figure for the whole process, and its two major versions speak differently. Both facts end
here: the figure is cleared before every use, under a lock, and nothing of it leaves but text.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import plotext

BLANK = "\u2800"
_LOCK = threading.Lock()


def braille(values: Sequence[float | None], width: int, height: int, low: float, high: float) -> list[str]:
    """`height` rows of `width` cells: `values` spread over the width, `low`..`high` over the height.

    None is a gap. Empty cells are spaces. Each cell is 2 by 4 dots.
    """
    if width <= 0 or height <= 0:
        return []
    xs, ys = dots(values, width * 2, height * 4, low, high)
    if not xs:
        return [" " * width] * height
    with _LOCK:
        text = _draw(xs, ys, width, height)
    rows = [row.replace(BLANK, " ").ljust(width)[:width] for row in text.split("\n")[:height]]
    return rows + [" " * width] * (height - len(rows))


def dots(
    values: Sequence[float | None], columns: int, rows: int, low: float, high: float
) -> tuple[list[int], list[int]]:
    """The dots of a line without holes: columns and rows (0 is lowest); values outside stay at the edge."""
    heights = _resample(values, columns)
    span = high - low or 1.0
    xs: list[int] = []
    ys: list[int] = []
    last: int | None = None
    for column, value in enumerate(heights):
        if value is None:
            last = None
            continue
        level = round((min(max(value, low), high) - low) / span * (rows - 1))
        if last is not None and abs(level - last) > 1:
            step = 1 if level > last else -1
            half = (last + level) // 2
            for between in range(last + step, level, step):
                xs.append(column - 1 if (between <= half) == (step > 0) else column)
                ys.append(between)
        xs.append(column)
        ys.append(level)
        last = level
    return xs, ys


def _resample(values: Sequence[float | None], columns: int) -> list[float | None]:
    if len(values) == 1 or columns == 1:
        return [None] * (columns - 1) + [values[-1]]
    result: list[float | None] = []
    for column in range(columns):
        position = column * (len(values) - 1) / (columns - 1) if values else 0.0
        left = int(position)
        right = min(left + 1, len(values) - 1)
        a, b = (values[left], values[right]) if values else (None, None)
        share = position - left
        if a is None or b is None:
            result.append(a if share < 0.5 else b)
        else:
            result.append(a + (b - a) * share)
    return result


def _draw(xs: list[int], ys: list[int], width: int, height: int) -> str:
    figure: Any = getattr(plotext, "figure", None)
    if hasattr(figure, "signal"):
        return _draw_6(figure, xs, ys, width, height)
    return _draw_5(xs, ys, width, height)


def _draw_6(figure: Any, xs: list[int], ys: list[int], width: int, height: int) -> str:
    figure.clear.all()
    plotext.terminal.limit(False, False)
    figure.plot_size(width, height)
    figure.axes(False, axis=[0, 1], side=[0, 1])
    for axis, last in ((0, width * 2 - 1), (1, height * 4 - 1)):
        figure.ruler(axis).frequency(0)
        figure.ruler(axis).lim(-0.5, last + 0.5)
        figure.ruler(axis).alignment(lim="edge")
    figure.draw(figure.signal(xs, ys, marker="braille"))
    text = str(plotext.uncolorize(str(figure.build())))
    figure.clear.all()
    return text


def _draw_5(xs: list[int], ys: list[int], width: int, height: int) -> str:
    library: Any = plotext
    library.clear_figure()
    library.limit_size(False, False)
    library.plot_size(width, height)
    library.xaxes(False, False)
    library.yaxes(False, False)
    library.xfrequency(0)
    library.yfrequency(0)
    library.xlim(0, width * 2 - 1)
    library.ylim(0, height * 4 - 1)
    library.scatter(xs, ys, marker="braille")
    text = str(library.uncolorize(library.build()))
    library.clear_figure()
    return text
