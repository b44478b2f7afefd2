"""Anthropic's event stream as OpenAI's chat chunks, event by event.

Source: the streaming references of both vendors. Thinking goes out as `reasoning_content` and, whole and signed,
as `thinking_blocks`, which a next request can give back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.wire.chat_turns import JSON_TOOL
from proxy.wire.errors import ReportedError, reported_error
from proxy.wire.json_values import dump, is_cut, load_object, mapping, text
from proxy.wire.message_to_chat import chat_error, chat_usage, finish_reason, refusal_of
from proxy.wire.sse import Frame, SseReader
from proxy.wire.translation import TruncatedError
from proxy.wire.usage import Usage, anthropic_usage, merged_report

PING = b": ping\n\n"
"""A comment: what a ping is in a dialect without one."""
DONE = b"data: [DONE]\n\n"


class MessagesStreamToChat:
    """See StreamTranscoder. `created`: seconds since 1970; `includes_usage`: the client asked for its frame.

    `json_tool`: the call of our own tool is the content; text beside it is not.
    """

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
        self._report: dict[str, Any] = {}
        self._id = ""
        self._spoke = False
        self._calls = 0
        self._thoughts = 0
        self._blocks: dict[int, _Block] = {}
        self._held: list[str] = []
        self._json_came = False
        self._ended = False
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
        """See StreamTranscoder."""
        return b"".join([self._frame(frame) for frame in self._reader.feed(chunk)])

    def finish(self) -> bytes:
        """See StreamTranscoder. A stream that said why it ended is complete, even without its last event."""
        rest = self._reader.finish()
        if rest is not None and is_cut(rest.data) and not self.done:
            raise TruncatedError
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
            return frame.raw if frame.raw.startswith(b":") and frame.event is None else b""
        event = load_object(frame.data)
        if event is None:
            return self._error({}) if frame.event == b"error" else b""
        handle = self._events.get(text(event, "type") or (frame.event or b"").decode("utf-8", "replace"))
        return handle(event) if handle is not None else b""

    def _chunk(self, delta: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
        """A chunk with one choice; the first of all says the role."""
        if not self._spoke:
            self._spoke = True
            said = self._chunk({"role": "assistant", "content": "", "refusal": None})
            return said if not delta and reason is None else said + self._chunk(delta, reason, **more)
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
        return b"" if self._spoke else self._chunk({})

    def _block_start(self, event: dict[str, Any]) -> bytes:
        given = mapping(event, "content_block")
        kind = text(given, "type")
        block = self._blocks[_index(event)] = _Block(kind)
        if kind == "text":
            return self._text(text(given, "text"))
        if kind == "tool_use":
            return self._call(block, given)
        if kind == "thinking":
            block.signature = text(given, "signature")
            return self._think(block, text(given, "thinking"))
        if kind == "redacted_thinking":
            self.first_token = True
            return self._whole_thought({"type": kind, "data": text(given, "data")})
        return b""

    def _call(self, block: _Block, given: dict[str, Any]) -> bytes:
        self.first_token = True
        name = text(given, "name")
        block.is_json = self._json_tool and name == JSON_TOOL
        block.given = dump(given["input"]).decode() if mapping(given, "input") else ""
        if block.is_json:
            self._json_came = True
            return b""
        block.index, self._calls = self._calls, self._calls + 1
        function = {"name": name, "arguments": ""}
        call = {"index": block.index, "id": text(given, "id"), "type": "function", "function": function}
        return self._chunk({"tool_calls": [call]})

    def _block_delta(self, event: dict[str, Any]) -> bytes:
        delta, block = mapping(event, "delta"), self._blocks.get(_index(event)) or _Block("")
        kind = text(delta, "type")
        if kind == "text_delta":
            return self._text(text(delta, "text"))
        if kind == "input_json_delta":
            return self._arguments(block, text(delta, "partial_json"))
        if kind == "thinking_delta":
            return self._think(block, text(delta, "thinking"))
        if kind == "signature_delta":
            block.signature += text(delta, "signature")
        return b""

    def _text(self, written: str) -> bytes:
        if not written:
            return b""
        self.first_token = True
        if self._json_tool:  # it is the answer only if no call of our tool comes
            self._held.append(written)
            return b""
        return self._chunk({"content": written})

    def _think(self, block: _Block, thought: str) -> bytes:
        if not thought:
            return b""
        self.first_token = True
        block.thought.append(thought)
        return self._chunk({"reasoning_content": thought})

    def _arguments(self, block: _Block, part: str) -> bytes:
        if not part or block.kind != "tool_use":
            return b""
        block.has_arguments = True
        if block.is_json:
            return self._chunk({"content": part})
        return self._chunk({"tool_calls": [{"index": block.index, "function": {"arguments": part}}]})

    def _block_stop(self, event: dict[str, Any]) -> bytes:
        block = self._blocks.pop(_index(event), None)
        if block is None:
            return b""
        if block.kind == "tool_use":
            return b"" if block.has_arguments else self._arguments(block, block.given or "{}")
        if block.kind == "thinking" and block.signature:
            thought = "".join(block.thought)
            return self._whole_thought(
                {"type": "thinking", "thinking": thought, "signature": block.signature}
            )
        return b""

    def _whole_thought(self, carried: dict[str, Any]) -> bytes:
        """With an index, which the official clients demand of every object in a list of a delta."""
        index, self._thoughts = self._thoughts, self._thoughts + 1
        return self._chunk({"thinking_blocks": [{"index": index, **carried}]})

    def _message_delta(self, event: dict[str, Any]) -> bytes:
        self._merge(mapping(event, "usage"))
        delta = mapping(event, "delta")
        reason = text(delta, "stop_reason")
        if not reason or self.finish_reason is not None:
            return b""
        self.finish_reason = reason
        refusal = refusal_of(delta)
        said = b"" if refusal is None else self._chunk({"refusal": refusal})
        matched = text(delta, "stop_sequence")
        return said + self._end({"stop_reason": matched} if matched else {})

    def _end(self, more: dict[str, Any]) -> bytes:
        """The chunk that says why the answer ended, behind text that was held back."""
        self._ended = True
        held = "" if self._json_came else "".join(self._held)
        said = self._chunk({"content": held}) if held else b""
        return said + self._chunk({}, finish_reason(self.finish_reason or "", self._json_tool), **more)

    def _message_stop(self, event: dict[str, Any]) -> bytes:
        self.done = True
        said = b"" if self._ended else self._end({})
        if self._includes_usage and self.usage is not None:
            said += self._data([], chat_usage(self.usage))
        return said + DONE

    def _error(self, event: dict[str, Any]) -> bytes:
        """The error in a frame of the client's dialect, and no `[DONE]`: the answer is not complete."""
        self.error = reported_error(event) or ReportedError(None, None)
        self.done = True
        status = 529 if self.error.code == "overloaded_error" else 502
        return b"data: " + chat_error(status, dump(event)).body + b"\n\n"

    def _merge(self, report: dict[str, Any]) -> None:
        self._report = merged_report(self._report, report)
        self.usage = anthropic_usage(self._report)


def _index(event: dict[str, Any]) -> int:
    index = event.get("index")
    return index if isinstance(index, int) else 0


class _Block:
    """A content block under way."""

    __slots__ = ("given", "has_arguments", "index", "is_json", "kind", "signature", "thought")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.index = 0
        self.is_json = False
        self.given = ""
        """Arguments that stood in the block's first event already."""
        self.has_arguments = False
        self.thought: list[str] = []
        self.signature = ""
