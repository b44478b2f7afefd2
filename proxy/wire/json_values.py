"""Reading JSON values leniently, and writing them."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec


def load_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object in `data`, lone surrogates allowed; None when it is none."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            value = json.loads(data, parse_constant=_no_number, parse_float=_finite)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is out of range")
    return number


def is_cut(data: bytes | None) -> bool:
    """Whether the last data of a stream is a part of what it should be: it is neither JSON nor `[DONE]`."""
    if data is None or not (data := data.strip()) or data == b"[DONE]":
        return False
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True
    return False


def dump(value: Any) -> bytes:
    """`value` as compact JSON; what is not valid Unicode is escaped. `msgspec.Raw` stands in it as it is."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, msgspec.MsgspecError):
        return json.dumps(value, separators=(",", ":"), default=_raw).encode()


def _raw(value: object) -> Any:
    if isinstance(value, msgspec.Raw):
        return json.loads(bytes(value))
    raise TypeError(f"{type(value).__name__} is no JSON value")


def mapping(value: object, name: str) -> dict[str, Any]:
    """The object under `name`; an empty one when there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def items(value: object, name: str) -> list[Any]:
    """The list under `name`; an empty one when there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def text(value: object, name: str) -> str:
    """The string under `name`; an empty one when there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
