"""Where the items of a block collection stand, line by line: what an edit inserts between and takes away."""

from __future__ import annotations

from dataclasses import dataclass

from proxy.policy.document import Document, MappingNode, Node, ScalarNode, SequenceNode
from proxy.policy.text_edits import EditError

_BLANK = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Part:
    """An item (from its dash) or an entry (from its key) of a block collection."""

    start: int
    last: int
    """End of its last character that is not a blank; comments behind it are not its own."""
    end: int
    """End of what YAML counts to its value: the blank lines behind a block of text, too."""


def column_of(document: Document, offset: int) -> int:
    """Characters before `offset` on its line; a byte order mark counts as none."""
    start = line_start(document, offset)
    return offset - start


def line_start(document: Document, offset: int) -> int:
    """Where the line of `offset` begins, behind a byte order mark."""
    start = document.line_starts[document.line_of(offset) - 1]
    return start + 1 if document.text[start : start + 1] == "\ufeff" else start


def line_end(document: Document, offset: int) -> int:
    """Where the line of `offset` ends, before its line ending."""
    line = document.line_of(offset)
    if line >= len(document.line_starts):
        return len(document.text)
    end = document.line_starts[line]
    return end - 2 if document.text[end - 2 : end] == "\r\n" else end - 1


def next_line(document: Document, offset: int) -> int:
    """Where the line after that of `offset` begins; the end of the text on the last line."""
    line = document.line_of(offset)
    return document.line_starts[line] if line < len(document.line_starts) else len(document.text)


def first_on_line(document: Document, offset: int) -> bool:
    """Whether nothing but indentation stands before `offset` on its line."""
    return not document.text[line_start(document, offset) : offset].strip(" ")


def parts(document: Document, node: MappingNode | SequenceNode) -> list[Part]:
    """The parts of a block collection, in order. Raises EditError where a key is written with `?`."""
    if isinstance(node, SequenceNode):
        found = []
        start = node.start
        for item in node.items:
            start = _dash(document, start, column_of(document, node.start))
            found.append(_part(document, start, start + 1, item))
            start = max(found[-1].end, start + 1)
        return found
    for entry in node.entries:
        if not document.text[entry.key.end :].lstrip(" \t").startswith(":"):
            raise EditError("a key written with ? cannot be edited here")
    return [_part(document, entry.key.start, entry.key.end, entry.value) for entry in node.entries]


def _part(document: Document, start: int, least: int, value: Node) -> Part:
    end = max(least, value.end)
    if isinstance(value, ScalarNode) and value.end == value.start:
        # An empty value stands right behind its colon or dash, wherever the reader saw its end.
        end = least + (len(document.text[least:]) - len(document.text[least:].lstrip(" \t")))
        end = end + 1 if document.text[end : end + 1] == ":" else least
    last = start + len(document.text[start:end].rstrip(_BLANK))
    return Part(start, last, end)


def _dash(document: Document, offset: int, column: int) -> int:
    """The dash in `column` at or after `offset`."""
    text = document.text
    if text[offset : offset + 1] == "-" and column_of(document, offset) == column:
        return offset
    first = document.line_of(offset) - 1
    for start in document.line_starts[first:]:
        place = start + column
        if place >= offset and text[place : place + 1] == "-" and not text[start:place].strip(" "):
            return place
    raise EditError("the items of the list could not be told apart")
