"""From a filter's text to its words."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from proxy.base.sanitise import sanitise

LONGEST = 4_000
"""Characters of a filter."""
_NAME = r"[A-Za-z_][A-Za-z0-9_]*(?:\.[^\s\"'():=<>!,]+)?"
_TERM = re.compile(rf"({_NAME})\s*(!=|>=|<=|:|=|>|<)\s*")
_WORD = re.compile(r"[^\s()\"',]+")
_SPACE = re.compile(r"\s+")
_UNSTORABLE = re.compile("[\0\ud800-\udfff\ufffe\uffff]")
"""SQLite ends a text at a NUL and takes the others for one another: they cannot be looked for."""

WordKind = Literal["(", ")", "and", "or", "not", "term", "text", "end"]
_KEYWORDS: dict[str, WordKind] = {"and": "and", "&&": "and", "or": "or", "||": "or", "not": "not", "!": "not"}


class FilterError(ValueError):
    """A filter that cannot be read: one sentence, and where (characters from 0, the end exclusive)."""

    def __init__(self, message: str, start: int, end: int) -> None:
        self.message = sanitise(message, 300)
        super().__init__(self.message)
        self.start = start
        self.end = max(end, start + 1)

    def __str__(self) -> str:
        return f"column {self.start + 1}: {self.message}"


@dataclass(frozen=True, slots=True)
class Value:
    """One value of a term; a quoted one is taken as it stands."""

    text: str
    quoted: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Word:
    """One word of a filter. `name` and `operator` belong to terms; `text` and `term` have values."""

    kind: WordKind
    start: int
    end: int
    name: str = ""
    operator: str = ""
    values: tuple[Value, ...] = ()


def words(text: str) -> list[Word]:
    """The words of `text`, ended by one of kind `end`. Raises FilterError."""
    if len(text) > LONGEST:
        raise FilterError(f"a filter may have {LONGEST} characters", LONGEST, len(text))
    unstorable = _UNSTORABLE.search(text)
    if unstorable is not None:
        code = ord(unstorable.group())
        named = f"the character U+{code:04X}" if code else "a NUL character"
        raise FilterError(f"a filter cannot have {named}", *unstorable.span())
    found: list[Word] = []
    place = 0
    while place < len(text):
        space = _SPACE.match(text, place)
        if space is not None:
            place = space.end()
            continue
        word = _word(text, place)
        found.append(word)
        place = word.end
    found.append(Word("end", len(text), len(text)))
    return found


def _word(text: str, place: int) -> Word:
    character = text[place]
    if character == "(":
        return Word("(", place, place + 1)
    if character == ")":
        return Word(")", place, place + 1)
    if character == "!" and not text.startswith("!=", place):
        return Word("not", place, place + 1)
    term = _TERM.match(text, place)
    if term is not None:
        values = _values(text, term.end(), listed=term.group(2) in (":", "=", "!="))
        if not values:
            message = f"{term.group(1)[:40]}{term.group(2)} needs a value"
            raise FilterError(message, place, term.end())
        return Word("term", place, values[-1].end, term.group(1).lower() if "." not in term.group(1) else term.group(1), term.group(2), values)  # fmt: skip
    value = _value(text, place)
    if value is None:
        raise FilterError(f"{character!r} has no meaning here; quote it to look for it", place, place + 1)
    keyword = None if value.quoted else _KEYWORDS.get(value.text.lower())
    if keyword is not None:
        return Word(keyword, value.start, value.end)
    return Word("text", value.start, value.end, values=(value,))


def _values(text: str, place: int, *, listed: bool) -> tuple[Value, ...]:
    values: list[Value] = []
    while (value := _value(text, place)) is not None:
        values.append(value)
        place = value.end
        if not listed or text[place : place + 1] != ",":
            break
        place += 1
    return tuple(values)


def _value(text: str, place: int) -> Value | None:
    quote = text[place : place + 1]
    if quote in ('"', "'") and quote:
        return _quoted(text, place, quote)
    word = _WORD.match(text, place)
    if word is None:
        return None
    return Value(word.group(), False, place, word.end())


def _quoted(text: str, place: int, quote: str) -> Value:
    """A quoted value; a backslash takes the character after it as it stands."""
    characters: list[str] = []
    index = place + 1
    while index < len(text):
        character = text[index]
        if character == "\\" and index + 1 < len(text):
            characters.append(text[index + 1])
            index += 2
            continue
        if character == quote:
            return Value("".join(characters), True, place, index + 1)
        characters.append(character)
        index += 1
    raise FilterError(f"this {quote} is not closed", place, len(text))
