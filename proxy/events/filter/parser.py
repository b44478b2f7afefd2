"""From words to an expression: `or` binds weakest, then `and` (or nothing between two terms), then `not`."""

from __future__ import annotations

import difflib
import re

from proxy.events.filter.expression import All, Any, Contains, Expression, Has, Metadata, Not
from proxy.events.filter.fields import BODY, FIELDS, Field
from proxy.events.filter.lexer import FilterError, Value, Word, words
from proxy.events.filter.values import condition, is_span_range, split_globs, time_range

DEEPEST = 12
"""Parentheses and nots within each other: SQLite's own parser may give up at 17."""
MOST_TERMS = 100
MOST_VALUES = 300
"""Values of all terms together: each may become a condition of its own, and SQLite takes 1,000 of them."""
_METADATA = re.compile(r"(?:metadata|meta)\.(.+)\Z", re.IGNORECASE)


def parse(text: str, now_ms: int) -> Expression:
    """The expression of `text`; an empty one is `All(())`. `now_ms`: what spans are counted back from.

    Raises FilterError, which says where.
    """
    return _Parser(words(text), now_ms).whole()


class _Parser:
    def __init__(self, found: list[Word], now_ms: int) -> None:
        self._words = found
        self._now_ms = now_ms
        self._next = 0
        self._terms = self._values = 0

    def whole(self) -> Expression:
        if self._peek.kind == "end":
            return All(())
        expression = self._either(0)
        word = self._peek
        if word.kind != "end":
            message = "this ) closes nothing" if word.kind == ")" else "something is missing before this"
            raise FilterError(message, word.start, word.end)
        return expression

    @property
    def _peek(self) -> Word:
        return self._words[self._next]

    def _take(self) -> Word:
        word = self._words[self._next]
        self._next += 1
        return word

    def _either(self, depth: int) -> Expression:
        parts = [self._every(depth)]
        while self._peek.kind == "or":
            self._take()
            parts.append(self._every(depth))
        return parts[0] if len(parts) == 1 else Any(tuple(parts))

    def _every(self, depth: int) -> Expression:
        parts = [self._negated(depth)]
        while self._peek.kind in ("and", "not", "(", "term", "text"):
            if self._peek.kind == "and":
                self._take()
            parts.append(self._negated(depth))
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _negated(self, depth: int) -> Expression:
        if depth > DEEPEST:
            raise FilterError(
                f"more than {DEEPEST} parentheses and nots within each other",
                self._peek.start,
                self._peek.end,
            )
        if self._peek.kind == "not":
            self._take()
            return Not(self._negated(depth + 1))
        return self._single(depth)

    def _single(self, depth: int) -> Expression:
        word = self._take()
        self._terms += 1
        if self._terms > MOST_TERMS:
            raise FilterError(f"more than {MOST_TERMS} terms", word.start, word.end)
        self._values += len(word.values)
        if self._values > MOST_VALUES:
            raise FilterError(f"more than {MOST_VALUES} values", word.start, word.end)
        if word.kind == "(":
            inner = self._either(depth + 1)
            if self._take().kind != ")":
                raise FilterError("this ( is not closed", word.start, word.end)
            return inner
        if word.kind == "term":
            return self._term(word)
        if word.kind == "text":
            return self._text(word.values[0])
        before = self._words[self._next - 2] if self._next > 1 else word
        if before is word and word.kind in ("and", "or"):
            raise FilterError(f"{word.kind} needs a term before it", word.start, word.end)
        if before.kind in ("and", "or", "not"):
            raise FilterError(f"{before.kind} needs a term after it", before.start, before.end)
        raise FilterError("a term is missing here", word.start, word.end)

    def _text(self, value: Value) -> Expression:
        if not value.quoted and is_span_range(value.text):
            return time_range(FIELDS["time"], value, self._now_ms)
        needle = "".join(character.lower() if character.isascii() else character for character in value.text)
        if not needle:
            raise FilterError("an empty text is in everything", value.start, value.end)
        return Contains(needle)

    def _term(self, word: Word) -> Expression:
        metadata = _METADATA.match(word.name)
        if metadata is not None:
            if word.operator not in (":", "=", "!="):
                raise FilterError("metadata is text: use : or !=", word.start, word.end)
            found: Expression = Metadata(metadata.group(1), *split_globs(word.values))
            return Not(found) if word.operator == "!=" else found
        if word.name == "has":
            return _any_of([Has(_known(value.text.lower(), value)) for value in word.values])
        if word.name in ("since", "until"):
            return condition(FIELDS["time"], ">=" if word.name == "since" else "<", word.values, self._now_ms)
        start = Value(word.name, False, word.start, word.start + len(word.name))
        field = _field(word.name, start)
        if word.operator == "!=":
            return Not(condition(field, "=", word.values, self._now_ms))
        return condition(field, word.operator, word.values, self._now_ms)


def _any_of(parts: list[Has]) -> Expression:
    return parts[0] if len(parts) == 1 else Any(tuple(parts))


def _known(name: str, place: Value) -> Field:
    return BODY if name == BODY.name else _field(name, place)


def _field(name: str, place: Value) -> Field:
    field = FIELDS.get(name)
    if field is not None:
        return field
    close = difflib.get_close_matches(name, [*FIELDS, "has", "since", "until", "metadata"], 1, 0.6)
    hint = f"did you mean {close[0]}?" if close else "kt events fields lists those there are"
    raise FilterError(f"there is no field {name[:40]!r}; {hint}", place.start, place.end)
