"""What can be written where the cursor stands in a filter: fields, operators, values, filters by name. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ktui.answers import EventRow, FilterField
from ktui.editor.completion import Offer
from ktui.state import AppState

_TERM = re.compile(r"(?P<name>[A-Za-z_][A-Za-z_.]*)(?P<operator>>=|<=|!=|[:=><])(?P<values>.*)\Z", re.DOTALL)
_BARE = re.compile(r"[A-Za-z0-9_.*?/@+-]+\Z")
_NUMERIC = frozenset({"status", "number", "tokens", "duration", "money", "time"})
_OPERATORS = (
    (">", "more than"),
    (">=", "at least"),
    ("<", "less than"),
    ("<=", "at most"),
    ("=", "exactly"),
    (":", "low..high"),
)
_WORDS = (
    ("and", "both sides hold"),
    ("or", "one side holds"),
    ("not", "what follows does not hold"),
    ("has:", "the field is known"),
    ("since:", "not older than, such as 1h"),
    ("until:", "not younger than"),
)
_EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "status": ("2xx", "4xx", "5xx", "429", "499"),
    "duration": ("500ms", "1s", "2s", "5s", "10s"),
    "tokens": ("1k", "4k", "8k", "32k"),
    "money": ("0.001", "0.01", "0.1", "1"),
    "flag": ("true", "false"),
}
_SEEN_IN = 2_000
"""Rows looked through for values."""
Adder = Callable[[str, str | None], None]


@dataclass(frozen=True, slots=True)
class FilterOffers:
    """Offers for the characters `start:end` of the line."""

    start: int
    end: int
    offers: tuple[Offer, ...] = ()


def offers_at(
    text: str,
    cursor: int,
    fields: Sequence[FilterField],
    known: Mapping[str, Sequence[str]],
    named: Mapping[str, str],
) -> FilterOffers:
    """What can be written at `cursor`. `known`: values by field name; `named`: saved filters by their names."""
    start, end = _word(text, cursor)
    typed = text[start:cursor]
    term = _TERM.match(typed)
    if term is None:
        found = [*_names(typed, fields), *_keywords(typed, bool(text[:start].strip()))]
        if not text[:start].strip():
            found = [*_named(text[:cursor].strip(), named), *found]
        return FilterOffers(start, end, tuple(found))
    field = next((f for f in fields if term["name"] in (f.name, *f.aliases)), None)
    if field is None and term["name"] == "has":
        typed = term["values"]
        return FilterOffers(cursor - len(typed), end, (*_names(typed, fields, bare=True), *_kept(typed)))
    if field is None:
        return FilterOffers(cursor, cursor)
    *listed, value = term["values"].split(",")
    offers = (offer for offer in _values(value.lstrip('"'), field, known) if offer.insert not in listed)
    return FilterOffers(cursor - len(value), end, tuple(offers))


def _word(text: str, cursor: int) -> tuple[int, int]:
    """Where the word at `cursor` begins and ends; spaces inside quotes belong to it."""
    start, quoted = 0, False
    for index, character in enumerate(text[:cursor]):
        if character == '"':
            quoted = not quoted
        elif not quoted and (character.isspace() or character in "()"):
            start = index + 1
    if quoted:
        return start, cursor
    end = cursor
    while end < len(text) and not text[end].isspace() and text[end] not in "(),":
        end += 1
    return start, end


def _names(typed: str, fields: Sequence[FilterField], *, bare: bool = False) -> Iterable[Offer]:
    for field in fields:
        if typed == field.name and not bare and field.kind in _NUMERIC:
            yield from (
                Offer(f"{field.name}{op}", words, f"{field.name}{op}", "value") for op, words in _OPERATORS
            )
    low = typed.lower()
    ranked: list[tuple[bool, Offer]] = []
    for field in fields:
        name = next((n for n in (field.name, *field.aliases) if n.startswith(low)), None)
        if name is None and (not low or not any(low in n for n in (field.name, *field.aliases))):
            continue
        name = name or field.name
        insert = name if bare else name + (">" if field.kind in _NUMERIC - {"status"} else ":")
        if not (name == typed and field.kind in _NUMERIC and not bare):
            ranked.append(
                (not name.startswith(low), Offer(name, f"{field.example}  {field.doc}", insert, "key"))
            )
    yield from (offer for _, offer in sorted(ranked, key=lambda item: item[0]))


def _kept(typed: str) -> Iterable[Offer]:
    if "body".startswith(typed.lower()) and typed != "body":
        yield Offer("body", "the request's or the answer's body was kept", "body", "key")


def _keywords(typed: str, after: bool) -> Iterable[Offer]:
    for word, about in _WORDS:
        if (
            typed
            and word.startswith(typed.lower())
            and word != typed
            and (after or word not in ("and", "or"))
        ):
            yield Offer(word, about, word if word.endswith(":") else f"{word} ", "snippet")


def _named(typed: str, named: Mapping[str, str]) -> Iterable[Offer]:
    for name, text in named.items():
        if typed.lower() in name.lower():
            yield Offer(name, text, text, "snippet")


def _values(typed: str, field: FilterField, known: Mapping[str, Sequence[str]]) -> Iterable[Offer]:
    seen: dict[str, None] = dict.fromkeys((*known.get(field.name, ()), *field.values))
    if not seen:
        seen = dict.fromkeys(_EXAMPLES.get(field.kind, ()))
    low = typed.lower()
    fitting = [value for value in seen if low in value.lower() and value != typed]
    for value in sorted(fitting, key=lambda value: not value.lower().startswith(low)):
        yield Offer(value, "", _written(value), "value")


def _written(value: str) -> str:
    """The value as the language reads it: quoted where a character of it would mean something else."""
    if _BARE.match(value) and not ("*" in value or "?" in value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def known_values(state: AppState, rows: Sequence[EventRow]) -> dict[str, list[str]]:
    """Values that the state of the gateway and the newest rows have, by field name, most frequent first."""
    counts: dict[str, dict[str, int]] = {}

    def add(field: str, value: str | None, weight: int = 1) -> None:
        if value:
            of_field = counts.setdefault(field, {})
            of_field[value] = of_field.get(value, 0) + weight

    for split in state.splits:
        add("split", split.name)
        for phase in split.phases:
            add("phase", phase.name, 0)
        for arm in split.arms:
            add("variant", arm.tag)
            add("model", arm.model)
    for target in state.status.targets if state.status is not None else ():
        add("target", target.id)
        add("provider", target.provider)
        for model in target.models:
            if not set(model) & set("*?["):  # A pattern is no model.
                add("model", model, 0)
    for row in rows[-_SEEN_IN:]:
        _add_row(add, row)
    return {name: sorted(values, key=lambda value: -values[value]) for name, values in counts.items()}


def _add_row(add: Adder, row: EventRow) -> None:
    add("model", row.model)
    add("requested_model", row.requested_model)
    add("provider", row.provider)
    add("target", row.target)
    add("decision", row.decision)
    add("outcome", row.outcome)
    add("error", row.error)
    add("severity", row.severity)
    add("key", row.key)
    add("endpoint", row.endpoint)
    add("split", row.split)
    add("variant", row.tag)
    for policy in row.policies_triggered:
        add("policy", policy)
    for name, key in (("phase", "phase"), ("unit", "unit_kind")):
        value = row.metadata.get(key)
        add(name, value if isinstance(value, str) else None)
