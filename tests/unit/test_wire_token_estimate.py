"""Estimates of usage that was never reported."""

from __future__ import annotations

import json

import pytest

from proxy.wire.token_estimate import Spoken, estimated, tokens_of
from proxy.wire.usage import Usage


def chat(text: str) -> bytes:
    frame = {
        "id": "c",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": text}}],
    }
    return b"data: " + json.dumps(frame).encode() + b"\n\n"


def message(text: str) -> bytes:
    delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}
    return b"event: content_block_delta\ndata: " + json.dumps(delta).encode() + b"\n\n"


@pytest.mark.parametrize("frame", [chat, message])
@pytest.mark.parametrize("together", [1, 7, 100])
def test_characters_are_told_from_bytes(frame, together: int) -> None:  # type: ignore[no-untyped-def]
    words = ["Hello", " there,", " how", " are", " you"] * 20
    frames = [frame(word) for word in words]
    spoken = Spoken()
    for start in range(0, len(frames), together):
        spoken.add(b"".join(frames[start : start + together]))
    assert abs(spoken.chars - len("".join(words))) <= len(frames)


def test_what_says_nothing_counts_nothing() -> None:
    spoken = Spoken()
    spoken.add(b": keepalive\n\n")
    spoken.add(b"")
    assert spoken.chars == 0


def test_what_was_reported_stays_but_for_an_early_output() -> None:
    assert estimated(401, 39, None) == Usage(101, 10)
    assert estimated(401, 40, Usage(7, 1, cached_tokens=3)) == Usage(7, 10, cached_tokens=3)
    assert estimated(401, 40, Usage(7, 50)) == Usage(7, 50)
    assert estimated(None, 40, None) is None, "a prompt that is no text is not guessed at"


def test_tokens_are_rounded_up() -> None:
    assert [tokens_of(chars) for chars in (0, 1, 4, 5)] == [0, 1, 1, 2]
