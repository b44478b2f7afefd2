"""Values as YAML text, in flow or block style."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Union

from proxy.policy.text_edits import spell_scalar

Value = Union[str, "Sequence[Value]", "Mapping[str, Value]"]
"""A text (numbers and words are texts too; the schema types them), a list or a mapping."""


def spell_flow(value: Value) -> str:
    """`value` on one line."""
    if isinstance(value, str):
        return spell_scalar(value, None)
    if isinstance(value, Mapping):
        pairs = (f"{spell_scalar(key, None)}: {spell_flow(inner)}" for key, inner in value.items())
        return "{" + ", ".join(pairs) + "}"
    return "[" + ", ".join(spell_flow(inner) for inner in value) + "]"


def spell_item(value: Value) -> list[str]:
    """`value` as an item of a block list: its lines, the first with the dash, the rest indented below it."""
    if isinstance(value, str) or not value:
        return [f"- {spell_flow(value)}"]
    lines = list(_lines(value))
    return [f"- {lines[0]}", *(f"  {line}" for line in lines[1:])]


def spell_entry(key: str, value: Value) -> list[str]:
    """`key` and `value` as lines of a block mapping."""
    name = spell_scalar(key, None)
    if isinstance(value, str) or not value:
        return [f"{name}: {spell_flow(value)}"]
    return [f"{name}:", *(f"  {line}" for line in _lines(value))]


def _lines(value: Value) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from spell_entry(key, inner)
    else:
        for inner in value:
            yield from spell_item(inner)
