"""Where in the document the cursor stands, told from indentation: also in a text that does not parse. Pure.

A file that is being typed is rarely whole, so this reads line by line: an entry belongs to the nearest line
above that is indented less. Brackets are followed as far as they stand below their key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

_KEY = r"""(?P<key>"[^"]*"|'[^']*'|[^\s#,\[\]{}"':&*!|>%@`-][^\s#,\[\]{}]*?)"""
_ENTRY = re.compile(rf"(?P<indent>[ \t]*)(?P<dashes>(?:-(?:[ \t]+|$))*)(?:{_KEY}(?P<colon>:)(?=\s|$))?")
_COMMENT = re.compile(r"(?:^|(?<=\s))#")
_BLOCK_SCALAR = re.compile(r"[|>][+-]?\d?[+-]?\s*(?:#.*)?$")


@dataclass(frozen=True, slots=True)
class Step:
    """One step down: into the value of `key` of a mapping with these `siblings`, or (None) into a list item."""

    key: str | None
    siblings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """What is being written: `key` of a mapping, `value` of a key, or `item`, the beginning of a list item."""

    kind: Literal["key", "value", "item"]
    path: tuple[Step, ...]
    """To the mapping (key), to the value (value), or into the item (item)."""
    typed: str
    """What stands between the word's start and the cursor."""
    start: int
    """Column where the word begins."""
    end: int
    """Column where the word under the cursor ends."""
    siblings: Mapping[str, str] = field(default_factory=dict)
    """Keys of the mapping the word would join, with their plain values."""
    flow: bool = False
    """Within brackets."""
    indent: int = 0
    """Column of the mapping's keys, for what is put on further lines."""


@dataclass(slots=True)
class _Entry:
    row: int
    column: int
    key: str | None
    value: str
    value_at: int
    parent: int


def place_at(lines: Sequence[str], row: int, column: int) -> Place | None:
    """The place of the cursor; None in a comment or in a text block."""
    if not 0 <= row < len(lines) or _in_comment(lines[row], column):
        return None
    entries, owners = _entries(tuple(lines))
    owner = owners.get(row)
    if owner is not None:
        entry = entries[owner[0]]
        return _flow_place(entries, owner[0], lines, row, column) if owner[1] == "flow" and entry else None
    here = [index for index, entry in enumerate(entries) if entry.row == row]
    if here:
        last = entries[here[-1]]
        if (
            last.key is not None
            and column >= last.value_at
            and lines[row][last.value_at - 1 : last.value_at].isspace()
        ):
            if last.value[:1] in ("[", "{") and column > _flow_start(last, lines)[1]:
                return _flow_place(entries, here[-1], lines, row, column)
            return _value_place(entries, here[-1], lines[row], column)
        if last.key is None and last.value[:1] in ("[", "{") and column > _flow_start(last, lines)[1]:
            return _flow_place(entries, here[-1], lines, row, column)
    return _block_place(entries, here, lines[row], row, column)


def path_of_key(lines: Sequence[str], row: int, column: int) -> tuple[tuple[Step, ...], str] | None:
    """Path and name of the key the cursor stands on or whose plain value it stands in; for help."""
    if 0 <= row < len(lines):
        # In the indentation or on the dash the line's first key is meant.
        column = max(column, len(lines[row]) - len(lines[row].lstrip(" -")))
    place = place_at(lines, row, column)
    if place is None:
        return None
    if place.kind == "key":
        word = _unquote(lines[row][place.start : place.end])
        return ((*place.path, Step(word, place.siblings)), word) if word else None
    keys = [index for index, step in enumerate(place.path) if step.key is not None]
    if not keys or (place.kind == "item" and not lines[row].strip(" -")):
        return None
    if place.kind == "item":
        entry = _ENTRY.match(lines[row])
        if entry is not None and entry["colon"]:
            word = _unquote(entry["key"])
            return (*place.path, Step(word, place.siblings)), word
    last = keys[-1]
    return place.path[: last + 1], place.path[last].key or ""


# -- blocks


@lru_cache(maxsize=4)
def _entries(lines: tuple[str, ...]) -> tuple[list[_Entry], dict[int, tuple[int, str]]]:
    """All keys and dashes, and for each row that goes on with an entry's value: whose, and of which sort.

    Kept for the next question about the same text: completion and help ask one after the other.
    """
    entries: list[_Entry] = []
    owners: dict[int, tuple[int, str]] = {}
    stack: list[int] = []
    row = 0
    while row < len(lines):
        before = len(entries)
        _read_line(lines[row], row, entries, stack)
        row += 1
        if len(entries) == before:
            continue
        last = entries[-1]
        sort = "text" if _BLOCK_SCALAR.match(last.value) else "flow" if last.value[:1] in ("[", "{") else ""
        depth = _depth(last.value, 0)
        while sort and row < len(lines) and (sort == "text" or depth > 0):
            line = lines[row]
            if line.strip() and _indent(line) <= last.column:
                break
            if sort == "text" and not line.strip() and not _goes_on(lines, row, last.column):
                break
            owners[row] = (len(entries) - 1, sort)
            depth = _depth(line, depth)
            row += 1
    return entries, owners


def _goes_on(lines: Sequence[str], row: int, column: int) -> bool:
    for line in lines[row:]:
        if line.strip():
            return _indent(line) > column
    return False


def _read_line(line: str, row: int, entries: list[_Entry], stack: list[int]) -> None:
    match = _ENTRY.match(line)
    if match is None or not line.strip() or line.lstrip().startswith("#"):
        return
    column = len(match["indent"])
    for dash in re.finditer(r"-[ \t]*", match["dashes"]):
        value_at = column + len(dash[0])
        _push(entries, stack, _Entry(row, column, None, _plain(line[value_at:]), value_at, -1))
        column = value_at
    if match["colon"]:
        after = match.end("colon")
        value_at = after + len(line[after:]) - len(line[after:].lstrip())
        if not line[after:].strip():
            value_at = after + 1
        key = _unquote(match["key"])
        _push(entries, stack, _Entry(row, column, key, _plain(line[after:]), value_at, -1))


def _push(entries: list[_Entry], stack: list[int], entry: _Entry) -> None:
    while stack:
        above = entries[stack[-1]]
        # A list may stand as far left as the key it belongs to.
        if above.column < entry.column or (
            above.column == entry.column and entry.key is None and above.key is not None and not above.value
        ):
            break
        stack.pop()
    entry.parent = stack[-1] if stack else -1
    entries.append(entry)
    stack.append(len(entries) - 1)


def _path(entries: Sequence[_Entry], index: int) -> tuple[Step, ...]:
    steps: list[Step] = []
    while index >= 0:
        entry = entries[index]
        steps.append(Step(entry.key, _siblings(entries, entry.parent) if entry.key is not None else {}))
        index = entry.parent
    return tuple(reversed(steps))


def _siblings(entries: Sequence[_Entry], parent: int) -> dict[str, str]:
    return {entry.key: entry.value for entry in entries if entry.parent == parent and entry.key is not None}


def _value_place(entries: Sequence[_Entry], index: int, line: str, column: int) -> Place:
    entry = entries[index]
    end = max(entry.value_at + len(entry.value), column)
    start = min(entry.value_at, column)
    typed = line[start:column]
    siblings = _siblings(entries, entry.parent)
    return Place("value", _path(entries, index), typed, start, end, siblings, indent=entry.column)


def _block_place(
    entries: Sequence[_Entry], here: Sequence[int], line: str, row: int, column: int
) -> Place | None:
    match = _ENTRY.match(line)
    assert match is not None  # Every part of the pattern may be empty.
    word_at = match.end("dashes")
    if column < word_at and line.strip():
        return None
    start = min(word_at, column) if line.strip() else column
    end = start
    while end < len(line) and not line[end].isspace() and line[end : end + 2] != ": " and line[end:] != ":":
        end += 1
    dashes = [index for index in here if entries[index].key is None]
    indent = start
    parent = dashes[-1] if dashes else _parent_for(entries, row, start)
    typed = line[start:column]
    if column > end:
        return None
    siblings = _siblings(entries, parent)
    kind: Literal["key", "item"] = "item" if dashes else "key"
    return Place(kind, _path(entries, parent), typed, start, end, siblings, indent=indent)


def _parent_for(entries: Sequence[_Entry], row: int, column: int) -> int:
    above = [index for index, entry in enumerate(entries) if entry.row < row]
    for index in reversed(above):
        if entries[index].column < column:
            return index
        column = min(column, entries[index].column)
    return -1


# -- brackets


@dataclass(slots=True)
class _Frame:
    mapping: bool
    key: str | None = None
    pairs: dict[str, str] = field(default_factory=dict)
    word: str = ""
    word_at: tuple[int, int] | None = None

    def close_word(self) -> None:
        """A comma or the end: what stood there is a value, or a key without one."""
        if self.mapping:
            word = _unquote(self.word.strip())
            if self.key is not None:
                self.pairs[self.key] = word
            elif word:
                self.pairs.setdefault(word, "")
        self.key, self.word, self.word_at = None, "", None


def _flow_start(entry: _Entry, lines: Sequence[str]) -> tuple[int, int]:
    line = lines[entry.row]
    return entry.row, line.index(entry.value[0], entry.value_at) if entry.value else entry.value_at


def _flow_place(
    entries: Sequence[_Entry], index: int, lines: Sequence[str], row: int, column: int
) -> Place | None:
    entry = entries[index]
    start_row, start_column = _flow_start(entry, lines)
    frames: list[_Frame] = []
    for at in range(start_row, row + 1):
        begin = start_column if at == start_row else 0
        stop = column if at == row else len(lines[at])
        if not _read_flow(lines[at], at, begin, stop, frames):
            return None
    if not frames:
        return None
    top = frames[-1]
    steps = list(_path(entries, index))
    # The rest of the mapping tells which keys are there already.
    later = _Frame(top.mapping, top.key, dict(top.pairs), top.word, top.word_at)
    rest = [later]
    word_end = _word_end(lines[row], column)
    _read_flow(lines[row], row, column, len(lines[row]), rest, only_top=True)
    if rest:
        rest[0].close_word()
    for frame in frames:
        if not frame.mapping:
            steps.append(Step(None))
        elif frame.key is not None or frame is not top:
            pairs = later.pairs if frame is top else frame.pairs
            steps.append(Step(frame.key, pairs))
    start = top.word_at[1] if top.word_at is not None and top.word_at[0] == row else column
    typed = lines[row][start:column]
    siblings = {
        key: value for key, value in later.pairs.items() if key != _unquote(lines[row][start:word_end])
    }
    kind: Literal["key", "value", "item"] = (
        "item" if not top.mapping else "value" if top.key is not None else "key"
    )
    if kind == "value":
        siblings = dict(later.pairs)
    return Place(kind, tuple(steps), typed, start, word_end, siblings, flow=True, indent=start)


def _word_end(line: str, column: int) -> int:
    end = column
    while (
        end < len(line)
        and line[end] not in ",[]{}#"
        and line[end : end + 2] != ": "
        and not line[end].isspace()
    ):
        end += 1
    return end


def _read_flow(
    line: str, row: int, begin: int, stop: int, frames: list[_Frame], *, only_top: bool = False
) -> bool:
    """Reads brackets of a stretch of a line; False when the outermost one was closed."""
    quote = ""
    deeper = 0
    for at in range(begin, stop):
        character = line[at]
        top = frames[-1] if frames else None
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and (top is None or not top.word.strip()):
            quote = character
        elif character == "#" and at and line[at - 1].isspace():
            return True
        elif character in "[{":
            if only_top:
                deeper += 1
                continue
            frames.append(_Frame(character == "{"))
            continue
        elif character in "]}":
            if only_top and deeper:
                deeper -= 1
                continue
            if top is not None:
                top.close_word()
                frames.pop()
            if not frames:
                return False
            continue
        if top is None or deeper:
            continue
        _read_character(character, line, row, at, top, quoted=bool(quote))
    return True


def _read_character(character: str, line: str, row: int, at: int, top: _Frame, *, quoted: bool) -> None:
    if not quoted and character == ",":
        top.close_word()
    elif (
        not quoted
        and character == ":"
        and top.mapping
        and top.key is None
        and (at + 1 >= len(line) or line[at + 1] in " \t,]}[{")
    ):
        top.key, top.word, top.word_at = _unquote(top.word.strip()), "", None
    elif not character.isspace() or top.word:
        if not top.word:
            top.word_at = (row, at)
        top.word += character


# -- words


def _depth(text: str, depth: int) -> int:
    quote = ""
    for at, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "\"'" and (at == 0 or text[at - 1] in " ,[{:"):
            quote = character
        elif character == "#" and (at == 0 or text[at - 1].isspace()):
            break
        elif character in "[{":
            depth += 1
        elif character in "]}":
            depth -= 1
    return depth


def _in_comment(line: str, column: int) -> bool:
    place = comment_at(line)
    return place is not None and column > place


def comment_at(line: str) -> int | None:
    """Column where a comment of the line begins."""
    for match in _COMMENT.finditer(line):
        before = line[: match.start()]
        if before.count('"') % 2 == 0 and before.count("'") % 2 == 0:
            return match.start()
    return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" \t"))


def _plain(text: str) -> str:
    comment = comment_at(text)
    text = text[:comment].strip() if comment is not None else text.strip()
    return text if text[:1] in ("[", "{", "|", ">") else _unquote(text)


def _unquote(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
