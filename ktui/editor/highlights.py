"""Syntax colours of the lines in sight: the parse tree is asked for a few lines at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.document._document import DocumentBase

if TYPE_CHECKING:
    from tree_sitter import Query

Highlight = tuple[int, int | None, str]
"""First byte, end byte (None: to the end of the line), name of the colour."""

BAND = 32
"""Lines asked for at once."""


class Highlights(dict[int, list[Highlight]]):
    """Row -> its highlights, asked for when a row of theirs is first drawn.

    A text area asks for all rows after each key; at a thousand lines that takes longer than a key may.
    """

    def __init__(self, document: DocumentBase, query: Query | None) -> None:
        super().__init__()
        self._document = document
        self._query = query

    def __bool__(self) -> bool:
        return self._query is not None

    def __missing__(self, row: int) -> list[Highlight]:
        first = row - row % BAND
        rows = range(first, first + BAND)
        self.update({at: [] for at in rows})
        if self._query is None:
            return self[row]
        captures = self._document.query_syntax_tree(self._query, (first, 0), (first + BAND, 0))
        for name, nodes in captures.items():
            for node in nodes:
                (start_row, start), (end_row, end) = node.start_point, node.end_point
                for at in range(max(start_row, rows.start), min(end_row + 1, rows.stop)):
                    from_byte = start if at == start_row else 0
                    to_byte = end if at == end_row else None
                    # An end of 0 would be taken for the end of the line.
                    if to_byte != 0:
                        self[at].append((from_byte, to_byte, name))
        return self[row]
