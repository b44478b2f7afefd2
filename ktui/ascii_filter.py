"""Swaps every glyph for its ASCII stand-in on the way to the terminal, cell for cell."""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from ktui.glyphs import to_ascii


class AsciiFilter(LineFilter):
    """A line filter for terminals and locales without the glyphs."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments, in ASCII."""
        return [Segment(to_ascii(text), style, control) for text, style, control in segments]
