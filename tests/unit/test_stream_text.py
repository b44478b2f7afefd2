"""The text of a stream of frames, in every dialect; nothing where there is more than text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.base.stream_text import Said, said_in


def stream(*frames: Any) -> str:
    return "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames) + "data: [DONE]\n\n"


def chat(**delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def claude(**delta: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (stream(chat(role="assistant", content=""), chat(content="Hel"), chat(content="lo"), chat()), "Hello"),
        (stream({"choices": [{"text": "Hel"}]}, {"choices": [{"text": "lo"}]}), "Hello"),
        (stream({"type": "message_start", "message": {}}, claude(type="text_delta", text="Hello")), "Hello"),
        (stream({"type": "response.output_text.delta", "delta": "Hello"}, {"type": "response.completed"}), "Hello"),
        (stream(chat(content="Hello")) + 'data: {"choices": [{"del', "Hello"),
    ],
)  # fmt: skip
def test_text_is_joined(text: str, said: str) -> None:
    found = said_in(text)
    assert found is not None and found.text == said


@pytest.mark.parametrize(
    "text",
    [
        "", "no frames", stream(), stream(chat()), stream([1], 2, None, "x"),
        stream(chat(content="x"), chat(tool_calls=[{"function": {"arguments": "{"}}])),
        stream(claude(type="input_json_delta", partial_json="{")),
        stream(chat(content="x"), {"error": {"message": "no"}}),
        stream({"type": "response.function_call_arguments.delta", "delta": "{"}),
        stream({"choices": "x", "delta": 3}, {"choices": [7, {"delta": {"content": 3}}]}),
    ],
)  # fmt: skip
def test_where_there_is_more_than_text_or_none_it_is_none(text: str) -> None:
    assert said_in(text) is None


def test_frames_are_counted() -> None:
    assert said_in(stream(chat(content="a"), chat(content="b"))) == Said("ab", 2)
