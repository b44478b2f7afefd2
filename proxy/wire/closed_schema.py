"""JSON schemas in the form that Anthropic's structured output takes.

Objects are closed and must say their properties; schemas must not refer to themselves; of the limits on
numbers, lengths and counts none is taken. Those are told to the model in the description instead, so that it
can still follow them. Source: the vendor's page on structured outputs.
"""

from __future__ import annotations

from typing import Any

import msgspec

_PLAIN = frozenset({"string", "integer", "number", "boolean", "null"})
_FORMATS = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"}
)
_LISTS_OF_SCHEMAS = {"anyOf": "anyOf", "oneOf": "anyOf", "allOf": "allOf"}
_KEPT = frozenset({"type", "enum", "const", "description", "title"})
_DEEPEST = 64


class _OtherFormError(Exception):
    """The schema cannot be brought into that form."""


def closed_schema(schema: dict[str, Any]) -> dict[str, Any] | None:
    """`schema` in that form; None when it says what the form cannot (open objects, recursion)."""
    try:
        closed = _closed(schema, 0)
    except _OtherFormError:
        return None
    return None if _refers_to_itself(closed) else closed


def _closed(schema: Any, depth: int) -> dict[str, Any]:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        raise _OtherFormError
    made: dict[str, Any] = {}
    told: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _LISTS_OF_SCHEMAS and isinstance(value, list):
            made[_LISTS_OF_SCHEMAS[name]] = [_closed(inner, depth + 1) for inner in value]
        elif name in ("$defs", "definitions", "properties") and isinstance(value, dict):
            made[name] = {key: _closed(inner, depth + 1) for key, inner in value.items()}
        elif name == "items":
            made[name] = _closed(value, depth + 1)
        elif name in _KEPT or _is_taken(name, value):
            made[name] = value
        elif name not in ("$schema", "$id", "additionalProperties"):
            told[name] = value
    _close(schema, made)
    if told:
        limits = msgspec.json.encode(told).decode()
        made["description"] = "\n\n".join(filter(None, (made.get("description"), limits)))
    return made


def _is_taken(name: str, value: Any) -> bool:
    return (
        (name == "$ref" and isinstance(value, str) and value.startswith("#"))
        or (name == "required" and isinstance(value, list))
        or (name == "format" and isinstance(value, str) and value in _FORMATS)
        or (name == "minItems" and value in (0, 1))
    )


def _close(schema: dict[str, Any], made: dict[str, Any]) -> None:
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if kind is not None and not all(isinstance(one, str) for one in kinds):
        raise _OtherFormError
    if "object" in kinds:
        if schema.get("additionalProperties") is not False:
            raise _OtherFormError
        made["additionalProperties"] = False
        made.setdefault("properties", {})
    elif kind is None:
        if not made.keys() & {"$ref", "enum", "const", "anyOf", "allOf"}:
            raise _OtherFormError
    elif not set(kinds) <= _PLAIN | {"array"}:
        raise _OtherFormError


def _refers_to_itself(schema: dict[str, Any]) -> bool:
    """Whether following references can come back to where it began."""
    refers: dict[str, set[str]] = {
        "#": _references({k: v for k, v in schema.items() if k not in _DEFINITIONS})
    }
    for place in _DEFINITIONS:
        for name, inner in schema.get(place, {}).items():
            refers[f"#/{place}/{name}"] = _references(inner)
    return any(_leads_back(name, refers) for name in refers)


_DEFINITIONS = ("$defs", "definitions")


def _references(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(_references, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(_references, value.values()))
    return found | {value["$ref"]} if isinstance(value.get("$ref"), str) else found


def _leads_back(start: str, refers: dict[str, set[str]]) -> bool:
    seen: set[str] = set()
    ahead = list(refers[start])
    while ahead:
        name = ahead.pop()
        if name == start:
            return True
        if name not in seen:
            seen.add(name)
            ahead.extend(refers.get(name, ()))
    return False
