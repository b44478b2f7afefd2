"""Edits of any document: the rest of the text stays as it is, and taking out undoes putting in."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.diagnostics import TextEdit
from proxy.policy.document import Document, MappingNode, Node, Path, ScalarNode, SequenceNode, parse
from proxy.policy.structure_edits import Value, insert_item, insert_key, remove, set_value
from proxy.policy.text_edits import apply_edits

WORDS = [
    "ab",
    "gpt-4o",
    "5",
    "95.5",
    "yes",
    "~",
    "null",
    "",
    "a b",
    "it's",
    'q"q',
    "x: y",
    "# no",
    "ä",
    "[x",
    "- d",
    "1:2",
]
KEYS = ["name", "weight", "tag", "model", "x y", "k:1", "0"]


class Writer:
    """Writes a random tree as YAML in random styles."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.newline = self.random.choice(["\n", "\n", "\r\n"])

    def text(self) -> str:
        body = self.newline.join(self.block(self.tree(0), 0)) + self.newline
        # Without its line ending the last line of a block of text would say something else.
        if self.random.random() < 0.2 and not body.endswith(f"lines: x{self.newline}"):
            body = body.removesuffix(self.newline)
        return ("\ufeff" if self.random.random() < 0.2 else "") + body

    def tree(self, depth: int) -> Any:
        kind = self.random.random()
        if depth > 3 or (depth and kind < 0.4):
            return self.random.choice(WORDS)
        size = self.random.randint(1, 3)
        if kind < 0.7:
            return {key: self.tree(depth + 1) for key in self.random.sample(KEYS, size)}
        return [self.tree(depth + 1) for _ in range(size)]

    def scalar(self, word: str, flow: bool) -> str:
        plain = (
            word and word.replace("-", "").replace(" ", "").replace(".", "").isalnum() and word[0] not in "-"
        )
        style = self.random.choice(["plain", "plain", "'", '"'])
        if style == "plain" and plain and word not in ("~", "null"):
            return word
        if style == "'":
            return "'" + word.replace("'", "''") + "'"
        return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'

    def flow(self, tree: Any) -> str:
        gap = self.random.choice(["", " ", "  "])
        comma = self.random.choice([", ", ",", " , "])
        if isinstance(tree, dict):
            return (
                "{"
                + gap
                + comma.join(f"{self.scalar(k, True)}: {self.flow(v)}" for k, v in tree.items())
                + gap
                + "}"
            )
        if isinstance(tree, list):
            return "[" + gap + comma.join(map(self.flow, tree)) + gap + "]"
        return self.scalar(tree, True)

    def tail(self) -> str:
        return self.random.choice(["", "", "", " # note", "  ", "  # it: [x"])

    def between(self, indent: int) -> list[str]:
        return self.random.choice([[], [], [], [""], [" " * indent + "# above: - x"], ["# left", "  "]])

    def block(self, tree: Any, indent: int) -> list[str]:
        lines: list[str] = []
        if isinstance(tree, dict):
            for key, value in tree.items():
                lines += self.between(indent) if lines else []
                lines += self.member(f"{' ' * indent}{self.scalar(key, False)}:", value, indent)
        elif isinstance(tree, list):
            for value in tree:
                lines += self.between(indent) if lines else []
                lines += self.item(value, indent)
        else:
            lines.append(" " * indent + self.scalar(tree, False) + self.tail())
        return lines

    def member(self, head: str, value: Any, indent: int) -> list[str]:
        if isinstance(value, str):
            if self.random.random() < 0.1:
                deep = " " * (indent + 2)
                return [
                    f"{head} {self.random.choice(['|', '|-', '>', '|+'])}{self.random.choice(['', ' # c'])}",
                    f"{deep}two",
                    "",
                    f"{deep}lines: x",
                ]
            empty = not value and self.random.random() < 0.5
            return [head + ("" if empty else " " + self.scalar(value, False)) + self.tail()]
        if self.random.random() < 0.3:
            return [f"{head} {self.flow(value)}{self.tail()}"]
        step = 0 if isinstance(value, list) and self.random.random() < 0.4 else self.random.choice([1, 2, 4])
        return [head + self.tail(), *self.between(indent), *self.block(value, indent + step)]

    def item(self, value: Any, indent: int) -> list[str]:
        head = " " * indent + "-"
        if isinstance(value, str):
            return [f"{head} {self.scalar(value, False)}{self.tail()}"]
        if self.random.random() < 0.3:
            return [f"{head} {self.flow(value)}{self.tail()}"]
        if self.random.random() < 0.2:
            return [head + self.tail(), *self.block(value, indent + 2)]
        gap = self.random.choice([1, 3])
        lines = self.block(value, indent + 1 + gap)
        return [head + " " * gap + lines[0].lstrip(" "), *lines[1:]]


def plain(node: Node | None) -> Any:
    if isinstance(node, MappingNode):
        return {entry.key.value: plain(entry.value) for entry in node.entries}
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.items]
    return node.value if node is not None else None


def places(node: Node | None, path: Path = ()) -> list[tuple[Path, Node]]:
    """Every node with its path, parents first."""
    if node is None:
        return []
    found = [(path, node)]
    if isinstance(node, MappingNode):
        for entry in node.entries:
            found += places(entry.value, (*path, entry.key.value))
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            found += places(item, (*path, index))
    return found


def edited(document: Document, edit: TextEdit) -> Document:
    """The text after `edit`; nothing outside its span moved."""
    text = apply_edits(document.text, [edit])
    assert text[: edit.start] == document.text[: edit.start]
    assert text[edit.start + len(edit.text) :] == document.text[edit.end :]
    after = parse(text)
    assert not after.problems
    return after


def document_of(seed: int) -> Document:
    document = parse(Writer(seed).text())
    assert not document.problems, (document.text, document.problems)
    return document


def at(tree: Any, path: Path) -> Any:
    for step in path:
        tree = tree[step]
    return tree


seeds = st.integers(0, 2**32)
values: st.SearchStrategy[Value] = st.recursive(
    st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=600, deadline=None)
@given(seeds, st.data())
def test_a_value_that_is_set_is_the_value_then(seed: int, data: st.DataObject) -> None:
    document = document_of(seed)
    path, node = data.draw(
        st.sampled_from([place for place in places(document.root) if isinstance(place[1], ScalarNode)])
    )
    value = data.draw(
        st.sampled_from(WORDS)
        | st.text(
            st.characters(
                min_codepoint=32,
                max_codepoint=0x2FF,
                blacklist_characters="\x7f",
                blacklist_categories=("Cc",),
            ),
            max_size=8,
        )
    )
    edit = set_value(document, path, value)
    after = edited(document, edit)
    if node.start < node.end:
        assert node.start <= edit.start and edit.end <= node.end
    wanted = plain(document.root)
    at(wanted, path[:-1])[path[-1]] = value
    assert plain(after.root) == wanted


@settings(max_examples=300, deadline=None)
@given(seeds, values, st.data())
def test_any_place_can_take_any_value(seed: int, value: Value, data: st.DataObject) -> None:
    document = document_of(seed)
    path, _ = data.draw(st.sampled_from([place for place in places(document.root) if place[0]]))
    after = edited(document, set_value(document, path, value))
    wanted = plain(document.root)
    at(wanted, path[:-1])[path[-1]] = value
    assert plain(after.root) == wanted


@settings(max_examples=800, deadline=None)
@given(seeds, values, st.data())
def test_taking_out_what_was_put_in_gives_the_old_text_back(
    seed: int, value: Value, data: st.DataObject
) -> None:
    document = document_of(seed)
    collections = [place for place in places(document.root) if not isinstance(place[1], ScalarNode)]
    path, node = data.draw(st.sampled_from(collections))
    if isinstance(node, SequenceNode):
        index = data.draw(st.integers(0, len(node.items)))
        edit = insert_item(document, path, index, value)
        place: Path = (*path, index)
    else:
        index = data.draw(st.integers(0, len(node.entries)))
        edit = insert_key(document, path, "new key", value, index=index)
        place = (*path, "new key")
    assert edit.start == edit.end
    after = edited(document, edit)
    assert plain(after.find(place)) == value
    assert edited(after, remove(after, place)).text == document.text


@settings(max_examples=400, deadline=None)
@given(seeds, st.data())
def test_what_is_taken_out_is_all_that_is_gone(seed: int, data: st.DataObject) -> None:
    document = document_of(seed)
    path, _ = data.draw(st.sampled_from([place for place in places(document.root) if place[0]]))
    edit = remove(document, path)
    after = edited(document, edit)
    wanted = plain(document.root)
    del at(wanted, path[:-1])[path[-1]]
    assert plain(after.root) == wanted
    assert len(edit.text) <= 3
