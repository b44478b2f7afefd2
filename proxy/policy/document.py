"""Policy text with positions.

YAML is read as a tree of strings: no aliases, merge keys, tags or duplicate keys, and no guessing of types;
that is the schema's part. Every node knows where it stands in the text, so that a diagnostic can point at
it and an edit can touch its bytes alone.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from proxy.policy.diagnostics import Diagnostic, Fix, Severity

MAX_BYTES = 256 << 10
"""Of UTF-8. A policy of a thousand lines has 40 KiB."""
MAX_PARTS = 20_000
"""Lines, items and collections: what costs time while YAML is read."""
MAX_DEPTH = 32
"""Levels of nesting. A useful policy has 8; the cap keeps hostile text from costing time."""

Path = tuple[str | int, ...]
NULLS = frozenset({"", "~", "null", "Null", "NULL"})

_LINE_BREAK = re.compile(r"\r\n|\n|\r")
_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
    "|(?<!^)\ufeff"
)
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_FLOW_RUN = re.compile(r"(?:[\[{]\s*){33}")


@dataclass(slots=True)
class ScalarNode:
    """One value, still a string. `style` is None when plain, else the quote or block indicator."""

    start: int
    end: int
    value: str
    style: str | None = None

    @property
    def is_null(self) -> bool:
        """Whether it stands for "nothing": empty, `~` or `null`, and not quoted."""
        return self.style is None and self.value in NULLS


@dataclass(slots=True)
class Entry:
    """A key and its value."""

    key: ScalarNode
    value: Node


@dataclass(slots=True)
class MappingNode:
    """Keys and values in file order."""

    start: int
    end: int
    flow: bool
    entries: list[Entry] = field(default_factory=list)

    def get(self, key: str) -> Entry | None:
        """The entry of `key`, or None."""
        return next((entry for entry in self.entries if entry.key.value == key), None)


@dataclass(slots=True)
class SequenceNode:
    """Items in file order."""

    start: int
    end: int
    flow: bool
    items: list[Node] = field(default_factory=list)


Node = ScalarNode | MappingNode | SequenceNode


@dataclass(frozen=True, slots=True)
class Document:
    """A text, its tree (None when it has none) and what reading it complained about."""

    text: str
    root: Node | None
    problems: tuple[Diagnostic, ...]
    line_starts: tuple[int, ...]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of a character offset, both from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line_of(self, offset: int) -> int:
        """Line of a character offset, from 1."""
        return bisect_right(self.line_starts, offset)

    def find(self, path: Path) -> Node | None:
        """The node at `path` (keys and indexes from the root), or None."""
        node: Node | None = self.root
        for step in path:
            if isinstance(step, str) and isinstance(node, MappingNode):
                entry = node.get(step)
                node = entry.value if entry is not None else None
            elif isinstance(step, int) and isinstance(node, SequenceNode) and 0 <= step < len(node.items):
                node = node.items[step]
            else:
                return None
        return node

    def find_key(self, path: Path) -> ScalarNode | None:
        """The key that ends `path`, or None when it ends in an index or does not exist."""
        if not path or not isinstance(path[-1], str):
            return None
        parent = self.find(path[:-1])
        entry = parent.get(path[-1]) if isinstance(parent, MappingNode) else None
        return entry.key if entry is not None else None

    def span(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """The characters to point at for `path`: a scalar's own, else its key, else the nearest parent's."""
        node = self.find(path)
        if not key and isinstance(node, ScalarNode) and node.end > node.start:
            return node.start, node.end
        found = self.find_key(path)
        if found is not None:
            return found.start, found.end
        if isinstance(node, MappingNode) and node.entries:
            first = node.entries[0].key
            return first.start, first.end
        if node is not None:
            return node.start, max(node.start + 1, min(node.end, self._line_end(node.start)))
        return self.span(path[:-1]) if path else (0, 0)

    def spell(self, path: Path) -> str:
        """`path` for people: `policies[name=ab].variants[tag=b].weight`."""
        text = ""
        for depth, step in enumerate(path):
            if isinstance(step, str):
                text += f".{shown(step)}" if text else shown(step)
            else:
                text += f"[{self._item_name(path[: depth + 1]) or step}]"
        return text

    def diagnostic(
        self,
        code: str,
        severity: Severity,
        message: str,
        span: tuple[int, int],
        path: Path = (),
        fix: Fix | None = None,
    ) -> Diagnostic:
        """A problem at `span` (character offsets)."""
        line, column = self.position(span[0])
        end_line, end_column = self.position(span[1])
        return Diagnostic(code, severity, message, line, column, end_line, end_column, self.spell(path), fix)

    def newline_at(self, offset: int) -> str:
        """The line ending in use on the line of `offset` (the file's first one on the last line)."""
        match = _LINE_BREAK.search(self.text, offset) or _LINE_BREAK.search(self.text)
        return match.group() if match else "\n"

    def item_name(self, path: Path) -> str | None:
        """How people call the list item at `path`: its name, id or tag; None when it is no item or has none."""
        named = self._item_name(path) if path and isinstance(path[-1], int) else None
        return named.partition("=")[2] if named is not None else None

    def _line_end(self, offset: int) -> int:
        match = _LINE_BREAK.search(self.text, offset)
        return match.start() if match else len(self.text)

    def _item_name(self, path: Path) -> str | None:
        node = self.find(path)
        if isinstance(node, MappingNode):
            for key in ("name", "id", "tag", "model", "metric"):
                entry = node.get(key)
                if entry is not None and isinstance(entry.value, ScalarNode) and entry.value.value:
                    return f"{key}={shown(entry.value.value)}"
        return None


def shown(text: str, limit: int = 80) -> str:
    """`text` fit for a message: one line, nothing invisible or active, at most `limit` characters.

    A space that is none (U+00A0, say) is written as its number too: it is what is wrong with such a name.
    """
    part = text[: limit + 1]
    clean = part if part.isprintable() else "".join(map(_printable, part))
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _printable(letter: str) -> str:
    if letter.isprintable():
        return letter
    code = ord(letter)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def has_unprintable(text: str) -> bool:
    """Whether `text` has control, zero-width or direction-changing characters."""
    return _UNPRINTABLE.search(text) is not None


def parse(text: str) -> Document:
    """Read `text`. Never raises: what is wrong with it is in `problems`."""
    refusal = _refuse_size(text)
    if refusal is not None:
        return Document(text, None, (refusal,), (0,))
    starts = (0, *(match.end() for match in _LINE_BREAK.finditer(text)))
    blank = Document(text, None, (), starts)
    refusal = _refuse_raw(blank)
    if refusal is not None:
        return Document(text, None, (refusal,), starts)
    composer = _Composer(blank)
    composer.run()
    return Document(text, composer.root, tuple(composer.problems), starts)


def _refuse_size(text: str) -> Diagnostic | None:
    """What is refused by counting alone, before anything is made of it."""
    place = Document("", None, (), (0,))
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES >> 10} KiB"
        return place.diagnostic("too-large", "error", message, (0, 0))
    if sum(text.count(letter) for letter in "\n\r,[{") > MAX_PARTS:
        message = f"the file has more than {MAX_PARTS:,} lines and items"
        return place.diagnostic("too-large", "error", message, (0, 0))
    return None


def _refuse_raw(document: Document) -> Diagnostic | None:
    """What else can be refused before any YAML is read."""
    text = document.text
    match = _FORBIDDEN.search(text)
    if match is not None:
        code = ord(match.group())
        message = f"the character U+{code:04X} is not allowed in a policy file; remove it"
        return document.diagnostic("control-character", "error", message, match.span())
    match = _FLOW_RUN.search(text)
    if match is not None:
        return document.diagnostic("too-deep", "error", _TOO_DEEP, (match.start(), match.start() + 1))
    return None


_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"


@dataclass(slots=True)
class _Frame:
    node: MappingNode | SequenceNode
    key: ScalarNode | None = None
    skip_value: bool = False
    seen: set[str] = field(default_factory=set)


class _Composer:
    """Builds the tree from YAML events with a stack of its own, so that depth costs no recursion."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._frames: list[_Frame] = []
        self._documents = 0
        self.root: Node | None = None
        self.problems: list[Diagnostic] = []

    def run(self) -> None:
        try:
            for event in yaml.parse(self._document.text, Loader=yaml.SafeLoader):
                if not self._take(event):
                    return
        except yaml.MarkedYAMLError as error:
            self._syntax(error)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            self._report("syntax", f"not readable as YAML: {shown(str(error), 200)}", (0, 0))
            self.root = None
        else:
            if self.root is None and not self.problems:
                self._report(
                    "empty", "the file says nothing; a policy file has providers or policies", (0, 0)
                )

    def _take(self, event: yaml.Event) -> bool:
        """One event; False ends the reading."""
        start, end = event.start_mark, event.end_mark
        span = (start.index if start else 0, end.index if end else 0)
        if isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._report(
                    "multiple-documents", "a second document starts here; a policy file has one", span
                )
                return False
        elif isinstance(event, yaml.AliasEvent):
            self._report("alias", "aliases are not allowed; write the value again", span)
            self._add(ScalarNode(*span, "", None))
        elif isinstance(event, yaml.ScalarEvent):
            self._refuse_decoration(event, span)
            self._add(ScalarNode(*self._without_properties(event, span), event.value, event.style))
        elif isinstance(event, yaml.CollectionStartEvent):
            return self._open(event, span)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._close(span)
        return True

    def _open(self, event: yaml.CollectionStartEvent, span: tuple[int, int]) -> bool:
        self._refuse_decoration(event, span)
        if len(self._frames) >= MAX_DEPTH:
            self._report("too-deep", _TOO_DEEP, (span[0], span[0] + 1))
            self.root = None
            return False
        node: MappingNode | SequenceNode
        if isinstance(event, yaml.MappingStartEvent):
            node = MappingNode(span[0], span[1], bool(event.flow_style))
        else:
            node = SequenceNode(span[0], span[1], bool(event.flow_style))
        self._add(node)
        self._frames.append(_Frame(node))
        return True

    def _close(self, span: tuple[int, int]) -> None:
        node = self._frames.pop().node
        if node.flow:
            node.end = span[1]
        elif isinstance(node, MappingNode):
            node.end = max((entry.value.end for entry in node.entries), default=node.start)
        else:
            node.end = max((item.end for item in node.items), default=node.start)

    def _add(self, node: Node) -> None:
        if not self._frames:
            self.root = node
            return
        frame = self._frames[-1]
        if isinstance(frame.node, SequenceNode):
            frame.node.items.append(node)
        elif frame.key is None and not frame.skip_value:
            self._add_key(frame, node)
        else:
            if frame.key is not None:
                frame.node.entries.append(Entry(frame.key, node))
            frame.key, frame.skip_value = None, False

    def _add_key(self, frame: _Frame, node: Node) -> None:
        """Remember a key; its value comes next. A refused key keeps its value out of the tree."""
        span = (node.start, max(node.end, node.start + 1))
        frame.skip_value = True
        if not isinstance(node, ScalarNode):
            self._report("key-not-text", "a key must be one word or text, not a list or mapping", span)
        elif node.style is None and node.value == "<<":
            self._report("merge-key", "merge keys (<<) are not allowed; write the values again", span)
        elif node.value in frame.seen:
            self._report("duplicate-key", f"the key {shown(node.value)} stands here twice", span)
        else:
            frame.seen.add(node.value)
            frame.key, frame.skip_value = node, False

    def _refuse_decoration(self, event: yaml.NodeEvent, span: tuple[int, int]) -> None:
        if event.anchor is not None:
            self._report("anchor", "anchors (&) are not allowed; write the value where it is used", span)
        if getattr(event, "tag", None) is not None:
            self._report("tag", "tags (!) are not allowed; remove it", span)

    def _without_properties(self, event: yaml.ScalarEvent, span: tuple[int, int]) -> tuple[int, int]:
        return span if event.value or event.style else (span[1], span[1])

    def _syntax(self, error: yaml.MarkedYAMLError) -> None:
        self.root = None
        mark = error.problem_mark or error.context_mark
        offset = mark.index if mark is not None else 0
        offset = min(offset, len(self._document.text))
        # Imported here: that module needs `shown` of this one.
        from proxy.policy.yaml_words import plain_words

        problem = plain_words(error)
        self._report("syntax", problem, (offset, offset + 1 if offset < len(self._document.text) else offset))

    def _report(self, code: str, message: str, span: tuple[int, int]) -> None:
        if len(self.problems) < 100:
            self.problems.append(self._document.diagnostic(code, "error", message, span))


def scalars(node: Node | None, path: Path = ()) -> Iterator[tuple[Path, ScalarNode]]:
    """Every value of the tree with its path, in file order."""
    if isinstance(node, ScalarNode):
        yield path, node
    elif isinstance(node, MappingNode):
        for entry in node.entries:
            yield from scalars(entry.value, (*path, entry.key.value))
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            yield from scalars(item, (*path, index))
