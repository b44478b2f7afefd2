"""What an answer in the OpenAI dialect says about itself: usage, finish reason, errors, the first token."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.wire.errors import ReportedError, reported_error
from proxy.wire.sse import Frame
from proxy.wire.usage import Usage, openai_usage


class _Delta(msgspec.Struct):
    content: Any = None
    tool_calls: Any = None
    function_call: Any = None
    refusal: Any = None
    reasoning: Any = None
    reasoning_content: Any = None
    audio: Any = None


class _Choice(msgspec.Struct):
    index: Any = 0
    delta: _Delta | None = None
    text: Any = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    error: Any = None
    model: str | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_MOST_CHOICES = 1024


class StreamTap:
    """Reads the frames of a chat or completions stream on their way. Bytes it cannot read change nothing."""

    __slots__ = ("_ended", "content", "done", "error", "finish_reason", "model", "usage")

    def __init__(self) -> None:
        self._ended: dict[int, bool] = {}  # the choices that began, by index
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.error: ReportedError | None = None
        self.model: str | None = None
        """As the vendor reports it; an empty name (a vendor's first frame may have one) is none."""
        self.content = False
        """A content token (text, tool call, refusal, reasoning) came."""
        self.done = False
        """`[DONE]` came."""

    @property
    def complete(self) -> bool:
        """Whether the answer came to its end."""
        return self.done or (self.finish_reason is not None and all(self._ended.values()))

    def see(self, frame: Frame) -> bool:
        """Read one frame.

        True when it carries usage and nothing else, so that it exists only for who asked for it.
        """
        data = frame.data
        if data is None:
            return False
        if data.strip() == b"[DONE]":
            self.done = True
            return False
        try:
            chunk = _CHUNK.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._odd(data, frame.event)
        if chunk.error:
            self.error = reported_error({"error": chunk.error})
        elif frame.event == b"error":
            self.error = ReportedError(None, None)
        if chunk.model:
            self.model = chunk.model
        if chunk.usage is not None:
            usage = openai_usage(chunk.usage)
            if usage is not None:
                self.usage = usage if self.usage is None else self.usage.merged(usage)
        for choice in chunk.choices or ():
            self._choice(choice)
        return chunk.choices == [] and chunk.usage is not None and not chunk.error

    def _choice(self, choice: _Choice) -> None:
        if choice.finish_reason:
            self.finish_reason = choice.finish_reason
        if isinstance(choice.index, int) and len(self._ended) < _MOST_CHOICES:
            if choice.finish_reason:
                self._ended[choice.index] = True
            else:
                self._ended.setdefault(choice.index, False)
        if not self.content:
            delta = choice.delta
            self.content = bool(choice.text) or (delta is not None and _speaks(delta))

    def _odd(self, data: bytes, event: bytes | None) -> bool:
        """A frame of another shape; an error is still recognised."""
        try:
            value = msgspec.json.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            value = None
        found = reported_error(value)
        if found is None and event == b"error":
            found = ReportedError(None, None)
        if found is not None:
            self.error = found
        return False


def _speaks(delta: _Delta) -> bool:
    return bool(
        delta.content
        or delta.tool_calls
        or delta.function_call
        or delta.refusal
        or delta.reasoning_content
        or delta.reasoning
        or delta.audio
    )


class WholeAnswer(msgspec.Struct):
    """What a whole answer says about itself."""

    usage: Usage | None = None
    finish_reason: str | None = None
    model: str | None = None
    error: ReportedError | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: dict[str, Any] | None = None
    model: str | None = None
    error: Any = None


_ANSWER = msgspec.json.Decoder(_Answer)


def read_answer(body: bytes, *, generates: bool) -> WholeAnswer:
    """Read the body of a whole answer. `generates`: False for embeddings, whose output is no tokens at all.

    Nothing is known of a body that is not JSON of this dialect.
    """
    try:
        answer = _ANSWER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return WholeAnswer()
    usage = openai_usage(answer.usage) if answer.usage else None
    if usage is not None and not generates and usage.output_tokens is None:
        usage = usage.merged(Usage(output_tokens=0))
    reasons = [choice.finish_reason for choice in answer.choices or () if choice.finish_reason]
    error = reported_error({"error": answer.error}) if answer.error else None
    return WholeAnswer(usage, reasons[0] if reasons else None, answer.model or None, error)
