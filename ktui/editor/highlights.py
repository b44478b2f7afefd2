"""Syntax colours of YAML, told line by line: a draft that does not parse at the moment keeps its colours."""

from __future__ import annotations

import re

from textual.document._document import DocumentBase

Highlight = tuple[int, int | None, str]
"""First byte, end byte, name of the colour: as a text area keeps them."""

_WORDS = re.compile(
    r"""
    (?P<comment>(?:(?<=\s)|^)\#.*)
    | (?P<key>(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^\s\[\]{},"'#&*!|>%@`-][^\s\[\]{},#:]*(?::(?![\s,\]}]|$)[^\s\[\]{},#:]*)*)
        (?=\s*:(?:[\s,\]}]|$)))
    | (?P<string>"(?:[^"\\]|\\.)*"?|(?<![^\s\[{,:-])'(?:[^']|'')*'?)
    | (?P<number>(?<![^\s\[{,])(?:[+-]?\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|~)(?=[\s,\]}]|$))
    | (?P<error>\t(?=\s*\S)(?<=^\t)|[&*!](?=\w)|<<(?=\s*:))
    | (?P<punctuation>[\[\]{},]|-(?=\s|$)|:(?=[\s,\]}]|$)|[|>][+-]?\s*$)
    | (?P<plain>[^\s\[\]{},]+)
    """,
    re.VERBOSE,
)
_NAMES = {
    "comment": "comment",
    "key": "yaml.field",
    "string": "string",
    "number": "number",
    "error": "error",
    "punctuation": "punctuation.delimiter",
}
_OPENS_TEXT = re.compile(r"(?:^|\s)[|>][+-]?\d?[+-]?\s*(?:#.*)?$")
_LONGEST_TEXT = 200
"""Lines looked at above a line for the beginning of a text block."""


class Highlights(dict[int, list[Highlight]]):
    """Row -> its highlights, told when a row is first drawn: no key pays for lines out of sight."""

    def __init__(self, document: DocumentBase) -> None:
        super().__init__()
        self._document = document

    def __bool__(self) -> bool:
        return True

    def __missing__(self, row: int) -> list[Highlight]:
        found = [] if row >= self._document.line_count else self._of(row)
        self[row] = found
        return found

    def _of(self, row: int) -> list[Highlight]:
        line = self._document.get_line(row)
        if self._within_text(row, line):
            return [(0, len(line.encode("utf-8", "surrogatepass")), "string")]
        return highlights_of(line)

    def _within_text(self, row: int, line: str) -> bool:
        indent = _indent(line)
        for above in range(row - 1, max(row - _LONGEST_TEXT, 0) - 1, -1):
            other = self._document.get_line(above)
            if not other.strip():
                continue
            if _indent(other) < indent:
                if _OPENS_TEXT.search(other):
                    return True
                indent = _indent(other)
                if not indent:
                    return False
        return False


def highlights_of(line: str) -> list[Highlight]:
    """Highlights of one line, outside of a text block."""
    found: list[Highlight] = []
    for match in _WORDS.finditer(line):
        name = _NAMES.get(match.lastgroup or "")
        if name is not None:
            start = len(line[: match.start()].encode("utf-8", "surrogatepass"))
            found.append((start, start + len(match[0].encode("utf-8", "surrogatepass")), name))
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))
