"""Edits that checks offer as fixes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from proxy.policy.diagnostics import Fix, TextEdit
from proxy.policy.document import Document, MappingNode, Path, ScalarNode, SequenceNode
from proxy.policy.text_edits import EditError, insert_key, replace_scalar, spell_scalar
from proxy.policy.weights import spell


def rewrite(document: Document, title: str, values: Mapping[Path, str]) -> Fix | None:
    """A fix that makes each path say its value, in the quoting it has; None when one cannot be edited."""
    try:
        return Fix(title, tuple(replace_scalar(document, path, value) for path, value in values.items()))
    except EditError:
        return None


def write_weights(document: Document, title: str, values: Mapping[Path, Decimal]) -> Fix | None:
    """A fix that writes weights; those that say the number already stay as they are spelled."""
    changed = {path: spell(value) for path, value in values.items() if _number(document, path) != value}
    return rewrite(document, title, changed) if changed else None


def rename_key(document: Document, path: Path, name: str) -> Fix | None:
    """A fix that calls the key at the end of `path` `name`."""
    key = document.find_key(path)
    if key is None:
        return None
    return Fix(f"rename to {name}", (TextEdit(key.start, key.end, name),))


def add_key(document: Document, path: Path, key: str, value: str) -> Fix | None:
    """A fix that puts `key: value` first into the mapping at `path`."""
    try:
        return Fix(f"add {key}: {value}", (insert_key(document, path, key, value),))
    except EditError:
        return None


def add_flow(document: Document, path: Path, key: str, inner: str) -> Fix | None:
    """A fix that puts `key: {inner}` first into the mapping at `path`."""
    try:
        edit = insert_key(document, path, key, "VALUE")
    except EditError:
        return None
    text = edit.text.replace(f"{key}: VALUE", f"{key}: {{{inner}}}", 1)
    return Fix(f"add {key}: {{{inner}}}", (TextEdit(edit.start, edit.end, text),))


def turn_off(document: Document, path: Path) -> Fix | None:
    """A fix that disables the policy at `path`."""
    if document.find((*path, "enabled")) is not None:
        return rewrite(document, "turn it off", {(*path, "enabled"): "false"})
    return add_key(document, path, "enabled", "false")


def append_item(document: Document, path: Path, value: str, title: str) -> Fix | None:
    """A fix that adds `value` to the list at `path`; None where the list is empty or its layout is odd."""
    parent = document.find(path)
    last = parent.items[-1] if isinstance(parent, SequenceNode) and parent.items else None
    if not isinstance(parent, SequenceNode) or not isinstance(last, ScalarNode) or last.style in ("|", ">"):
        return None
    spelled = spell_scalar(value, last.style)
    if parent.flow:
        return Fix(title, (TextEdit(last.end, last.end, f", {spelled}"),))
    start = document.line_starts[document.line_of(last.start) - 1]
    lead = document.text[start : last.start].lstrip("\ufeff")
    if lead.strip(" ") != "-":
        return None
    return Fix(title, (TextEdit(last.end, last.end, document.newline_at(start) + lead + spelled),))


def remove_item(document: Document, path: Path, title: str = "remove it") -> Fix | None:
    """A fix that takes the item at `path` out of its list; None for the last one left and for odd layouts."""
    parent, index = document.find(path[:-1]), path[-1]
    if not isinstance(parent, SequenceNode) or not isinstance(index, int) or len(parent.items) < 2:
        return None
    node = parent.items[index]
    if not parent.flow:
        return _remove_line(document, node, title)
    if index > 0:
        return Fix(title, (TextEdit(parent.items[index - 1].end, node.end, ""),))
    return Fix(title, (TextEdit(node.start, parent.items[1].start, ""),))


def remove_entry(document: Document, path: Path, title: str) -> Fix | None:
    """A fix that takes the key that ends `path`, with its value, out of its mapping; None where that is not plain."""
    parent, key = document.find(path[:-1]), document.find_key(path)
    if not isinstance(parent, MappingNode) or key is None or len(parent.entries) < 2:
        return None
    position = next(index for index, entry in enumerate(parent.entries) if entry.key is key)
    value = parent.entries[position].value
    if parent.flow:
        if position > 0:
            return Fix(title, (TextEdit(parent.entries[position - 1].value.end, value.end, ""),))
        return Fix(title, (TextEdit(key.start, parent.entries[1].key.start, ""),))
    if position == 0:
        # The first key stands behind the dash of its item; the next one takes its place.
        return Fix(title, (TextEdit(key.start, parent.entries[1].key.start, ""),))
    start = document.line_starts[document.line_of(key.start) - 1]
    if document.text[start : key.start].strip(" \ufeff"):
        return None
    return (
        Fix(title, (TextEdit(start, parent.entries[position + 1].key.start - _indent(document, key), ""),))
        if (position + 1 < len(parent.entries))
        else _to_line_end(document, start, max(value.end, key.end), title)
    )


def _remove_line(document: Document, node: object, title: str) -> Fix | None:
    """An item that stands alone on its line, with the line."""
    if not isinstance(node, ScalarNode):
        return None
    line = document.line_of(node.start)
    start = document.line_starts[line - 1]
    if document.line_of(node.end) != line or document.text[start : node.start].strip(" \ufeff") != "-":
        return None
    return _to_line_end(document, start, node.end, title)


def _to_line_end(document: Document, start: int, end: int, title: str) -> Fix | None:
    """Lines from `start` to the end of the line `end` stands in; refuses where anything but a comment follows."""
    line = document.line_of(max(end - 1, start))
    stop = document.line_starts[line] if line < len(document.line_starts) else len(document.text)
    rest = document.text[end:stop].strip()
    if rest and not rest.startswith("#"):
        return None
    return Fix(title, (TextEdit(start, stop, ""),))


def _indent(document: Document, key: ScalarNode) -> int:
    return key.start - document.line_starts[document.line_of(key.start) - 1]


def _number(document: Document, path: Path) -> Decimal | None:
    node = document.find(path)
    try:
        return Decimal(node.value) if isinstance(node, ScalarNode) else None
    except ArithmeticError:
        return None
