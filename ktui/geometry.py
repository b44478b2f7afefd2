"""Where the grid changes: breakpoints of width and height."""

from __future__ import annotations

WIDE = 100
EXTRA = 160
TALL = 30
SMALLEST = (60, 16)
NAMES_FROM = 80
"""From this width on every tab keeps its name."""

HORIZONTAL_BREAKPOINTS: list[tuple[int, str]] = [(0, "-narrow"), (WIDE, "-wide"), (EXTRA, "-extra")]
VERTICAL_BREAKPOINTS: list[tuple[int, str]] = [(0, "-short"), (TALL, "-tall")]
