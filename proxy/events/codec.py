"""An event as one line of JSON (the journal) and as one row (the database), whatever values it carries."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from operator import attrgetter
from typing import Any

import msgspec

from proxy.events.bodies import read_encoded
from proxy.events.event import Bodies, Event
from proxy.policy.recorded import CHANGED

_APART = frozenset({"seq", "bodies"})
"""Given by the store, and kept in another table."""
FIELDS: tuple[str, ...] = tuple(f.name for f in fields(Event) if f.name not in _APART)
"""Names of the stored fields, in the order of the table's columns."""
MAX_EVENT_BYTES = 256 * 1024
"""Longest encoded event; a longer one has its texts cut."""
TEXT_LIMIT = 4_000
"""Characters kept of one text once an event is too long or holds a value that cannot be stored."""
_ITEM_LIMIT = 64
_DEPTH_LIMIT = 4
_INT64_MAX = 2**63 - 1
_KIND = {f.name: str(f.type).removesuffix(" | None") for f in fields(Event)}
_NULLABLE = frozenset(f.name for f in fields(Event) if str(f.type).endswith("| None"))
_REQUIRED = frozenset(
    (
        "id",
        "timestamp_ms",
        "endpoint",
        "requested_model",
        "model",
        "decision",
        "status",
        "outcome",
        "latency_ms",
    )
)

_DECIDED_FROM = ("endpoint", "requested_model", "stream", "draw", "key", "facts")

_encoder = msgspec.json.Encoder()
_values = attrgetter(*FIELDS)
_STREAM = FIELDS.index("stream")
_POLICIES = FIELDS.index("policies_triggered")
_DRAW = FIELDS.index("draw")
_FACTS = FIELDS.index("facts")
_METADATA = FIELDS.index("request_metadata")
_DROPPED = FIELDS.index("dropped_params")
_ATTEMPTS = FIELDS.index("attempt_log")


def prepare(event: Event) -> tuple[Event, bytes]:
    """`event` with every value storable (the same object when it already was), and its JSON."""
    try:
        payload = _encoder.encode(event)
        if _plain(event, payload):
            return event, payload
    except (ValueError, TypeError, OverflowError, RecursionError, msgspec.MsgspecError):
        # Named one by one because encoding is where hostile values show; what is left is cleaned below.
        payload = b""
    cleaned = clean(event)
    return cleaned, _encoder.encode(cleaned)


def _plain(event: Event, payload: bytes) -> bool:
    return (
        len(payload) <= MAX_EVENT_BYTES + (_encoded_bytes(event.bodies) if event.bodies is not None else 0)
        and b"\\u0000" not in payload
        and math.isfinite(event.latency_ms)
        and (event.ttft_ms is None or math.isfinite(event.ttft_ms))
        and (event.quality_score is None or math.isfinite(event.quality_score))
    )


def _encoded_bytes(bodies: Bodies) -> int:
    """About what `bodies` add to a journal line, where bytes are written as base64."""
    return sum(
        len(body.data) * 4 // 3 + 512 for body in (bodies.request, bodies.response) if body is not None
    )


def decode(payload: bytes) -> Event:
    """The event of one journal line. Raises ValueError when it is not one.

    Field values are not checked against their types: a line written by another version of this program may
    name an outcome this one does not know, and is kept as it is.
    """
    try:
        values = msgspec.json.decode(payload)
    except msgspec.DecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(values, dict) or not values.keys() >= _REQUIRED:
        raise ValueError("not an event")
    event = Event(**{name: values[name] for name in FIELDS if name in values})
    event.bodies = read_encoded(values.get("bodies"))
    return event


def clean(event: Event) -> Event:
    """A copy of `event` whose values have their types, fit 64-bit columns and are valid Unicode without NUL.

    A number that is not one becomes unknown where the field may be unknown, otherwise 0. Facts that are no
    longer those of the request are marked, so that no replay rests on them.
    """
    cleaned = replace(
        event, **{name: _clean_field(name, getattr(event, name)) for name in _KIND if name not in _APART}
    )
    if any(getattr(cleaned, name) != getattr(event, name) for name in _DECIDED_FROM):
        cleaned.facts[CHANGED] = True
    return cleaned


def _clean_field(name: str, value: Any) -> Any:
    if value is None and name in _NULLABLE:
        return None
    match _KIND[name]:
        case "int":
            return _clean_draw(value) if name == "draw" else _clean_int(value, name in _NULLABLE)
        case "float":
            return _clean_float(value, name in _NULLABLE)
        case "bool":
            return bool(value)
        case "list[str]":
            items = value if isinstance(value, Sequence) and not isinstance(value, str) else []
            return [clean_text(item) for item in items[:_ITEM_LIMIT]]
        case "list[dict[str, Any]]":
            entries = value if isinstance(value, list) else []
            trees = [_clean_tree(entry, 1) for entry in entries[:_ITEM_LIMIT]]
            return [tree for tree in trees if isinstance(tree, dict)]
        case "dict[str, Any]" | "dict[str, str]":
            tree = _clean_tree(value if isinstance(value, Mapping) else {}, 0)
            if name == "request_metadata":
                return {
                    key: item if isinstance(item, str) else clean_text(item) for key, item in tree.items()
                }
            return tree
        case _:
            return clean_text(value)


def _clean_draw(value: Any) -> int:
    return value & 0xFFFFFFFFFFFFFFFF if isinstance(value, int) else 0


def _clean_int(value: Any, nullable: bool) -> int | None:
    unknown = None if nullable else 0
    if isinstance(value, float):
        value = int(value) if math.isfinite(value) else unknown
    if not isinstance(value, int):
        return unknown
    if -_INT64_MAX <= value <= _INT64_MAX:
        return value
    # A count nobody can have reached says nothing; a clamp would be a number that looks true.
    return unknown


def _clean_float(value: Any, nullable: bool) -> float | None:
    unknown = None if nullable else 0.0
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return unknown
    return number if math.isfinite(number) else unknown


def clean_text(value: Any, limit: int = TEXT_LIMIT) -> str:
    """`value` as text that encoders and SQLite take (lone surrogates: `?`, NUL: U+FFFD), cut at `limit`."""
    text = value if isinstance(value, str) else str(value)
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd") if not _is_plain(text) else text


def _is_plain(text: str) -> bool:
    if "\x00" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _clean_tree(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if -_INT64_MAX <= value <= _INT64_MAX else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping) and depth < _DEPTH_LIMIT:
        pairs = list(value.items())[:_ITEM_LIMIT]
        return {clean_text(key, 256): _clean_tree(item, depth + 1) for key, item in pairs}
    if isinstance(value, (list, tuple)) and depth < _DEPTH_LIMIT:
        return [_clean_tree(item, depth + 1) for item in value[:_ITEM_LIMIT]]
    return clean_text(value)


def to_row(event: Event) -> list[Any]:
    """The columns of `event`, in the order of FIELDS."""
    row = list(_values(event))
    row[_STREAM] = 1 if row[_STREAM] else 0
    row[_POLICIES] = _json_text(row[_POLICIES]) if row[_POLICIES] else "[]"
    row[_FACTS] = _json_text(row[_FACTS]) if row[_FACTS] else "{}"
    row[_METADATA] = _json_text(row[_METADATA]) if row[_METADATA] else "{}"
    row[_DROPPED] = _json_text(row[_DROPPED]) if row[_DROPPED] else "[]"
    row[_ATTEMPTS] = _json_text(row[_ATTEMPTS]) if row[_ATTEMPTS] else "[]"
    draw = row[_DRAW]
    if draw > _INT64_MAX:
        # 64 unsigned bits in a signed column.
        row[_DRAW] = draw - 2**64
    return row


def from_row(row: Sequence[Any]) -> Event:
    """The event of a row that starts with `seq`, then FIELDS."""
    values = list(row[1:])
    values[_STREAM] = bool(values[_STREAM])
    values[_POLICIES] = msgspec.json.decode(values[_POLICIES])
    values[_FACTS] = msgspec.json.decode(values[_FACTS])
    values[_METADATA] = msgspec.json.decode(values[_METADATA])
    values[_DROPPED] = msgspec.json.decode(values[_DROPPED])
    values[_ATTEMPTS] = msgspec.json.decode(values[_ATTEMPTS])
    if values[_DRAW] < 0:
        values[_DRAW] += 2**64
    event = Event(*values)
    event.seq = row[0]
    return event


def _json_text(value: Any) -> str:
    return _encoder.encode(value).decode()
