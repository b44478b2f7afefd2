"""The beginning of an upstream's stream, looked at before the client gets its head.

A stream that begins with an error, or ends before it says anything, can still be answered with a right status
or be tried elsewhere; once the head is out it cannot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from proxy.upstream.transport import Answer
from proxy.wire.sse import Frame, SseReader

LONGEST_S = 5.0
"""How long the head is held back for the first frame."""
PRELUDE_S = 1.0
"""How long it is held back further when that frame only announces an answer."""
_LARGEST = 256 * 1024
_PRELUDES = frozenset({"message_start", "response.created", "response.in_progress", "response.queued"})
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
    "overloaded": 529,
}

Kind = Literal["nothing", "prelude", "content", "error"]


@dataclass(slots=True)
class Peeked:
    """What came first. `read` is everything taken from the answer so far."""

    read: bytes = b""
    ended: bool = False
    """The stream ended within `read`."""
    said: bool = False
    """There was a frame that says something."""
    error: dict[str, Any] | None = None
    """The error the stream begins with."""
    status: int = 502
    """The HTTP status that error should have come with."""
    response_id: str | None = None
    """Of a stored response (the responses endpoint), if it was announced."""


def classify(frame: Frame) -> tuple[Kind, dict[str, Any] | None]:
    """What kind of frame it is, and its data when that is an object. Comments and pings are nothing."""
    if frame.data is None or frame.event == b"ping":
        return "nothing", None
    try:
        value = msgspec.json.decode(frame.data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return "content", None
    if not isinstance(value, dict):
        return "content", None
    kind = value.get("type")
    if kind == "ping":
        return "nothing", None
    if value.get("error") or kind in ("error", "response.failed") or frame.event == b"error":
        return "error", value
    return ("prelude" if kind in _PRELUDES else "content"), value


def error_of(value: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and error object (`message`, `type`, `code`) of an error frame's data."""
    response = value.get("response")
    found = value.get("error") or (response.get("error") if isinstance(response, dict) else None)
    if isinstance(found, str):
        found = {"message": found}
    if not isinstance(found, dict):
        found = {name: value[name] for name in ("message", "code", "param") if value.get(name) is not None}
    return _status_of(found), found


def _status_of(error: dict[str, Any]) -> int:
    for name in ("status", "status_code", "code"):
        number = error.get(name)
        if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) == 3:
            number = int(number)
        if isinstance(number, int) and not isinstance(number, bool) and 400 <= number <= 599:
            return number
    for name in ("code", "type"):
        word = error.get(name)
        if isinstance(word, str) and word in _STATUS:
            return _STATUS[word]
    return 502


async def peek(answer: Answer, longest_s: float = LONGEST_S, prelude_s: float = PRELUDE_S) -> Peeked:
    """Read until the first frame that says something, within bounds of time and size. Raises UpstreamError."""
    loop = asyncio.get_running_loop()
    found, reader = Peeked(), SseReader()
    read = bytearray()
    deadline = loop.time() + longest_s
    try:
        while not (found.said or found.ended) and len(read) < _LARGEST:
            # A read that is given up loses nothing: what came stays with the answer.
            async with asyncio.timeout_at(deadline):
                chunk = await answer.chunk()
            read += chunk
            found.ended = not chunk
            for frame in _frames(reader, chunk):
                if _look(frame, found):
                    deadline = min(deadline, loop.time() + prelude_s)
                if found.said:
                    break
    except TimeoutError:
        pass  # the head goes out; what comes first is then told inside the stream
    found.read = bytes(read)
    return found


def _frames(reader: SseReader, chunk: bytes) -> Iterable[Frame]:
    """The frames that `chunk` completes, as far as they are asked for; at the end of the stream, what is left."""
    if chunk:
        return reader.each(chunk)
    rest = reader.finish()
    return [] if rest is None else [rest]


def _look(frame: Frame, found: Peeked) -> bool:
    """Note what `frame` says; True for one that only announces an answer."""
    kind, value = classify(frame)
    if kind == "nothing":
        return False
    response = value.get("response") if value is not None else None
    if isinstance(response, dict) and isinstance(response.get("id"), str):
        found.response_id = response["id"]
    if kind == "prelude":
        return True
    found.said = True
    if kind == "error" and value is not None:
        found.status, found.error = error_of(value)
    return False
