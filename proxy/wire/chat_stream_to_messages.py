"""A stream of an OpenAI chat as a stream of Anthropic messages.

Events and their order are those of the vendor's streaming reference: `message_start`, then per block
`content_block_start`, deltas and `content_block_stop`, then `message_delta` with the stop reason and the usage,
`message_stop`. OpenAI tells usage behind the finish reason, so the last two wait for `[DONE]` or the end.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.wire.chat_segments import Closed, Opened, OrderError, Segment, Segments, Step
from proxy.wire.chat_to_message import (
    Choice,
    anthropic_figures,
    identifier,
    message_error,
    read_completion,
    reasoning_of,
    stop_reason,
    stopped,
    text_of,
)
from proxy.wire.errors import ReportedError, anthropic_error_frame
from proxy.wire.json_values import is_cut
from proxy.wire.sse import Frame, SseReader
from proxy.wire.translation import TruncatedError
from proxy.wire.usage import Usage, openai_usage

_DELTAS = {
    "text": b'"text_delta","text":',
    "thinking": b'"thinking_delta","thinking":',
    "tool_use": b'"input_json_delta","partial_json":',
}


class ChatStreamToMessages:
    """See StreamTranscoder. `model`: what the client asked for, until the upstream names its own."""

    def __init__(self, model: str, *, wants_thinking: bool) -> None:
        """`wants_thinking`: let reasoning through as thinking blocks."""
        self._model = model
        self._wants_thinking = wants_thinking
        self._reader = SseReader()
        self._segments = Segments()
        self._started = False
        self._id = ""
        self._index = -1  # of the open or last block
        self._refused = False
        self._sequence: Any = None
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.upstream_model: str | None = None
        self.first_token = False
        self.done = False
        self.error: ReportedError | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Bytes ready for the client."""
        frames = self._reader.feed(chunk)
        out = b"".join([self._frame(frame) for frame in frames])
        return out + self._gave_up() if self._reader.gave_up else out

    def finish(self) -> bytes:
        """The upstream has ended. Raises TruncatedError when no finish reason came."""
        rest = self._reader.finish()
        if rest is not None and is_cut(rest.data):
            raise TruncatedError
        out = b"" if rest is None else self._frame(rest)
        if self.done:
            return out
        if self.finish_reason is None:
            raise TruncatedError
        return out + self._end()

    def _gave_up(self) -> bytes:
        return (
            b"" if self.done else self._fail("frame_too_long", "a frame of the upstream's stream is too long")
        )

    def _frame(self, frame: Frame) -> bytes:
        if self.done:
            return b""
        if frame.data is None:
            return _comment(frame.raw)
        data = frame.data.strip()
        if data == b"[DONE]":
            return self._end()
        if not data or frame.event == b"ping":
            return b""
        chunk = read_completion(data)
        if chunk is None or chunk.error or frame.event == b"error":
            return self._reported(data)
        if not self._id and isinstance(chunk.id, str):
            self._id = chunk.id
        if isinstance(chunk.model, str) and chunk.model:
            self.upstream_model = chunk.model
        if chunk.usage is not None and (usage := openai_usage(chunk.usage)) is not None:
            self.usage = usage if self.usage is None else self.usage.merged(usage)
        try:
            return b"".join([self._choice(choice, data) for choice in chunk.choices or ()])
        except OrderError as error:
            return self._fail("invalid_stream", f"the upstream's stream cannot be read: {error}")

    def _choice(self, choice: Choice, data: bytes) -> bytes:
        if choice.index not in (None, 0):
            return b""
        start = b"" if self._started else self._start(data)
        said, segments = choice.delta, self._segments
        if said is not None:
            if thought := reasoning_of(said):
                self.first_token = True
                if self._wants_thinking:
                    segments.say("thinking", thought)
            for words in (text_of(said.content), refusal := text_of(said.refusal)):
                if words:
                    self.first_token = True
                    segments.say("text", words)
            self._refused = self._refused or bool(refusal)
            for call in said.tool_calls or ():
                self.first_token = True
                segments.call(call, self._id)
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason
            self._sequence = choice.stop_reason
        return start + self._let_out(end=False)

    # Events.

    def _start(self, data: bytes) -> bytes:
        self._started = True
        self._id = identifier(self._id, data)
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self.upstream_model or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": anthropic_figures(self.usage),
        }
        return _event("message_start", {"message": message})

    def _let_out(self, *, end: bool) -> bytes:
        return b"".join([self._step(step) for step in self._segments.steps(end=end)])

    def _step(self, step: Step) -> bytes:
        if isinstance(step, Opened):
            self._index += 1
            return _event(
                "content_block_start", {"index": self._index, "content_block": _block(step.segment)}
            )
        if isinstance(step, Closed):
            return _event("content_block_stop", {"index": self._index})
        head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":{"type":'
        return b"".join((head % self._index, _DELTAS[step.kind], msgspec.json.encode(step.text), b"}}\n\n"))

    def _end(self) -> bytes:
        """The closing events; a stream that says it is done without a finish reason has just ended its turn."""
        start = b"" if self._started else self._start(b"")
        try:
            blocks = self._let_out(end=True)
        except OrderError as error:
            return start + self._fail("invalid_stream", f"the upstream's stream cannot be read: {error}")
        self.done = True
        reason = stop_reason(self.finish_reason, tools=self._segments.tools > 0, refused=self._refused)
        delta = {"delta": stopped(reason, self._sequence), "usage": anthropic_figures(self.usage)}
        return start + blocks + _event("message_delta", delta) + _event("message_stop", {})

    def _reported(self, data: bytes) -> bytes:
        """An error of the upstream, or a frame that is none of its dialect: what it said may be lost."""
        self.done = True
        said = message_error(502, data)
        self.error = said.error
        return b"event: error\ndata: " + said.body + b"\n\n"

    def _fail(self, code: str, message: str) -> bytes:
        self.done = True
        self.error = ReportedError(code, message)
        return anthropic_error_frame("api_error", message)


def _block(segment: Segment) -> dict[str, Any]:
    if segment.kind == "tool_use":
        return {"type": "tool_use", "id": segment.id, "name": segment.name, "input": {}}
    if segment.kind == "thinking":
        return {"type": "thinking", "thinking": "", "signature": ""}
    return {"type": "text", "text": ""}


def _event(kind: str, fields: dict[str, Any]) -> bytes:
    data = msgspec.json.encode({"type": kind, **fields})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def _comment(raw: bytes) -> bytes:
    """Comments pass; an event without data is none."""
    lines = [line for line in raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n") if line]
    return raw if lines and all(line.startswith(b":") for line in lines) else b""
