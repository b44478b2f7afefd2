"""What can be written where the cursor stands: keys, kinds of policy, values, names the document knows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ktui.editor.fields import Field, Fields, Node
from ktui.editor.place import Place, Step, place_at

_PLAIN = re.compile(r"[A-Za-z_./@][A-Za-z0-9_./@:+-]*\Z")
_NOT_TEXT = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n", "~"})
_MODEL_KEYS = frozenset(
    {"model", "models", "requested_model", "preferred_model", "allowed_models", "blocked_models", "downgrade_to",
     "price_as", "fallback_models", "deployments", "prices", "pricing"}
)  # fmt: skip
MOST_OFFERS = 200


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing to write."""

    label: str
    detail: str
    """Half a line about it."""
    insert: str
    """What replaces the word, further lines included."""
    sort: Literal["key", "value", "snippet"]
    back: int = 0
    """How many characters before the end of `insert` the cursor is put."""


@dataclass(frozen=True, slots=True)
class Completion:
    """Offers for the word from `start` to `end` of a row, `typed` of which stand before the cursor."""

    row: int
    start: int
    end: int
    typed: str
    offers: tuple[Offer, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """Names from outside the document: model -> what is known of it, ids of targets, names of variables."""

    models: Mapping[str, str]
    targets: tuple[str, ...] = ()
    env: tuple[str, ...] = ()


def complete(fields: Fields, known: Known, lines: Sequence[str], row: int, column: int) -> Completion | None:
    """What can be written at a place (row and column from 0); None where nothing can be said."""
    place = place_at(lines, row, column)
    if place is None:
        return None
    # The word under the cursor is no name the document knows.
    without = [*lines[:row], lines[row][: place.start] + lines[row][place.end :], *lines[row + 1 :]]
    known = joined(known, names_in(without))
    if place.kind == "key":
        found = _keys(fields, known, place, lines)
    elif place.kind == "value":
        found = _values(fields, known, place, lines)
    else:
        nodes = fields.at(place.path)
        mappings = any("properties" in node for node in nodes)
        found = _keys(fields, known, place, lines) if mappings else _words(fields, known, place, nodes, lines)
    offers = _ranked(found, place.typed.strip("\"'"))
    if not offers:
        return None
    return Completion(row, place.start, place.end, place.typed, offers)


def _ranked(offers: Iterable[Offer], typed: str) -> tuple[Offer, ...]:
    """Those that begin so, then those with the letters inside; the order of the schema within each."""
    word = typed.lower()
    first = [offer for offer in offers if offer.label.lower().startswith(word)]
    inside = [offer for offer in offers if word and word in offer.label.lower()[1:] and offer not in first]
    return tuple((first + inside)[:MOST_OFFERS])


# -- keys


def _keys(fields: Fields, known: Known, place: Place, lines: Sequence[str]) -> list[Offer]:
    nodes = fields.at(place.path)
    listed = fields.item(nodes)
    if place.kind == "key" and listed and not any("properties" in node for node in nodes):
        return _items(fields, known, place, listed, lines)
    named = _names_of_keys(known, place, lines)
    if named is not None:
        return [Offer(name, detail, f"{_quoted(name)}: ", "key") for name, detail in named.items()]
    found = fields.fields(nodes, place.siblings)
    typed = place.typed.strip("\"'")
    offers = [
        _key(field, place, fields)
        for field in sorted(found.values(), key=lambda field: not field.required)
        if field.name not in place.siblings or field.name == typed
    ]
    if place.kind == "item" and not place.flow and not set(place.siblings) - {typed}:
        offers = [*_snippets(fields, nodes, place.indent), *offers]
    return [offer for offer in offers if offer.label != typed or offer.sort == "snippet"]


def _key(field: Field, place: Place, fields: Fields) -> Offer:
    detail = ("required · " if field.required else "") + (field.description or field.kind)
    if place.flow:
        opened = "{}" if field.kind == "mapping" else "[]" if field.kind.startswith("list") else ""
        return Offer(field.name, detail, f"{field.name}: {opened}", "key", back=1 if opened else 0)
    inner = "\n" + " " * (place.indent + 2)
    if field.kind == "list of mapping":
        return Offer(field.name, detail, f"{field.name}:{inner}- ", "key")
    if "list of" in field.kind:
        return Offer(field.name, detail, f"{field.name}: []", "key", back=1)
    if "mapping" in field.kind:
        return Offer(field.name, detail, f"{field.name}:{inner}", "key")
    return Offer(field.name, detail, f"{field.name}: ", "key")


def _items(
    fields: Fields, known: Known, place: Place, items: Sequence[Node], lines: Sequence[str]
) -> list[Offer]:
    """The beginning of a list's item, on a line of its own without the dash."""
    if place.flow:
        return []
    if any("properties" in node for node in items):
        snippets = _snippets(fields, items, place.indent + 2)
        inner = Place(
            "item", (*place.path, Step(None)), place.typed, place.start, place.end, indent=place.indent + 2
        )
        offers = snippets or _keys(fields, known, inner, lines)
    else:
        inner = Place(
            "item", (*place.path, Step(None)), place.typed, place.start, place.end, indent=place.indent
        )
        offers = _words(fields, known, inner, items, lines)
    return [Offer(offer.label, offer.detail, f"- {offer.insert}", offer.sort, offer.back) for offer in offers]


def _names_of_keys(known: Known, place: Place, lines: Sequence[str]) -> dict[str, str] | None:
    """Where keys are names: tags in weights, models in prices."""
    last = next((step.key for step in reversed(place.path) if step.key is not None), None)
    if place.path and place.path[-1].key is None:
        return None
    if last == "weights":
        return {tag: "tag of a variant" for tag in _tags(place, lines) if tag not in place.siblings}
    if last in ("prices", "pricing", "fallback_models", "deployments"):
        return {name: detail for name, detail in known.models.items() if name not in place.siblings}
    return None


# -- snippets


def _snippets(fields: Fields, nodes: Sequence[Node], indent: int) -> list[Offer]:
    """A whole policy of each kind, to be filled in."""
    found = []
    for kind, node in fields.kinds(nodes):
        body = "\n".join(_required(fields, node, indent, {"name", "type"}))
        head = f"name: \n{' ' * indent}type: {kind}"
        insert = head + ("\n" + body if body else "")
        detail = str(node["properties"]["type"].get("description", ""))
        found.append(Offer(f"{kind} …", detail, insert, "snippet", back=len(insert) - len("name: ")))
    return found


def _required(fields: Fields, node: Node, indent: int, given: Iterable[str]) -> list[str]:
    """The keys a mapping cannot do without, each on lines of its own; an A/B split gets two arms."""
    pad = " " * indent
    lines: list[str] = []
    for field in fields.fields([node], {}).values():
        if not field.required or field.name in given:
            continue
        items = fields.item(field.nodes)
        inner = [item for item in items if "properties" in item]
        if inner:
            lines.append(f"{pad}{field.name}:")
            keys = [f"{name}: " for name in inner[0].get("required", ())]
            lines += [f"{pad}  - {{{', '.join(keys).rstrip()}}}"] * (2 if field.name == "variants" else 1)
        else:
            lines.append(f"{pad}{field.name}: {'[]' if items and field.kind.startswith('list') else ''}")
    return lines


# -- values


def _values(fields: Fields, known: Known, place: Place, lines: Sequence[str]) -> list[Offer]:
    nodes = fields.at(place.path)
    last = place.path[-1]
    if last.key == "type" and (kinds := fields.kinds(fields.at(place.path[:-1]))):
        return [
            Offer(
                kind,
                str(node["properties"]["type"].get("description", "")),
                _typed(fields, kind, node, place),
                "value",
            )
            for kind, node in kinds
        ]
    return _words(fields, known, place, nodes, lines)


def _typed(fields: Fields, kind: str, node: Node, place: Place) -> str:
    """A kind of policy with the keys it cannot do without that are not there yet."""
    if place.flow:
        return kind
    more = _required(fields, node, place.indent, {"type", *place.siblings})
    return "\n".join([kind, *more])


def _words(
    fields: Fields, known: Known, place: Place, nodes: Sequence[Node], lines: Sequence[str]
) -> list[Offer]:
    key = next((step.key for step in reversed(place.path) if step.key is not None), "") or ""
    field = fields.field(place.path[: _last_key(place.path) + 1])
    default = field.default if field is not None else ""
    listed = fields.values(nodes)
    if listed:
        return [Offer(word, "default" if word == default else "", word, "value") for word in listed]
    names = _names(known, place, key, lines)
    if names:
        return [Offer(name, detail, _quoted(name), "value") for name, detail in names.items()]
    return [Offer(default, "default", _quoted(default), "value")] if default else []


def _names(known: Known, place: Place, key: str, lines: Sequence[str]) -> dict[str, str]:
    above = [step.key for step in place.path]
    if key in _MODEL_KEYS or "fallback_models" in above:
        return dict(known.models)
    if key == "target":
        return dict.fromkeys(known.targets, "target")
    if key == "env":
        return dict.fromkeys(known.env, "environment variable")
    if key == "phase":
        return dict.fromkeys(_phases(place, lines), "phase of this rollout")
    if key == "control":
        return dict.fromkeys(_tags(place, lines), "tag of a variant")
    if key == "id" and "targets" in above:
        return dict.fromkeys(("openai", "anthropic"), "vendor")
    return {}


def _last_key(path: Sequence[Step]) -> int:
    return max((index for index, step in enumerate(path) if step.key is not None), default=-1)


def _policy_lines(place: Place, lines: Sequence[str]) -> Sequence[str]:
    """The lines of the policy the place is in: told by its name, which no other policy has."""
    name = next((s.siblings.get("name", "") for s in place.path[2:] if s.siblings.get("name")), "")
    if not name:
        return lines
    # The name stands in the first lines of its policy; the next item at that indentation ends it.
    pattern = re.compile(rf"\s*(?:-\s+)?(?:\{{\s*)?name:\s*[\"']?{re.escape(name)}[\"']?\s*(?:[,#}}].*)?$")
    for row, line in enumerate(lines):
        if pattern.match(line):
            start = row
            while start and not lines[start].lstrip().startswith("-"):
                start -= 1
            indent = len(lines[start]) - len(lines[start].lstrip())
            end = row + 1
            while end < len(lines) and not (
                lines[end].strip()
                and len(lines[end]) - len(lines[end].lstrip()) <= indent
                and not lines[end].lstrip().startswith("#")
            ):
                end += 1
            return lines[start:end]
    return lines


def _tags(place: Place, lines: Sequence[str]) -> tuple[str, ...]:
    found = (re.findall(r"\btag:\s*[\"']?([^\s,\"'}#]+)", line) for line in _policy_lines(place, lines))
    return tuple(dict.fromkeys(tag for tags in found for tag in tags))


def _phases(place: Place, lines: Sequence[str]) -> tuple[str, ...]:
    own = _policy_lines(place, lines)
    at = next((row for row, line in enumerate(own) if re.match(r"\s*phases:", line)), None)
    if at is None:
        return ()
    found = (re.findall(r"\bname:\s*[\"']?([^\s,\"'}#]+)", line) for line in own[at:])
    return tuple(dict.fromkeys(name for names in found for name in names))


def _quoted(word: str) -> str:
    """As YAML needs it: a glob, a number or a truth value is text only within quotes."""
    if _PLAIN.match(word) and word.lower() not in _NOT_TEXT and not word.endswith(":") and ": " not in word:
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def names_in(lines: Sequence[str]) -> Known:
    """Models, ids of targets and names of variables the document itself tells."""
    text = "\n".join(lines)
    models = re.findall(r"\b(?:model|preferred_model|downgrade_to):\s*[\"']?([\w./:@-]+)", text)
    for inner in re.findall(r"\b(?:allowed_models|models):\s*\[([^\]]*)\]", text):
        models += [word.strip().strip("\"'") for word in inner.split(",")]
    in_file = {name: "named in this file" for name in models if name and "*" not in name}
    ids = re.findall(r"(?:^|[{\s-])id:\s*[\"']?([\w.-]+)", text)
    env = re.findall(r"\benv:\s*[\"']?([A-Za-z_]\w*)", text)
    return Known(in_file, tuple(dict.fromkeys(ids)), tuple(dict.fromkeys(env)))


def joined(first: Known, second: Known) -> Known:
    """All names of both; what `first` says of a model wins."""
    return Known(
        {**second.models, **first.models},
        tuple(dict.fromkeys((*first.targets, *second.targets))),
        tuple(dict.fromkeys((*first.env, *second.env))),
    )
