"""JSON Schema (2020-12, which OpenAPI 3.1 uses) written short."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
WHOLE: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
FLAG: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
MONEY: Schema = {
    "type": "string",
    "pattern": r"^-?\d+(\.\d{1,9})?$",
    "description": "Dollars as a decimal text, so that no digit is lost.",
}
TEXTS: Schema = {"type": "array", "items": TEXT}
ANY_OBJECT: Schema = {"type": "object"}


def obj(fields: dict[str, Schema], optional: tuple[str, ...] = (), more: bool = False) -> Schema:
    """An object of these fields, all there but the `optional` ones; with `more`, there may be others."""
    return {
        "type": "object",
        "properties": fields,
        "required": [name for name in fields if name not in optional],
        **({} if more else {"additionalProperties": False}),
    }


def listed(items: Schema) -> Schema:
    """An array of them."""
    return {"type": "array", "items": items}


def mapping(values: Schema) -> Schema:
    """An object whose names are data."""
    return {"type": "object", "additionalProperties": values}


def maybe(schema: Schema) -> Schema:
    """That, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def one_of(*values: str) -> Schema:
    """One of these texts."""
    return {"type": "string", "enum": list(values)}


def text(most: int, least: int = 0) -> Schema:
    """A text of so many characters."""
    return {"type": "string", "minLength": least, "maxLength": most}


def between(low: float, high: float) -> Schema:
    """A number in that range, both ends included."""
    return {"type": "number", "minimum": low, "maximum": high}


def ref(name: str) -> Schema:
    """A named schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def said(schema: Schema, words: str) -> Schema:
    """`schema` with a description."""
    return {**schema, "description": words}
