"""What a stream of server-sent events says, for a reader: the text of its frames, joined."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Said:
    """The text of a stream, and how many frames carried it or something else."""

    text: str
    frames: int


def said_in(stream: str) -> Said | None:
    """The text of a stream as vendors send answers; None when the stream says something else too, such as a tool call.

    Chat completions carry it in `choices[].delta.content` (completions: `choices[].text`), messages in `delta.text`
    of `content_block_delta`, responses in `delta` of `response.output_text.delta`. A frame that was cut ends it.
    """
    parts: list[str] = []
    frames = 0
    for line in stream.splitlines():
        if not line.startswith("data:") or line[5:].strip() == "[DONE]":
            continue
        frames += 1
        try:
            frame = json.loads(line[5:])
        except ValueError:
            break
        if not isinstance(frame, dict) or frame.get("error") is not None:
            return None
        for part in _texts(frame):
            if part is None:
                return None
            parts.append(part)
    return Said("".join(parts), frames) if any(parts) else None


def _texts(frame: dict[str, Any]) -> Iterator[str | None]:
    """The texts of one frame; None for what is no text."""
    kind, delta = frame.get("type"), frame.get("delta")
    if kind == "response.output_text.delta" and isinstance(delta, str):
        yield delta
    elif kind == "content_block_delta" and isinstance(delta, dict):
        yield delta.get("text") if delta.get("type") == "text_delta" else None
    elif isinstance(kind, str) and kind.endswith("arguments.delta"):
        yield None
    choices = frame.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        inner = choice.get("delta") if isinstance(choice, dict) else None
        if isinstance(inner, dict):
            yield from _delta(inner)
        elif isinstance(choice, dict) and isinstance(choice.get("text"), str):
            yield choice["text"]


def _delta(delta: dict[str, Any]) -> Iterator[str | None]:
    if any(delta.get(name) for name in delta.keys() - {"role", "content"}):
        yield None
    if isinstance(delta.get("content"), str):
        yield delta["content"]
