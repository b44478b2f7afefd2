"""Edits of the tree that touch only the characters they must: set a value, put in and take out items and keys.

Every function reads back what it would write before it answers: the tree must then differ in what was asked
for and in nothing else, or EditError is raised and nothing is to be done.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from proxy.policy.block_style import Part, column_of, first_on_line, line_end, line_start, next_line, parts
from proxy.policy.diagnostics import TextEdit
from proxy.policy.document import (
    Document,
    Entry,
    MappingNode,
    Node,
    Path,
    ScalarNode,
    SequenceNode,
    parse,
    shown,
)
from proxy.policy.spelling import Value, spell_entry, spell_flow, spell_item
from proxy.policy.text_edits import EditError, apply_edits, replace_scalar, spell_scalar

__all__ = ["EditError", "Value", "insert_item", "insert_key", "remove", "set_value"]

Collection = MappingNode | SequenceNode
_FLOW_GAP = re.compile(r"[ \t]*,[ \t]*")


def set_value(document: Document, path: Path, value: Value) -> TextEdit:
    """The edit that makes `path` say `value`. Raises EditError."""
    _check_readable(document)
    node = document.find(path)
    if node is None:
        raise EditError(f"there is no {document.spell(path)} in the file")
    if isinstance(node, ScalarNode) and node.style in ("|", ">"):
        edit = _replace_block_text(document, node, value)
    elif isinstance(node, ScalarNode) and (isinstance(value, str) or node.start == node.end):
        edit = replace_scalar(document, path, "" if not isinstance(value, str) else value)
        if not isinstance(value, str):
            edit = TextEdit(edit.start, edit.end, edit.text.removesuffix('""') + spell_flow(value))
    elif isinstance(node, ScalarNode) or node.flow:
        edit = TextEdit(node.start, node.end, spell_flow(value))
    else:
        edit = _replace_collection(document, path, node, spell_flow(value))
    return _verified(document, edit, _set(_plain(document.root), path, _strings(value)))


def insert_item(document: Document, path: Path, index: int, value: Value) -> TextEdit:
    """The edit that puts `value` before the item at `index` of the list at `path` (or last). Raises EditError."""
    _check_readable(document)
    node = document.find(path)
    if not isinstance(node, SequenceNode):
        raise EditError(f"{document.spell(path) or 'the file'} is not a list, so nothing can be put into it")
    index = max(0, min(index, len(node.items)))
    if node.flow:
        edit = _insert_flow(document, node, node.items, index, spell_flow(value))
    else:
        sibling = node.items[max(0, index - 1)]
        in_flow = isinstance(sibling, MappingNode | SequenceNode) and sibling.flow
        lines = [f"- {spell_flow(value)}"] if in_flow else spell_item(value)
        edit = _insert_block(document, node, index, lines)
    wanted = _plain(document.root)
    _at(wanted, path).insert(index, _strings(value))
    return _verified(document, edit, wanted)


def insert_key(
    document: Document, path: Path, key: str, value: Value, *, index: int | None = None
) -> TextEdit:
    """The edit that puts `key` into the mapping at `path`, as its entry number `index` (from 0) or last.

    Raises EditError.
    """
    _check_readable(document)
    node = document.find(path)
    if not isinstance(node, MappingNode):
        raise EditError(
            f"{document.spell(path) or 'the file'} is not a mapping, so it cannot take {shown(key)}"
        )
    if node.get(key) is not None:
        raise EditError(f"{document.spell((*path, key))} is there already")
    place = len(node.entries) if index is None else max(0, min(index, len(node.entries)))
    if node.flow:
        pair = f"{spell_scalar(key, None)}: {spell_flow(value)}"
        edit = _insert_flow(document, node, node.entries, place, pair)
    else:
        edit = _insert_block(document, node, place, spell_entry(key, value))
    wanted = _plain(document.root)
    pairs = list(_at(wanted, path).items())
    pairs.insert(place, (key, _strings(value)))
    return _verified(document, edit, _set(wanted, path, dict(pairs)))


def remove(document: Document, path: Path) -> TextEdit:
    """The edit that takes away the item or the key that ends `path`, with its value. Raises EditError.

    A comment behind it on its last line goes with it; comments above it stay. The last of a block collection
    leaves `[]` or `{}` behind, since an empty one has no other spelling.
    """
    _check_readable(document)
    node = document.find(path[:-1])
    if not path or document.find(path) is None or not isinstance(node, MappingNode | SequenceNode):
        raise EditError(f"there is no {document.spell(path) or 'such item'} in the file")
    index = _index(node, path[-1])
    children = node.items if isinstance(node, SequenceNode) else node.entries
    if node.flow:
        edit = _remove_flow(document, node, children, index)
    elif len(children) == 1:
        edit = _replace_collection(
            document, path[:-1], node, "[]" if isinstance(node, SequenceNode) else "{}"
        )
    else:
        edit = _remove_block(document, parts(document, node), index)
    wanted = _plain(document.root)
    del _at(wanted, path[:-1])[path[-1]]
    return _verified(document, edit, wanted)


# -- block style


def _insert_block(document: Document, node: Collection, index: int, lines: Sequence[str]) -> TextEdit:
    found = parts(document, node)
    newline = document.newline_at(found[0].start)
    indent = " " * column_of(document, node.start if isinstance(node, SequenceNode) else found[0].start)
    if index == 0:
        start = found[0].start
        return TextEdit(start, start, "".join(f"{line}{newline}{indent}" for line in lines))
    end = found[index - 1].end
    # A block of text ends where the line after it begins.
    start = end if column_of(document, end) == 0 else next_line(document, end)
    text = newline.join(f"{indent}{line}" for line in lines)
    if start == len(document.text) and not document.text.endswith(("\n", "\r")):
        return TextEdit(start, start, newline + text)
    return TextEdit(start, start, text + newline)


def _remove_block(document: Document, found: Sequence[Part], index: int) -> TextEdit:
    part = found[index]
    text = document.text
    if first_on_line(document, part.start):
        start, end = line_start(document, part.start), next_line(document, part.last)
        needed = index > 0 and text[: found[index - 1].end].endswith(("\n", "\r"))
        if end == len(text) and not text.endswith(("\n", "\r")) and start > 0 and not needed:
            # The text ended without a line ending; so it does afterwards, unless that belongs to a block of text.
            start = line_end(document, start - 1)
        return TextEdit(start, end, "")
    # It shares its line with the dash of the item it stands in, so the next one moves up to there.
    after = found[index + 1].start
    if document.line_of(after) == document.line_of(part.last) + 1:
        return TextEdit(part.start, after, "")
    return TextEdit(part.start, line_end(document, part.last), "")


def _replace_collection(document: Document, path: Path, node: Collection, spelled: str) -> TextEdit:
    """`spelled`, which is in flow style, in place of a block collection."""
    if isinstance(node, SequenceNode | MappingNode) and not path:
        last = document.text[: node.end].rstrip()
        return TextEdit(node.start, len(last), spelled)
    found = parts(document, node)
    key = document.find_key(path)
    start = node.start if isinstance(node, SequenceNode) else found[0].start
    above = document.text[:start].rstrip(" \r\n\t")
    end = found[-1].last
    if key is not None and above.endswith(":") and len(above) >= key.end:
        return TextEdit(len(above), end, f" {spelled}")
    return TextEdit(start, end, spelled if key is None else f" {spelled}")


def _replace_block_text(document: Document, node: ScalarNode, value: Value) -> TextEdit:
    """In place of a `|` or `>` text: such a text again where it can be one, else one line."""
    text = document.text
    header_end = line_end(document, node.start)
    newline = document.newline_at(node.start)
    body = text[next_line(document, node.start) : node.end]
    indent = re.match(r"(?:[ ]*(?:\r\n|\n|\r))*( +)", body)
    header = text[node.start : header_end].rstrip()
    if isinstance(value, str) and header == "|" and indent is not None and _fits_block(value):
        lines = (f"{indent[1]}{line}" if line else "" for line in value[:-1].split("\n"))
        return TextEdit(next_line(document, node.start), node.end, newline.join(lines) + newline)
    comment = re.search(r"[ \t]+#.*\Z", text[node.start : header_end])
    ending = newline if text[: node.end].endswith(("\n", "\r")) else ""
    return TextEdit(node.start, node.end, spell_flow(value) + (comment.group() if comment else "") + ending)


def _fits_block(value: str) -> bool:
    lines = value.split("\n")
    return (
        len(lines) > 1
        and not lines[-1]
        and bool(lines[-2].strip())
        and bool(lines[0].strip())
        and not lines[0].startswith((" ", "\t"))
        and all(line.isprintable() for line in lines)
    )


# -- flow style


def _insert_flow(
    document: Document, node: Collection, children: Sequence[Node | Entry], index: int, spelled: str
) -> TextEdit:
    if document.text[node.start : node.start + 1] not in ("[", "{"):
        raise EditError("a pair without braces cannot be edited here")
    if not children:
        return TextEdit(node.start + 1, node.start + 1, spelled)
    if index < len(children):
        start = _span(children[index])[0]
        return TextEdit(start, start, f"{spelled}, ")
    end = _span(children[-1])[1]
    return TextEdit(end, end, f", {spelled}")


def _remove_flow(
    document: Document, node: Collection, children: Sequence[Node | Entry], index: int
) -> TextEdit:
    text = document.text
    if text[node.start : node.start + 1] not in ("[", "{"):
        raise EditError("a pair without braces cannot be edited here")
    start, end = _span(children[index])
    if index == len(children) - 1 and index > 0:
        before = _span(children[index - 1])[1]
        if _FLOW_GAP.fullmatch(text, before, start):
            return TextEdit(before, end, "")
    comma = _FLOW_GAP.match(text, end)
    end = comma.end() if comma is not None and comma.end() <= node.end else end
    if first_on_line(document, start) and not text[end : line_end(document, end)].strip():
        return TextEdit(line_start(document, start), next_line(document, end), "")
    return TextEdit(start, end, "")


def _span(child: Node | Entry) -> tuple[int, int]:
    if isinstance(child, Entry):
        return child.key.start, max(child.key.end, child.value.end)
    return child.start, child.end


# -- the tree without positions


def _check_readable(document: Document) -> None:
    if document.root is None or document.problems:
        raise EditError("the text is not readable as a policy file; mend it first")


def _verified(document: Document, edit: TextEdit, wanted: object) -> TextEdit:
    after = parse(apply_edits(document.text, [edit]))
    if after.problems or not _same(_plain(after.root), wanted):
        raise EditError("the change would have touched other values, so nothing was changed")
    return edit


def _same(a: object, b: object) -> bool:
    """Equal, with keys in the same order."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b


def _plain(node: Node | None) -> Any:
    if isinstance(node, MappingNode):
        return {entry.key.value: _plain(entry.value) for entry in node.entries}
    if isinstance(node, SequenceNode):
        return [_plain(item) for item in node.items]
    return node.value if node is not None else None


def _strings(value: Value) -> Any:
    if isinstance(value, Mapping):
        return {key: _strings(inner) for key, inner in value.items()}
    return value if isinstance(value, str) else [_strings(inner) for inner in value]


def _at(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree[step]
    return tree


def _set(tree: Any, path: Path, value: Any) -> Any:
    if not path:
        return value
    _at(tree, path[:-1])[path[-1]] = value
    return tree


def _index(node: Collection, step: str | int) -> int:
    if isinstance(node, SequenceNode):
        return int(step)
    return next(index for index, entry in enumerate(node.entries) if entry.key.value == step)
