"""One answer of a simulated vendor: its text, its counts, and its JSON in each of the forms."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, Literal

from ktui.demo import message_form, response_form
from ktui.demo.vendors import Course
from ktui.demo.words import prose

Form = Literal["chat", "message", "response"]
"""A chat completion, an Anthropic message, an OpenAI response."""
TOKENS_PER_CHUNK = 6


class Answer:
    """What one request is answered."""

    def __init__(
        self, number: int, model: str, course: Course, limit: int | None, prompt: int, random: Random
    ) -> None:
        self.course = course
        self.tokens = course.tokens if limit is None else min(course.tokens, limit)
        self.id = f"chatcmpl-{number:08d}{random.getrandbits(48):012x}"
        self._model = model
        self._prompt = prompt
        self._finish = "stop" if self.tokens == course.tokens else "length"
        self._text = prose(random, self.tokens)

    def _usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self._prompt,
            "completion_tokens": self.tokens,
            "total_tokens": self._prompt + self.tokens,
        }

    def _base(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": int(time.time()), "model": self._model}

    def whole(self, form: Form) -> dict[str, Any]:
        """The answer in one piece."""
        if form == "message":
            return message_form.message(self.id, self._model, self._text, self._finish, self._usage())
        if form == "response":
            now = int(time.time())
            return response_form.response(self.id, self._model, self._text, self._finish, self._usage(), now)
        message = {"role": "assistant", "content": self._text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish}
        return {**self._base("chat.completion"), "choices": [choice], "usage": self._usage()}

    def frames(self, form: Form, *, usage: bool) -> Iterator[tuple[bytes, int]]:
        """The answer as frames of a stream, each with the tokens that are made before it is sent.

        `usage`: whether a chat stream ends with the counts; the others always tell them.
        """
        pieces = _pieces(self._text.split())
        if form == "message":
            yield from message_form.events(self.whole(form), pieces)
        elif form == "response":
            yield from response_form.events(self.whole(form), pieces)
        else:
            for chunk, tokens in self._chunks(usage):
                yield b"data: " + json.dumps(chunk).encode() + b"\n\n", tokens
            yield b"data: [DONE]\n\n", 0

    def _chunks(self, usage: bool) -> Iterator[tuple[dict[str, Any], int]]:
        base = self._base("chat.completion.chunk")
        extra = {"usage": None} if usage else {}

        def chunk(delta: Mapping[str, str], finish: str | None = None) -> dict[str, Any]:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
            return {**base, "choices": [choice], **extra}

        yield chunk({"role": "assistant", "content": ""}), 0
        for piece, tokens in _pieces(self._text.split()):
            yield chunk({"content": piece}), tokens
        yield chunk({}, self._finish), 0
        if usage:
            yield {**base, "choices": [], "usage": self._usage()}, 0


def _pieces(words: list[str]) -> Iterator[tuple[str, int]]:
    """The text in chunks that join to it again, each with its number of tokens; the first is one token."""
    start, size = 0, 1
    while start < len(words):
        part = words[start : start + size]
        yield (" " if start else "") + " ".join(part), len(part) if start else 0
        start, size = start + size, TOKENS_PER_CHUNK
