"""Edits that touch only the characters they must: comments, order, quoting and line endings stay."""

from __future__ import annotations

import re
from collections.abc import Iterable

from proxy.policy.diagnostics import TextEdit
from proxy.policy.document import NULLS, Document, MappingNode, Path, ScalarNode, has_unprintable

_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+@-]*(?: [A-Za-z0-9_./+@-]+)*\Z")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


class EditError(ValueError):
    """An edit that cannot be made; its text is one sentence."""


def apply_edits(text: str, edits: Iterable[TextEdit]) -> str:
    """`text` with all `edits` made (offsets are those of `text`; edits must not overlap)."""
    parts: list[str] = []
    position = 0
    for edit in sorted(edits, key=lambda item: (item.start, item.end)):
        if edit.start < position:
            raise EditError("two edits touch the same characters")
        parts += (text[position : edit.start], edit.text)
        position = edit.end
    parts.append(text[position:])
    return "".join(parts)


def replace_scalar(document: Document, path: Path, value: str) -> TextEdit:
    """The edit that makes the value at `path` say `value`, in the quoting it has. Raises EditError."""
    node = document.find(path)
    if not isinstance(node, ScalarNode):
        raise EditError(f"{document.spell(path)} is not a single value")
    if node.style in ("|", ">"):
        raise EditError(f"{document.spell(path)} is a block of text, which cannot be replaced in place")
    spelled = spell_scalar(value, node.style)
    if node.end == node.start:
        spelled = _lead_in(document, path, node) + spelled
    return TextEdit(node.start, node.end, spelled)


def insert_key(document: Document, path: Path, key: str, value: str) -> TextEdit:
    """The edit that puts `key: value` first into the mapping at `path`. Raises EditError."""
    node = document.find(path)
    if not isinstance(node, MappingNode):
        raise EditError(f"{document.spell(path) or 'the file'} is not a mapping, so it cannot take {key}")
    if node.get(key) is not None:
        raise EditError(f"{document.spell((*path, key))} is there already")
    pair = f"{spell_scalar(key, None)}: {spell_scalar(value, None)}"
    if node.flow:
        start = node.start + 1
        return TextEdit(start, start, pair + (", " if node.entries else ""))
    start = node.entries[0].key.start
    line_start = document.line_starts[document.line_of(start) - 1]
    indent = len(document.text[line_start:start].lstrip("\ufeff"))
    return TextEdit(start, start, pair + document.newline_at(start) + " " * indent)


def spell_scalar(value: str, style: str | None) -> str:
    """`value` as YAML in the given quoting style; plain only where plain reads back the same everywhere."""
    if style == "'" and not has_unprintable(value):
        return "'" + value.replace("'", "''") + "'"
    if style is None and _PLAIN.match(value) and value not in NULLS and not value.startswith("---"):
        return value
    return '"' + "".join(_escape(character) for character in value) + '"'


def _escape(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if has_unprintable(character) or code in (0xFFFE, 0xFFFF):
        return f"\\u{code:04x}"
    return character


def _lead_in(document: Document, path: Path, node: ScalarNode) -> str:
    """What must stand before a value that was empty."""
    key = document.find_key(path)
    if key is not None and key.end == node.start:
        return ": "
    before = document.text[node.start - 1 : node.start]
    return " " if before in (":", "-") else ""
