"""Places in a document as people spell them: `policies[name=ab].variants[tag=b].weight`.

A step is a key after a dot, `[3]` for the item at index 3 (from 0), or `[key=value]` for the one item whose
`key` says `value`. What would be read otherwise (a dot, bracket, `=`, quote or space in a key) is written in
double quotes, inside which a backslash takes the next character as it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from proxy.policy.document import Document, MappingNode, Node, Path, ScalarNode, SequenceNode, shown

_QUOTED = r'"(?:[^"\\]|\\.)*"'
_WORD = rf'(?:{_QUOTED}|[^.\[\]="]+)'
_VALUE = rf'(?:{_QUOTED}|[^\]"]+)'
_STEP = re.compile(
    rf"\[(?P<index>\d{{1,9}})\]|\[(?P<name>{_WORD})=(?P<value>{_VALUE})\]|(?P<dot>\.?)(?P<key>{_WORD})"
)
_BARE = re.compile(r'[^.\[\]="\\\s]+\Z')
_BARE_VALUE = re.compile(r'[^\]"\\\s]+\Z')
_NAMES = ("name", "id", "tag", "model", "metric")


class PathError(ValueError):
    """A spelled path that is none, or that leads nowhere in a document; its text is one sentence."""


@dataclass(frozen=True, slots=True)
class Named:
    """The one item of a list whose `key` says `value`."""

    key: str
    value: str


Step = str | int | Named


def parse_path(spelled: str) -> tuple[Step, ...]:
    """The steps of `spelled`; an empty text is the root. Raises PathError."""
    steps: list[Step] = []
    position = 0
    while position < len(spelled):
        match = _STEP.match(spelled, position)
        if match is None or not _joined(match, first=position == 0):
            raise PathError(f"not a path from character {position + 1} on: {shown(spelled)}")
        if match["index"] is not None:
            steps.append(int(match["index"]))
        elif match["name"] is not None:
            steps.append(Named(_bare(match["name"]), _bare(match["value"])))
        else:
            steps.append(_bare(match["key"]))
        position = match.end()
    return tuple(steps)


def resolve(document: Document, spelled: str) -> Path:
    """The keys and indexes that `spelled` stands for in `document`. Raises PathError."""
    path: Path = ()
    for step in parse_path(spelled):
        path = (*path, _index_of(document, path, step) if isinstance(step, Named) else step)
        if document.find(path) is None:
            raise PathError(f"there is no {document.spell(path)} in the file")
    return path


def spell_path(document: Document, path: Path) -> str:
    """`path` such that `resolve` finds it again: items by what names them where that is unique, else by index."""
    spelled = ""
    for depth, step in enumerate(path):
        if isinstance(step, str):
            spelled += f".{_quoted(step)}" if spelled else _quoted(step)
        else:
            spelled += f"[{_item(document, path[:depth], step)}]"
    return spelled


def _joined(match: re.Match[str], *, first: bool) -> bool:
    """A key needs a dot before it, except at the very start; a bracket never has one."""
    return match["key"] is None or bool(match["dot"]) != first


def _bare(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


def _quoted(word: str, bare: re.Pattern[str] = _BARE) -> str:
    if bare.match(word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _index_of(document: Document, path: Path, step: Named) -> int:
    node = document.find(path)
    place = document.spell(path) or "the file"
    if not isinstance(node, SequenceNode):
        raise PathError(
            f"{place} is not a list, so it has no item with {shown(step.key)}={shown(step.value)}"
        )
    found = [index for index, item in enumerate(node.items) if _says(item, step.key) == step.value]
    if len(found) != 1:
        count = "no item" if not found else f"{len(found)} items"
        raise PathError(f"{place} has {count} with {shown(step.key)}={shown(step.value)}")
    return found[0]


def _item(document: Document, path: Path, index: int) -> str:
    node = document.find(path)
    if isinstance(node, SequenceNode) and index < len(node.items):
        for key in _NAMES:
            value = _says(node.items[index], key)
            if value:
                if [_says(item, key) for item in node.items].count(value) == 1:
                    return f"{key}={_quoted(value, _BARE_VALUE)}"
                break
    return str(index)


def _says(node: Node, key: str) -> str | None:
    entry = node.get(key) if isinstance(node, MappingNode) else None
    return entry.value.value if entry is not None and isinstance(entry.value, ScalarNode) else None
