"""What differs between two policy texts: in lines, and in meaning."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from proxy.policy.document import Document, MappingNode, Node, Path, ScalarNode, SequenceNode, parse, shown

__all__ = ["ValueChange", "changed_values", "unified"]

_IDENTITY = ("name", "id", "tag", "model", "metric")


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One value that two texts say differently; None where a text does not say it."""

    path: str
    before: str | None
    after: str | None


def unified(a: str, b: str, name_a: str = "running", name_b: str = "draft") -> str:
    """A unified diff of the lines; empty when the texts are the same."""
    lines = difflib.unified_diff(
        a.splitlines(keepends=True), b.splitlines(keepends=True), shown(name_a), shown(name_b)
    )
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def changed_values(a: str, b: str) -> list[ValueChange]:
    """The values that changed, in the order of `b`, then what only `a` says; comments do not count.

    Items of a list are matched by what names them (name, id, tag), so an insertion shifts nothing.
    A text that is not YAML says nothing.
    """
    before, after = _values(parse(a)), _values(parse(b))
    changes = [
        ValueChange(path, before.get(path), value)
        for path, value in after.items()
        if before.get(path) != value
    ]
    changes += [ValueChange(path, value, None) for path, value in before.items() if path not in after]
    return changes


def _values(document: Document) -> dict[str, str]:
    found: dict[str, str] = {}
    if document.root is not None:
        _walk(document, document.root, (), "", found)
    return found


def _walk(document: Document, node: Node, path: Path, name: str, found: dict[str, str]) -> None:
    if isinstance(node, ScalarNode):
        found[name] = "" if node.is_null else shown(node.value, 200)
    elif isinstance(node, MappingNode):
        for entry in node.entries:
            key = shown(entry.key.value)
            _walk(document, entry.value, (*path, entry.key.value), f"{name}.{key}" if name else key, found)
    else:
        _walk_list(document, node, path, name, found)


def _walk_list(document: Document, node: SequenceNode, path: Path, name: str, found: dict[str, str]) -> None:
    if all(isinstance(item, ScalarNode) for item in node.items):
        found[name] = ", ".join(shown(item.value) for item in node.items if isinstance(item, ScalarNode))
        return
    used: set[str] = set()
    for index, item in enumerate(node.items):
        label = _identity(item) or str(index)
        if label in used:
            label = str(index)
        used.add(label)
        _walk(document, item, (*path, index), f"{name}[{label}]", found)


def _identity(node: Node) -> str | None:
    if isinstance(node, MappingNode):
        for key in _IDENTITY:
            entry = node.get(key)
            if entry is not None and isinstance(entry.value, ScalarNode) and entry.value.value:
                return f"{key}={shown(entry.value.value)}"
    return None
