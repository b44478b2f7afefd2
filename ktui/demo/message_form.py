"""The simulated vendors' answers in the form of Anthropic messages."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

_STOPS = {"stop": "end_turn", "length": "max_tokens"}


def message(identity: str, model: str, text: str, finish: str, usage: dict[str, int]) -> dict[str, Any]:
    """A whole message. `finish` and `usage` are OpenAI's."""
    return {
        "id": identity.replace("chatcmpl-", "msg_"),
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": _STOPS.get(finish, "end_turn"),
        "stop_sequence": None,
        "usage": {"input_tokens": usage["prompt_tokens"], "output_tokens": usage["completion_tokens"]},
    }


def events(whole: dict[str, Any], pieces: Iterable[tuple[str, int]]) -> Iterator[tuple[bytes, int]]:
    """The message `whole` as events, each with the tokens that are made before it is sent."""
    usage = whole["usage"]
    begun = {**whole, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield _event({"type": "message_start", "message": begun}), 0
    block = {"type": "text", "text": ""}
    yield _event({"type": "content_block_start", "index": 0, "content_block": block}), 0
    for piece, tokens in pieces:
        delta = {"type": "text_delta", "text": piece}
        yield _event({"type": "content_block_delta", "index": 0, "delta": delta}), tokens
    yield _event({"type": "content_block_stop", "index": 0}), 0
    end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    output = {"output_tokens": usage["output_tokens"]}
    yield _event({"type": "message_delta", "delta": end, "usage": output}), 0
    yield _event({"type": "message_stop"}), 0


def error(kind: str, text: str) -> dict[str, Any]:
    """An error."""
    return {"type": "error", "error": {"type": kind, "message": text}}


def _event(value: dict[str, Any]) -> bytes:
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()
