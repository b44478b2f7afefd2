"""What the JSON Schema of a policy file says of a place in it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ktui.editor.place import Step

Node = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A key that may stand at a place."""

    name: str
    description: str
    kind: str
    """Type in words: `number`, `list of text`, `mapping`."""
    required: bool
    default: str
    """As it would be written; empty when there is none."""
    values: tuple[str, ...]
    """Allowed values, of an enumeration or a truth value."""
    bounds: str
    """Smallest and greatest number, in words."""
    nodes: tuple[Node, ...]
    """Schemas of its value."""


class Fields:
    """Looks places up in one schema."""

    def __init__(self, schema: Node) -> None:
        self._schema = schema

    def at(self, path: Sequence[Step]) -> tuple[Node, ...]:
        """The schemas of what stands at `path`; none for a place the schema does not know."""
        nodes = self._plain([self._schema])
        for step in path:
            nodes = self._plain(self._below(nodes, step))
        return nodes

    def fields(self, nodes: Iterable[Node], siblings: Mapping[str, str]) -> dict[str, Field]:
        """The keys a mapping of one of these schemas may have, given those it has."""
        found: dict[str, Field] = {}
        for node in _matching([node for node in nodes if "properties" in node], siblings):
            for name, schema in node["properties"].items():
                field = self._field(name, schema, name in node.get("required", ()))
                other = found.get(name)
                if other is not None and other.values != field.values:
                    # `type` of several kinds of policy: each brings its own names.
                    values = tuple(dict.fromkeys((*other.values, *field.values)))
                    field = Field(
                        name, "", field.kind, field.required, "", values, "", other.nodes + field.nodes
                    )
                found.setdefault(name, field)
                found[name] = field
        return found

    def field(self, path: Sequence[Step]) -> Field | None:
        """The key at the end of `path`."""
        if not path or path[-1].key is None:
            return None
        last = path[-1]
        above = self.at(path[:-1])
        fields = self.fields(above, last.siblings)
        if last.key in fields:
            return fields[last.key]
        open_ended = self._plain(self._below(above, last))
        return self._field(last.key or "", {"anyOf": list(open_ended)}, False) if open_ended else None

    def values(self, nodes: Iterable[Node]) -> tuple[str, ...]:
        """What may be written for one of these schemas, as far as it is enumerated."""
        found: dict[str, None] = {}
        for node in nodes:
            if "enum" in node:
                found.update(dict.fromkeys(_spelled(value) for value in node["enum"]))
            elif "const" in node:
                found[_spelled(node["const"])] = None
            elif node.get("type") == "boolean":
                found.update({"true": None, "false": None})
        return tuple(found)

    def kinds(self, nodes: Iterable[Node]) -> tuple[tuple[str, Node], ...]:
        """The kinds of policy among these schemas, by the name their `type` has first."""
        return tuple(
            (str(node["properties"]["type"]["enum"][0]), node)
            for node in nodes
            if "enum" in node.get("properties", {}).get("type", {})
        )

    def item(self, nodes: Iterable[Node]) -> tuple[Node, ...]:
        """The schemas of the items of a list."""
        return self._plain(self._below(nodes, Step(None)))

    # -- schemas

    def _plain(self, nodes: Iterable[Node]) -> tuple[Node, ...]:
        return tuple(node for given in nodes for node in self._choices(given) if node.get("type") != "null")

    def _choices(self, node: Node) -> Iterator[Node]:
        if "$ref" in node:
            name = str(node["$ref"]).rpartition("/")[2]
            yield from self._choices(self._schema.get("$defs", {}).get(name, {}))
            return
        inner = [choice for word in ("anyOf", "oneOf", "allOf") for choice in node.get(word, ())]
        if not inner:
            yield node
        for choice in inner:
            yield from self._choices(choice)

    def _below(self, nodes: Iterable[Node], step: Step) -> list[Node]:
        if step.key is None:
            return [node["items"] for node in nodes if isinstance(node.get("items"), Mapping)]
        found: list[Node] = []
        for node in _matching(list(nodes), step.siblings):
            properties = node.get("properties", {})
            if step.key in properties:
                found.append(properties[step.key])
            elif isinstance(node.get("additionalProperties"), Mapping):
                found.append(node["additionalProperties"])
        return found

    def _field(self, name: str, schema: Node, required: bool) -> Field:
        nodes = self._plain([schema])
        own = schema.get("description") or next((n["description"] for n in nodes if n.get("description")), "")
        default = schema.get("default")
        return Field(
            name,
            " ".join(str(own).split()),
            " or ".join(dict.fromkeys(self._word(node) for node in nodes)),
            required,
            "" if default is None or default in ([], "") else _spelled(default),
            self.values(nodes),
            _bounds(nodes),
            nodes,
        )

    def _word(self, node: Node) -> str:
        sort = node.get("type")
        if "enum" in node:
            return "one of"
        if sort == "array":
            inner = dict.fromkeys(self._word(item) for item in self.item([node]))
            return f"list of {' or '.join(inner) or 'anything'}"
        if sort == "object":
            values = node.get("additionalProperties")
            if isinstance(values, Mapping) and values:
                inner = dict.fromkeys(self._word(item) for item in self._plain([values]))
                return f"mapping to {' or '.join(inner)}"
            return "mapping"
        return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(
            str(sort), str(sort or "anything")
        )


@cache
def policy_fields() -> Fields:
    """The fields of a policy file. The first call takes the time of building the schema (some 100 ms)."""
    from proxy.policy.schema import json_schema

    return Fields(json_schema())


def _matching(nodes: list[Node], siblings: Mapping[str, str]) -> list[Node]:
    """Of several kinds of policy the one its `type` names; all, where it names none."""
    named = siblings.get("type", "")
    chosen = [
        node
        for node in nodes
        if named in map(str, node.get("properties", {}).get("type", {}).get("enum", ()))
    ]
    return chosen or nodes


def _bounds(nodes: Iterable[Node]) -> str:
    for node in nodes:
        low = node.get("minimum", node.get("exclusiveMinimum"))
        high = node.get("maximum", node.get("exclusiveMaximum"))
        if low is None and high is None:
            continue
        words = "" if low is None else f"{'above' if 'exclusiveMinimum' in node else 'from'} {low:,}"
        if high is not None:
            words += f"{' ' if words else ''}{'below' if 'exclusiveMaximum' in node else 'to'} {high:,}"
        return words
    return ""


def _spelled(value: object) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
