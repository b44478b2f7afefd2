"""Anthropic's answers as OpenAI chat completions: whole ones, and errors."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.wire.chat_turns import JSON_TOOL
from proxy.wire.errors import ReportedError, error_body, read_error
from proxy.wire.json_values import dump, items, load_object, mapping, text
from proxy.wire.translation import WholeAnswer
from proxy.wire.usage import Usage, anthropic_usage

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "model_context_window_exceeded": "length",
    # The turn is not over: "stop" would say that it is.
    "pause_turn": "length",
}
"""`stop_reason` to `finish_reason`; an unknown one is a stop."""


class _Block(msgspec.Struct):
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Content(msgspec.Struct):
    content: list[_Block]


_CONTENT = msgspec.json.Decoder(_Content)


def chat_completion(body: bytes, created: int, *, json_tool: bool = False) -> WholeAnswer | None:
    """The chat completion that a whole message is; None when it cannot be read as one.

    `created`: seconds since 1970. `json_tool`: the call of our own tool is the content. Arguments of calls are
    the vendor's bytes.
    """
    message = load_object(body)
    if message is None or message.get("type") != "message":
        return None
    usage = anthropic_usage(mapping(message, "usage"))
    reason = text(message, "stop_reason")
    choice: dict[str, Any] = {
        "index": 0,
        "message": _message(_blocks(message, body), refusal_of(message), json_tool),
        "logprobs": None,
        "finish_reason": finish_reason(reason, json_tool),
    }
    if text(message, "stop_sequence"):
        choice["stop_reason"] = message["stop_sequence"]
    completion: dict[str, Any] = {
        "id": text(message, "id"),
        "object": "chat.completion",
        "created": created,
        "model": text(message, "model"),
        "choices": [choice],
    }
    if usage is not None:
        completion["usage"] = chat_usage(usage)
    return WholeAnswer(200, dump(completion), usage, reason or None, text(message, "model") or None)


def finish_reason(reason: str, json_tool: bool) -> str:
    """OpenAI's word for `reason`."""
    if json_tool and reason == "tool_use":
        return "stop"
    return FINISH.get(reason, "stop")


def refusal_of(value: dict[str, Any]) -> str | None:
    """Why the vendor refused, in its words: `stop_details` of a message or of a `message_delta`."""
    return text(mapping(value, "stop_details"), "explanation") or None


def _blocks(message: dict[str, Any], body: bytes) -> list[dict[str, Any]]:
    """The content blocks, the `input` of each as its own JSON text."""
    blocks = [block for block in items(message, "content") if isinstance(block, dict)]
    try:
        inputs = [bytes(block.input) for block in _CONTENT.decode(body).content]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        inputs = [dump(block.get("input", {})) for block in blocks]
    if len(inputs) != len(blocks):  # the key `content` stands twice in the body
        inputs = [dump(block.get("input", {})) for block in blocks]
    return [{**block, "input": given.decode()} for block, given in zip(blocks, inputs, strict=True)]


def _message(blocks: list[dict[str, Any]], refusal: str | None, json_tool: bool) -> dict[str, Any]:
    written = "".join(text(block, "text") for block in blocks if block.get("type") == "text")
    calls = [block for block in blocks if block.get("type") == "tool_use"]
    if json_tool:
        written = next((_arguments(call) for call in calls if call.get("name") == JSON_TOOL), written)
        calls = [call for call in calls if call.get("name") != JSON_TOOL]
    message: dict[str, Any] = {"role": "assistant", "content": written or None, "refusal": refusal}
    if calls:
        message["tool_calls"] = [
            {
                "id": text(call, "id"),
                "type": "function",
                "function": {"name": text(call, "name"), "arguments": _arguments(call)},
            }
            for call in calls
        ]
    thinking = [block for block in blocks if block.get("type") in ("thinking", "redacted_thinking")]
    if thinking:
        message["reasoning_content"] = "".join(text(block, "thinking") for block in thinking) or None
        message["thinking_blocks"] = [_thinking(block) for block in thinking]
    return message


def _arguments(call: dict[str, Any]) -> str:
    written = text(call, "input")
    return written if written.startswith("{") else "{}"


def _thinking(block: dict[str, Any]) -> dict[str, Any]:
    if block["type"] == "redacted_thinking":
        return {"type": block["type"], "data": text(block, "data")}
    return {
        "type": block["type"],
        "thinking": text(block, "thinking"),
        "signature": text(block, "signature"),
    }


def chat_usage(usage: Usage) -> dict[str, Any]:
    """OpenAI's usage object; cached and reasoning tokens are parts of the sums."""
    inputs, outputs = usage.input_tokens or 0, usage.output_tokens or 0
    report: dict[str, Any] = {
        "prompt_tokens": inputs,
        "completion_tokens": outputs,
        "total_tokens": inputs + outputs,
    }
    cache = {"cached_tokens": usage.cached_tokens, "cache_write_tokens": usage.cache_write_tokens}
    told = {name: count for name, count in cache.items() if count is not None}
    if told:
        report["prompt_tokens_details"] = told
    if usage.reasoning_tokens is not None:
        report["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return report


def chat_error(status: int, body: bytes) -> WholeAnswer:
    """An Anthropic error as OpenAI's; its kind becomes the code. What is overloaded (529) is 503 there."""
    error = read_error(body) or ReportedError(None, None)
    shown = 503 if status == 529 else status
    message = error.message or f"the upstream answered with the status {status}"
    return WholeAnswer(shown, error_body(shown, error.code, message), error=error)
