"""The simulated vendors' answers in the form of OpenAI responses."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any


def response(
    identity: str, model: str, text: str, finish: str, usage: dict[str, int], created: int
) -> dict[str, Any]:
    """A whole response. `finish` and `usage` are those of a chat completion; `created` is in seconds since 1970."""
    cut = finish == "length"
    return {
        "id": identity.replace("chatcmpl-", "resp_"),
        "object": "response",
        "created_at": created,
        "model": model,
        "status": "incomplete" if cut else "completed",
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
        "instructions": None,
        "metadata": {},
        "output": [_item(identity, [_part(text)], "incomplete" if cut else "completed")],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        },
    }


def events(whole: dict[str, Any], pieces: Iterable[tuple[str, int]]) -> Iterator[tuple[bytes, int]]:
    """The response `whole` as events, each with the tokens that are made before it is sent."""
    item = whole["output"][0]
    part = item["content"][0]
    begun = {**whole, "status": "in_progress", "incomplete_details": None, "output": [], "usage": None}
    empty = {**item, "status": "in_progress", "content": []}
    at = {"output_index": 0, "item_id": item["id"], "content_index": 0}
    steps: list[tuple[str, dict[str, Any], int]] = [
        ("response.created", {"response": begun}, 0),
        ("response.in_progress", {"response": begun}, 0),
        ("response.output_item.added", {"output_index": 0, "item": empty}, 0),
        ("response.content_part.added", {**at, "part": _part("")}, 0),
        *(
            ("response.output_text.delta", {**at, "delta": piece, "logprobs": []}, tokens)
            for piece, tokens in pieces
        ),
        ("response.output_text.done", {**at, "text": part["text"], "logprobs": []}, 0),
        ("response.content_part.done", {**at, "part": part}, 0),
        ("response.output_item.done", {"output_index": 0, "item": item}, 0),
        (f"response.{whole['status']}", {"response": whole}, 0),
    ]
    for number, (kind, told, tokens) in enumerate(steps):
        data = json.dumps({"type": kind, "sequence_number": number, **told})
        yield f"event: {kind}\ndata: {data}\n\n".encode(), tokens


def _item(identity: str, content: list[dict[str, Any]], status: str) -> dict[str, Any]:
    return {
        "id": identity.replace("chatcmpl-", "msg_"),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": content,
    }


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
