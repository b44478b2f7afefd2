"""Anthropic's event stream as OpenAI's chat chunks, event by event."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.wire.chat_turns import JSON_TOOL
from proxy.wire.errors import ReportedError, reported_error
from proxy.wire.message_to_chat import chat_usage, finish_reason
from proxy.wire.sse import Frame, SseReader
from proxy.wire.json_values import dump, load_object, mapping, text
from proxy.wire.translation import TruncatedError
from proxy.wire.usage import Usage, anthropic_usage

PING = b": ping\n\n"
"""A comment: what a ping is in a dialect without one."""
DONE = b"data: [DONE]\n\n"


class MessagesStreamToChat:
    """See Stream. `created`: seconds since 1970; `includes_usage`: the client asked for the usage frame."""

    def __init__(self, created: int, *, includes_usage: bool, json_tool: bool = False) -> None:
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.upstream_model: str | None = None
        self.first_token = False
        self.done = False
        self.error: ReportedError | None = None
        self._created = created
        self._includes_usage = includes_usage
        self._json_tool = json_tool
        self._reader = SseReader()
        self._id = ""
        self._calls = 0
        self._block = _Block()
        self._events: dict[str, Callable[[dict[str, Any]], bytes]] = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
            "ping": lambda event: PING,
            "error": self._error,
        }

    def feed(self, chunk: bytes) -> bytes:
        """See Stream."""
        return b"".join(self._frame(frame) for frame in self._reader.feed(chunk))

    def finish(self) -> bytes:
        """See Stream. A stream that said why it ended is complete, even without its last event."""
        rest = self._reader.finish()
        tail = self._frame(rest) if rest is not None else b""
        if self.done or self.error is not None:
            return tail
        if self.finish_reason is None:
            raise TruncatedError
        return tail + self._message_stop({})

    def _frame(self, frame: Frame) -> bytes:
        if self.done or self.error is not None:
            return b""
        if frame.data is None:
            return frame.raw if frame.raw.startswith(b":") else b""
        event = load_object(frame.data)
        handle = self._events.get(text(event, "type"))
        return handle(event) if event is not None and handle is not None else b""

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason, **more}
        return self._data([choice], None)

    def _data(self, choices: list[dict[str, Any]], usage: dict[str, Any] | None) -> bytes:
        chunk: dict[str, Any] = {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created,
            "model": self.upstream_model or "",
            "choices": choices,
        }
        if self._includes_usage:
            chunk["usage"] = usage
        return b"data: " + dump(chunk) + b"\n\n"

    # One method for each kind of event.

    def _message_start(self, event: dict[str, Any]) -> bytes:
        message = mapping(event, "message")
        self._id = text(message, "id")
        self.upstream_model = text(message, "model") or None
        self._merge(mapping(message, "usage"))
        return self._chunk({"role": "assistant", "content": "", "refusal": None})

    def _block_start(self, event: dict[str, Any]) -> bytes:
        block = mapping(event, "content_block")
        self._block = _Block(kind=text(block, "type"))
        match self._block.kind:
            case "text":
                return self._text(text(block, "text"))
            case "tool_use":
                return self._call(block)
            case "thinking":
                self._block.signature = text(block, "signature")
                return self._think(text(block, "thinking"))
            case "redacted_thinking":
                self.first_token = True
                carried = {"type": "redacted_thinking", "data": text(block, "data")}
                return self._chunk({"thinking_blocks": [carried]})
        return b""

    def _call(self, block: dict[str, Any]) -> bytes:
        self.first_token = True
        name = text(block, "name")
        self._block.is_json = self._json_tool and name == JSON_TOOL
        self._block.given = dump(block["input"]).decode() if mapping(block, "input") else ""
        if self._block.is_json:
            return b""
        self._block.index, self._calls = self._calls, self._calls + 1
        call = {
            "index": self._block.index,
            "id": text(block, "id"),
            "type": "function",
            "function": {"name": name, "arguments": ""},
        }
        return self._chunk({"tool_calls": [call]})

    def _block_delta(self, event: dict[str, Any]) -> bytes:
        delta = mapping(event, "delta")
        match text(delta, "type"):
            case "text_delta":
                return self._text(text(delta, "text"))
            case "input_json_delta":
                return self._arguments(text(delta, "partial_json"))
            case "thinking_delta":
                return self._think(text(delta, "thinking"))
            case "signature_delta":
                self._block.signature += text(delta, "signature")
        return b""

    def _text(self, written: str) -> bytes:
        if not written:
            return b""
        self.first_token = True
        return self._chunk({"content": written})

    def _think(self, thought: str) -> bytes:
        if not thought:
            return b""
        self.first_token = True
        self._block.thought.append(thought)
        return self._chunk({"reasoning_content": thought})

    def _arguments(self, part: str) -> bytes:
        if not part:
            return b""
        self._block.has_arguments = True
        if self._block.is_json:
            return self._text(part)
        call = {"index": self._block.index, "function": {"arguments": part}}
        return self._chunk({"tool_calls": [call]})

    def _block_stop(self, event: dict[str, Any]) -> bytes:
        block, self._block = self._block, _Block()
        if block.kind == "tool_use" and not block.has_arguments:
            self._block = block
            said = self._arguments(block.given or "{}")
            self._block = _Block()
            return said
        if block.kind == "thinking" and block.signature:
            # Whole and signed, so that the next request can give it back.
            carried = {"type": "thinking", "thinking": "".join(block.thought), "signature": block.signature}
            return self._chunk({"thinking_blocks": [carried]})
        return b""

    def _message_delta(self, event: dict[str, Any]) -> bytes:
        self._merge(mapping(event, "usage"))
        delta = mapping(event, "delta")
        reason = text(delta, "stop_reason")
        if not reason or self.finish_reason is not None:
            return b""
        self.finish_reason = reason
        matched = text(delta, "stop_sequence")
        more = {"stop_reason": matched} if matched else {}
        return self._chunk({}, finish_reason(reason, self._json_tool), **more)

    def _message_stop(self, event: dict[str, Any]) -> bytes:
        self.done = True
        if self._includes_usage and self.usage is not None:
            return self._data([], chat_usage(self.usage)) + DONE
        return DONE

    def _error(self, event: dict[str, Any]) -> bytes:
        self.error = reported_error(event) or ReportedError(None, None)
        return b""

    def _merge(self, report: dict[str, Any]) -> None:
        usage = anthropic_usage(report)
        if usage is not None:
            self.usage = usage if self.usage is None else self.usage.merged(usage)


class _Block:
    """The content block under way."""

    __slots__ = ("given", "has_arguments", "index", "is_json", "kind", "signature", "thought")

    def __init__(self, kind: str = "") -> None:
        self.kind = kind
        self.index = 0
        self.is_json = False
        self.given = ""
        """Arguments that stood in the block's first event already."""
        self.has_arguments = False
        self.thought: list[str] = []
        self.signature = ""
