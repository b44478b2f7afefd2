"""Lines of the event table as strips: every cell carries its ground."""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.app import App
from textual.strip import Strip

from ktui.event_rows import Edge, EventRows
from ktui.themes import Palette, palette_of
from ktui.widgets.event_columns import LEAD
from proxy.base.sanitise import sanitise

_OLDER: dict[Edge, str] = {
    "open": "↑ older requests are in the store",
    "loading": "… loading older requests",
    "end": "· nothing older in the store",
    "stopped": "‖ stopped, k goes on",
    "failed": "✗ older requests could not be loaded, k tries again: ",
}
_NEWER: dict[Edge, str] = {
    "open": "↓ newer requests are in the store",
    "loading": "… loading newer requests",
    "end": "",
    "stopped": "‖ stopped, j goes on",
    "failed": "✗ newer requests could not be loaded, j tries again: ",
}


def plain_strip(app: App[object], line: Text, width: int) -> Strip:
    """A line on the plain ground."""
    return _strip(app, line, width, palette_of(app).rich("base"))


def row_strip(app: App[object], line: Text, width: int, *, cursor: bool, mark: bool) -> Strip:
    """A row; with the cursor on a raised ground that leaves the outer cells out."""
    palette = palette_of(app)
    base, first = palette.rich("base"), _first(palette, mark)
    if not cursor:
        strip = _strip(app, line, width, base)
        return Strip([first, *strip.crop(1)], width) if mark else strip
    last = Segment(" ", _solid(palette, base))
    if palette.kind == "ansi":
        # Without grounds the row is reversed as one: reversed colours would be grounds of many hues.
        words = line.plain[LEAD:].ljust(width - 1 - LEAD)[: width - 1 - LEAD]
        lead = _strip(app, Text(line.plain[:LEAD], palette.style("focus")), LEAD, base)
        return Strip(
            [first, *lead.crop(1), Segment(words, _solid(palette, palette.rich("raised"))), last], width
        )
    raised = _strip(app, line, width - 1, palette.rich("raised"))
    return Strip([first, *raised.crop(1), last], width)


def end_line(rows: EventRows, palette: Palette, *, older: bool) -> Text:
    """What is beyond an end of the list."""
    edge = rows.older if older else rows.newer
    words = (_OLDER if older else _NEWER)[edge]
    if edge == "failed":
        words += sanitise(rows.trouble, 160)
    return Text(f"  {words}", palette.style("bad" if edge == "failed" else "muted"), no_wrap=True, end="")


def _first(palette: Palette, mark: bool) -> Segment:
    style = Style.parse(f"bold {palette.style('accent')}") if mark else Style()
    return Segment("m" if mark else " ", _solid(palette, palette.rich("base")) + style)


def _solid(palette: Palette, ground: Style) -> Style:
    return palette.rich("text") + ground


def _strip(app: App[object], line: Text, width: int, ground: Style) -> Strip:
    text = line.copy()
    text.truncate(width, overflow="ellipsis", pad=True)
    base = _solid(palette_of(app), ground) + app.console.get_style(text.style)
    segments = [
        Segment(s.text, base + s.style if s.style else base) for s in text.render(app.console, end="")
    ]
    return Strip(segments, width).simplify()
