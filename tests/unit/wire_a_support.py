"""Chat requests for Anthropic and its answers and streams, and what both vendors' own packages say of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pydantic
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from proxy.wire.chat import read_request
from proxy.wire.chat_to_messages import messages_request
from proxy.wire.message_to_chat import chat_completion
from proxy.wire.messages_stream_to_chat import MessagesStreamToChat
from proxy.wire.translation import Translated

MODEL = "claude-sonnet-4-20250514"
NEW = "claude-opus-4-7"
MIDDLE = "claude-sonnet-4-5-20250929"
HELLO: list[dict[str, Any]] = [{"role": "user", "content": "Hello"}]
PNG = "iVBORw0KGgo="
CREATED = 1_700_000_000
_REQUESTS = pydantic.TypeAdapter(MessageCreateParamsNonStreaming)


def translate(model: str = MODEL, **request: Any) -> Translated:
    """The translation of a chat request with these keys."""
    body = json.dumps({"model": "m", "messages": HELLO} | request).encode()
    return messages_request(read_request("chat", body), model)


def sent(model: str = MODEL, **request: Any) -> dict[str, Any]:
    """The translated request, after the anthropic package's types took it."""
    body = json.loads(translate(model, **request).body)
    _exhaust(_REQUESTS.validate_python(body))
    assert isinstance(body, dict)
    return body


def _exhaust(value: Any) -> None:
    """Go through `value`: pydantic validates iterables only as far as they are read."""
    if isinstance(value, dict):
        for inner in value.values():
            _exhaust(inner)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for inner in value:
            _exhaust(inner)


def message(*content: dict[str, Any], stop: str | None = "end_turn", **more: Any) -> bytes:
    """A whole answer of Anthropic's."""
    value = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": list(content),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 5},
    }
    return json.dumps(value | more).encode()


def completion(body: bytes, *, json_tool: bool = False) -> dict[str, Any]:
    """The chat completion, after the openai package's model took it."""
    answer = chat_completion(body, CREATED, json_tool=json_tool)
    assert answer is not None
    value = json.loads(answer.body)
    ChatCompletion.model_validate(value)
    assert isinstance(value, dict)
    return value


def event(kind: str, **value: Any) -> bytes:
    """One event of Anthropic's stream."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind} | value, ensure_ascii=False)}\n\n".encode()


def start(**usage: Any) -> bytes:
    """The event that begins a message."""
    told = {"input_tokens": 10, "output_tokens": 1} | usage
    begun = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [],
        "usage": told,
    }
    return event("message_start", message=begun | {"stop_reason": None, "stop_sequence": None})


def block(index: int, first: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    """One content block from its first event to its last."""
    parts = [event("content_block_delta", index=index, delta=delta) for delta in deltas]
    opened = event("content_block_start", index=index, content_block=first)
    return opened + b"".join(parts) + event("content_block_stop", index=index)


def text_block(index: int, *texts: str) -> bytes:
    """A block of text."""
    return block(
        index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": text} for text in texts)
    )


def tool_block(index: int, call: str, name: str, *parts: str) -> bytes:
    """A block that calls a tool."""
    first = {"type": "tool_use", "id": call, "name": name, "input": {}}
    return block(index, first, *({"type": "input_json_delta", "partial_json": part} for part in parts))


def end(stop: str | None = "end_turn", sequence: str | None = None, **usage: Any) -> bytes:
    """The two events that end a message."""
    delta = {"stop_reason": stop, "stop_sequence": sequence}
    return event("message_delta", delta=delta, usage={"output_tokens": 5} | usage) + event("message_stop")


def carry(
    source: bytes | Sequence[bytes], *, usage: bool = False, json_tool: bool = False
) -> tuple[bytes, MessagesStreamToChat]:
    """What the client gets of a whole stream, and what carried it."""
    stream = MessagesStreamToChat(CREATED, includes_usage=usage, json_tool=json_tool)
    chunks = [source] if isinstance(source, bytes) else source
    return b"".join([stream.feed(chunk) for chunk in chunks]) + stream.finish(), stream


def chunks(out: bytes) -> list[dict[str, Any]]:
    """The chunks in `out`, after the openai package's model took each; `[DONE]` is not among them."""
    found = []
    for frame in out.split(b"\n\n"):
        if frame.startswith(b"data: ") and frame != b"data: [DONE]":
            value = json.loads(frame[6:])
            ChatCompletionChunk.model_validate(value)
            found.append(value)
    return found


def joined(out: bytes) -> dict[str, Any]:
    """The message that a client puts together from the chunks, with its `finish_reason`."""
    made: dict[str, Any] = {
        "content": "",
        "reasoning_content": "",
        "refusal": "",
        "tool_calls": {},
        "thinking_blocks": [],
    }
    for chunk in chunks(out):
        for choice in chunk["choices"]:
            delta = choice["delta"]
            for name in ("content", "reasoning_content", "refusal"):
                made[name] += delta.get(name) or ""
            for carried in delta.get("thinking_blocks", []):
                assert carried.pop("index") == len(made["thinking_blocks"])
                made["thinking_blocks"].append(carried)
            for call in delta.get("tool_calls", []):
                held = made["tool_calls"].setdefault(call["index"], {"arguments": ""})
                held |= {"id": call["id"], "name": call["function"]["name"]} if "id" in call else {}
                held["arguments"] += call["function"]["arguments"]
            made["finish_reason"] = choice["finish_reason"]
    return made
