"""Syntax colours of YAML, told line by line: a draft that does not parse at the moment keeps its colours."""

from __future__ import annotations

import re
from collections.abc import Sequence

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
_ENDS_OF_OPENERS = frozenset("|>+-0123456789")


class Highlights(dict[int, list[Highlight]]):
    """Row -> its highlights, told when a row is first drawn: no key pays for lines out of sight."""

    def __init__(self, document: DocumentBase) -> None:
        super().__init__()
        self._document = document
        self._text_rows: frozenset[int] | None = None

    def __bool__(self) -> bool:
        return True

    def __missing__(self, row: int) -> list[Highlight]:
        found = [] if row >= self._document.line_count else self._of(row)
        self[row] = found
        return found

    def within_text(self, row: int) -> bool:
        """Whether a row belongs to a text block (`|` or `>`), which has no keys."""
        if self._text_rows is None:
            self._text_rows = _text_rows(self._document.lines)
        return row in self._text_rows

    def _of(self, row: int) -> list[Highlight]:
        line = self._document.get_line(row)
        if self.within_text(row):
            return [(0, len(line.encode("utf-8", "surrogatepass")), "string")]
        return highlights_of(line)


def _text_rows(lines: Sequence[str]) -> frozenset[int]:
    found: set[int] = set()
    for row, line in enumerate(lines):
        if line.rstrip()[-1:] not in _ENDS_OF_OPENERS and "#" not in line:
            continue
        if row in found or not _OPENS_TEXT.search(line) or line.lstrip().startswith("#"):
            continue
        indent = _indent(line)
        below = row + 1
        while below < len(lines) and (not lines[below].strip() or _indent(lines[below]) > indent):
            found.add(below)
            below += 1
    return frozenset(found)


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
