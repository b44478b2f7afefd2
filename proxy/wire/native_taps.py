"""What streams and answers of Anthropic messages and OpenAI responses say about themselves.

They pass to a client of the same dialect byte for byte; these only look on. Bytes that cannot be read change
nothing. The events are those of the vendors' streaming references: `message_start` .. `message_stop`, and
`response.created` .. `response.completed | incomplete | failed`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.wire.errors import ReportedError, reported_error
from proxy.wire.sse import Frame
from proxy.wire.usage import Usage, anthropic_usage, merged_report, openai_usage

_CONTENT_BLOCKS = frozenset({"content_block_delta"})
_ENDS = frozenset({"response.completed", "response.incomplete", "response.failed"})


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _inner(value: dict[str, Any], name: str) -> dict[str, Any]:
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: dict[str, Any], name: str) -> str | None:
    found = value.get(name)
    return found if isinstance(found, str) and found else None


class NativeTap:
    """What was seen so far. `see` reads one frame."""

    __slots__ = ("content", "done", "error", "finish_reason", "model", "usage")

    def __init__(self) -> None:
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.error: ReportedError | None = None
        self.model: str | None = None
        self.content = False
        """A content token came."""
        self.done = False
        """The event that ends the stream came."""

    def see(self, frame: Frame) -> None:
        """Read one frame."""
        if frame.data is None:
            return
        value = _object(frame.data)
        kind = value.get("type")
        if isinstance(kind, str):
            self._event(kind, value)
        is_error = kind == "error" or frame.event == b"error" or (kind is None and value.get("error"))
        if self.error is None and is_error:
            self.error = reported_error(value) or ReportedError(_text(value, "code"), _text(value, "message"))

    def _event(self, kind: str, value: dict[str, Any]) -> None:
        raise NotImplementedError

    def _merge(self, usage: Usage | None) -> None:
        if usage is not None:
            self.usage = usage if self.usage is None else self.usage.merged(usage)


class MessagesTap(NativeTap):
    """Looks on at a stream of Anthropic messages."""

    __slots__ = ("_report",)

    def __init__(self) -> None:
        super().__init__()
        self._report: dict[str, Any] = {}

    def _count(self, report: dict[str, Any]) -> None:
        """A later report may repeat the input without its cached part, so reports are merged, not sums."""
        self._report = dict(merged_report(self._report, report))
        self.usage = anthropic_usage(self._report) or self.usage

    def _event(self, kind: str, value: dict[str, Any]) -> None:
        if kind in _CONTENT_BLOCKS:
            self.content = True
        elif kind == "content_block_start":
            self.content = self.content or _inner(value, "content_block").get("type") != "text"
        elif kind == "message_start":
            message = _inner(value, "message")
            self.model = _text(message, "model") or self.model
            self._count(_inner(message, "usage"))
        elif kind == "message_delta":
            self.finish_reason = _text(_inner(value, "delta"), "stop_reason") or self.finish_reason
            self._count(_inner(value, "usage"))
        elif kind == "message_stop":
            self.done = True


class ResponsesTap(NativeTap):
    """Looks on at a stream of OpenAI responses."""

    __slots__ = ()

    def _event(self, kind: str, value: dict[str, Any]) -> None:
        if kind.endswith(".delta"):
            self.content = True
            return
        response = _inner(value, "response")
        if not response:
            return
        self.model = _text(response, "model") or self.model
        self._merge(openai_usage(_inner(response, "usage")))
        if kind in _ENDS:
            self.done = True
            self.finish_reason = response_end(response)
            if kind == "response.failed":
                self.error = reported_error(response) or ReportedError(None, None)


def response_end(response: dict[str, Any]) -> str | None:
    """Why a response ended: what it is incomplete for, else its status."""
    return _text(_inner(response, "incomplete_details"), "reason") or _text(response, "status")


def read_message(body: bytes) -> NativeTap:
    """A whole Anthropic message."""
    value, found = _object(body), MessagesTap()
    found.usage = anthropic_usage(_inner(value, "usage"))
    found.finish_reason, found.model = _text(value, "stop_reason"), _text(value, "model")
    found.error = reported_error(value)
    return found


def read_response(body: bytes) -> NativeTap:
    """A whole OpenAI response."""
    value, found = _object(body), ResponsesTap()
    found.usage = openai_usage(_inner(value, "usage"))
    found.finish_reason, found.model = response_end(value), _text(value, "model")
    found.error = reported_error(value)
    return found
