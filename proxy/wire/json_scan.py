"""Where the values of a JSON object stand, so that one can be replaced without touching any other byte.

The whole text is validated (and refused when anything in it is not JSON), but only keys are decoded. Offsets
come from walking the text along the values the validating decoder found, never from a search: a string that
merely looks like a key cannot mislead it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])
_SPACE = re.compile(rb"[ \t\n\r]*")
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)
_SCALAR = re.compile(rb"[^,\]} \t\n\r]+")


class ScanError(ValueError):
    """The text is not one strict JSON object. Its argument is a sentence."""


class Span(msgspec.Struct, frozen=True, gc=False):
    """Bytes `start:end` of the text."""

    start: int
    end: int


class Scan(msgspec.Struct, frozen=True):
    """A JSON object and where its own values stand (not those nested deeper)."""

    text: bytes
    open: int
    """Offset just behind the opening brace."""
    values: dict[str, Span]
    """By decoded key; for a key that stands twice, the last."""
    repeated: frozenset[str]
    """Keys that stand more than once."""

    def raw(self, key: str) -> bytes | None:
        """The bytes of a value; None when the key is absent."""
        span = self.values.get(key)
        return None if span is None else self.text[span.start : span.end]


def scan_object(text: bytes) -> Scan:
    """Read `text` as one JSON object.

    Raises ScanError: not JSON, NaN, bytes behind the value, not an object.
    """
    try:
        raws = _DECODER.decode(text)
    except msgspec.ValidationError:
        raise ScanError("the body must be a JSON object") from None
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise ScanError(f"the body is not valid JSON: {reason[:1].lower()}{reason[1:]}") from None
    except UnicodeDecodeError:
        raise ScanError("the body is not valid JSON: it is not UTF-8") from None
    except RecursionError:
        raise ScanError("the body is nested too deeply") from None
    return _walk(text, raws)


def _walk(text: bytes, raws: dict[str, msgspec.Raw]) -> Scan:
    """Step from key to value to key; `text` is known to be valid."""
    opened = position = _after(text, 0) + 1
    values: dict[str, Span] = {}
    repeated: set[str] = set()
    position = _after(text, position)
    while text[position] != 0x7D:  # }
        quoted = _STRING.match(text, position)
        if quoted is None:
            raise ScanError("the body is not valid JSON: a key is missing")
        word = quoted.group()
        key = msgspec.json.decode(word, type=str) if b"\\" in word else word[1:-1].decode()
        start = _after(text, _after(text, quoted.end()) + 1)
        end = _value_end(text, start, raws[key])
        if key in values:
            repeated.add(key)
        values[key] = Span(start, end)
        position = _after(text, end)
        if text[position] == 0x2C:  # ,
            position = _after(text, position + 1)
    return Scan(text, opened, values, frozenset(repeated))


def _after(text: bytes, position: int) -> int:
    if text[position] > 0x20:
        return position
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _value_end(text: bytes, start: int, raw: msgspec.Raw) -> int:
    """End of the value at `start`.

    `raw` is what the decoder found under this key. If the text at `start` begins with it, it is this value:
    strings, arrays and objects end themselves, and a number or word must not go on behind it. Otherwise the
    key stands twice and `raw` is another of its values: then the value is stepped over token by token.
    """
    end = start + len(raw)
    if text.startswith(raw, start) and (text[start] in b'"[{' or not _SCALAR.match(text, end)):
        return end
    if text[start] in b'"':
        match = _STRING.match(text, start)
    elif text[start] in b"[{":
        return _nested_end(text, start)
    else:
        match = _SCALAR.match(text, start)
    if match is None:
        raise ScanError("the body is not valid JSON: a value is missing")
    return match.end()


def _nested_end(text: bytes, start: int) -> int:
    depth = 0
    for token in _TOKEN.finditer(text, start):
        first = text[token.start()]
        if first in b"[{":
            depth += 1
        elif first in b"]}":
            depth -= 1
            if not depth:
                return token.end()
    raise ScanError("the body is not valid JSON: a bracket is missing")


def splice(text: bytes, edits: Iterable[tuple[Span, bytes]]) -> bytes:
    """`text` with each span replaced; every other byte stays. The spans must not overlap."""
    parts: list[bytes] = []
    position = 0
    for span, replacement in sorted(edits, key=lambda edit: edit[0].start):
        parts += (text[position : span.start], replacement)
        position = span.end
    parts.append(text[position:])
    return b"".join(parts)


def set_model(scan: Scan, model: str) -> tuple[Span, bytes]:
    """The edit that names another model. The object must have a `model`."""
    return scan.values["model"], msgspec.json.encode(model)


def ask_usage(scan: Scan) -> tuple[Span, bytes] | None:
    """The edit that asks for the usage of a stream; None when it is asked for, or `stream_options` is no
    object.

    Raises ScanError when `include_usage` stands twice.
    """
    span = scan.values.get("stream_options")
    if span is None:
        comma = b"," if scan.values else b""
        return Span(scan.open, scan.open), b'"stream_options":{"include_usage":true}' + comma
    value = scan.text[span.start : span.end]
    if value == b"null":
        return span, b'{"include_usage":true}'
    if value[:1] != b"{":
        return None
    inner = scan_object(value)
    if "include_usage" in inner.repeated:
        raise ScanError("the key include_usage stands twice in stream_options")
    flag = inner.values.get("include_usage")
    if flag is None:
        comma = b"," if inner.values else b""
        place = span.start + inner.open
        return Span(place, place), b'"include_usage":true' + comma
    if value[flag.start : flag.end] == b"true":
        return None
    return Span(span.start + flag.start, span.start + flag.end), b"true"
