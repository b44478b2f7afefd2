"""Reading on after a syntax error, so that one unfinished line does not hide what else is wrong with a file.

The list item around the error (a policy, a target) is blanked out with spaces: every other character stays where it
is, so places and fixes remain right. What was blanked is unknown, and checks must not draw conclusions from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy.policy.document import Document, parse

MAX_CHARACTERS = 1 << 16
"""Larger texts are not read again: they cost too much time already."""
_TRIES = 3
_SECTION = re.compile(r"^(?:(?P<name>[A-Za-z_]\w*) *:|(?=\S)[^#\s-])", re.MULTILINE)
_ITEM = re.compile(r"^(?P<indent> *)- ", re.MULTILINE)
_NOT_A_BREAK = re.compile(r"[^\r\n]")


@dataclass(frozen=True, slots=True)
class Recovered:
    """The rest of a text that could not be read as a whole."""

    document: Document
    """Of the text with the blank; its offsets are those of the original."""
    first_line: int
    last_line: int
    """Lines blanked out, from 1."""
    section: str
    """The top-level key they stand below."""


def recover(document: Document) -> Recovered | None:
    """What can be read of a text with a syntax error in one list item; None when that is not how it is broken."""
    if document.root is not None or len(document.text) > MAX_CHARACTERS:
        return None
    error = next((problem for problem in document.problems if problem.code == "syntax"), None)
    if error is None:
        return None
    text = document.text
    offset = document.line_starts[error.line - 1] + error.column - 1
    for _ in range(_TRIES):
        found = _item_around(text, offset)
        if found is None:
            return None
        start, end, section = found
        blanked = parse(text[:start] + _NOT_A_BREAK.sub(" ", text[start:end]) + text[end:])
        if blanked.root is not None and not blanked.problems:
            return Recovered(blanked, document.line_of(start), document.line_of(max(start, end - 1)), section)
        # What is not closed is often noticed only in the item behind it.
        offset = start - 1
    return None


def _item_around(text: str, offset: int) -> tuple[int, int, str] | None:
    """Start and end of the outermost list item that `offset` stands in, and its section."""
    header = None
    end = len(text)
    for match in _SECTION.finditer(text):
        if match.start() > offset:
            end = match.start()
            break
        header = match
    if header is None or header["name"] is None:
        return None
    items = list(_ITEM.finditer(text, header.start(), end))
    if not items:
        return None
    outermost = min(len(item["indent"]) for item in items)
    starts = [item.start() for item in items if len(item["indent"]) == outermost]
    before = [start for start in starts if start <= offset]
    if not before:
        return None
    stop = next((start for start in starts if start > offset), end)
    return before[-1], stop, header["name"]
