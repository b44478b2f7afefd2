"""What a form says (`multipart/form-data`, RFC 7578): which model, streamed or not. Files are stepped over.

Only the fields that a policy may ask for are read. The body is never put together anew: another model is
written in the old one's place. Whatever two readers of forms might understand differently is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from proxy.policy.facts import Endpoint
from proxy.wire.errors import RequestError
from proxy.wire.json_scan import Scan, Span, splice
from proxy.wire.parsed import FormModel, ParsedRequest, checked_model

_READ = frozenset({"model", "stream", "user", "prompt"})
_FIELD_LIMIT = 1024 * 1024
_HEAD_LIMIT = 16 * 1024
_PARTS_LIMIT = 1000
_BOUNDARY = re.compile(r';[ \t]*boundary[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;, \t"]+))', re.IGNORECASE)
_BOUNDARY_CHARS = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{1,70}\Z")  # RFC 2046, section 5.1.1
_NAME = re.compile(rb';[ \t]*name[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^;, \t"]+))', re.IGNORECASE)
_HARMLESS_ENCODINGS = frozenset({b"", b"7bit", b"8bit", b"binary"})
_NO_SCAN = Scan(b"", 0, {}, frozenset())


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    content: Span
    encoding: bytes


def read_form(
    endpoint: Endpoint, content_type: str, body: bytes, deployment: str | None = None
) -> ParsedRequest:
    """Read `body`. Raises RequestError (400) with what is wrong and where.

    `deployment`: the model that the path names; it is written into the form, whatever the form says.
    """
    delimiter = b"--" + _boundary(content_type)
    start = _first(body, delimiter)
    fields: dict[str, _Part] = {}
    files = False
    for part in _parts(body, delimiter, start):
        if part.name in fields:
            message = f"the field {part.name} stands twice in the form: which one is meant cannot be told"
            raise RequestError(400, "duplicate_field", message, param=part.name)
        if part.name in _READ:
            fields[part.name] = part
        files = files or part.name in ("image", "image[]")
    place = _place(fields.get("model"), start, delimiter)
    if deployment is not None:
        named = splice(body, [place.edit(deployment)])
        return read_form(endpoint, content_type, named)
    texts = {name: _text(body, part) for name, part in fields.items()}
    if "model" not in texts:
        raise RequestError(400, "missing_model", "the form names no model: add a field model", param="model")
    prompt = texts.get("prompt")
    return ParsedRequest(
        body=body,
        scan=_NO_SCAN,
        model=checked_model(texts["model"]),
        stream=texts.get("stream", "").lower() in ("true", "1"),
        prompt_chars=len(prompt) if prompt is not None else None,
        has_images=endpoint == "images" and files,
        user=texts.get("user") or None,
        form_model=place,
    )


def _place(part: _Part | None, start: int, delimiter: bytes) -> FormModel:
    """Where a model is to be written; a form without one gets a field at its beginning."""
    if part is not None:
        return FormModel(part.content)
    head = delimiter + b'\r\nContent-Disposition: form-data; name="model"\r\n\r\n'
    return FormModel(Span(start, start), head, b"\r\n")


def _boundary(content_type: str) -> bytes:
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        raise _invalid(f"the body must be multipart/form-data, not {kind[:60]!r}")
    found = _BOUNDARY.findall(content_type)
    if len(found) != 1:
        raise _invalid("the content type must name one boundary")
    quoted, bare = found[0]
    boundary = re.sub(r"\\(.)", r"\1", quoted) or bare
    if not _BOUNDARY_CHARS.match(boundary) or boundary.endswith(" "):
        raise _invalid("the boundary holds what none may hold, or is longer than 70 characters")
    return bytes(boundary, "ascii")


def _first(body: bytes, delimiter: bytes) -> int:
    """Where the first delimiter stands: at the beginning, or on a line of its own behind a preamble."""
    if body.startswith(delimiter):
        return 0
    at = body.find(b"\r\n" + delimiter)
    if at < 0:
        raise _invalid("the form's boundary does not stand in the body")
    return at + 2


def _parts(body: bytes, delimiter: bytes, start: int) -> Iterator[_Part]:
    """The parts, in order, to the closing delimiter."""
    break_ = b"\r\n" + delimiter
    position = start + len(delimiter)
    for _ in range(_PARTS_LIMIT):
        if body.startswith(b"--", position):
            return
        head = _line_end(body, position)
        split = body.find(b"\r\n\r\n", head, head + _HEAD_LIMIT)
        content = split + 4
        end = body.find(break_, content)
        if split < 0 or end < 0:
            raise _invalid("the form is cut off: its closing boundary is missing")
        if delimiter in body[head:split] or body.startswith(delimiter, content):
            raise _invalid("a part of the form ends before its content")
        yield _part(body[head:split], Span(content, end))
        position = end + len(break_)
    raise _invalid(f"the form has more than {_PARTS_LIMIT} parts")


def _line_end(body: bytes, position: int) -> int:
    """The offset behind the line break that ends a delimiter; only blanks may stand before it."""
    end = body.find(b"\r\n", position, position + 256)
    if end < 0 or body[position:end].strip(b" \t"):
        raise _invalid("a boundary is followed by something else than a line break")
    return end + 2


def _part(head: bytes, content: Span) -> _Part:
    headers: dict[bytes, bytes] = {}
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        key = name.strip().lower()
        if b"\n" in line or b"\r" in line or line[:1] in (b" ", b"\t") or key in headers:
            raise _invalid("a part of the form has a header that is folded, or that stands twice")
        headers[key] = value.strip()
    names = _NAME.findall(headers.get(b"content-disposition", b""))
    if len(names) != 1:
        raise _invalid("a part of the form has not one name")
    quoted, bare = names[0]
    name = re.sub(rb"\\(.)", rb"\1", quoted) or bare
    encoding = headers.get(b"content-transfer-encoding", b"").lower()
    return _Part(name.decode("utf-8", "replace"), content, encoding)


def _text(body: bytes, part: _Part) -> str:
    raw = body[part.content.start : part.content.end]
    if part.encoding not in _HARMLESS_ENCODINGS:
        raise _invalid(f"the field {part.name} has a transfer encoding, which forms do not have")
    if len(raw) > _FIELD_LIMIT:
        raise _invalid(f"the field {part.name} is longer than {_FIELD_LIMIT // 1024} KiB")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise _invalid(f"the field {part.name} is not UTF-8") from None


def _invalid(message: str) -> RequestError:
    return RequestError(400, "invalid_form", message)
