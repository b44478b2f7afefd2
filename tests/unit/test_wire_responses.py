"""OpenAI responses and Anthropic messages to clients of the same dialect: what is read of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.wire.chat import read_request
from proxy.wire.errors import ReportedError, RequestError
from proxy.wire.native_taps import MessagesTap, NativeTap, ResponsesTap, read_message, read_response
from proxy.wire.sse import SseReader

USAGE = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 10},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 39,
}


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


def seen(tap: NativeTap, *frames: bytes) -> NativeTap:
    for frame in SseReader().feed(b"".join(frames)):
        tap.see(frame)
    return tap


# Requests.


def test_the_facts_of_a_responses_request() -> None:
    body = {
        "model": "gpt-4o",
        "stream": True,
        "max_output_tokens": 77,
        "instructions": "sys",
        "previous_response_id": "resp_1",
        "safety_identifier": "s",
        "metadata": {"team": "x"},
        "tools": [{"type": "web_search"}],
        "input": [
            {"role": "user", "content": "hé"},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "four"},
                    {"type": "input_image", "image_url": "http://x"},
                ],
            },
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "out"},
        ],
    }
    found = read_request("responses", json.dumps(body).encode())
    assert (found.model, found.stream, found.max_tokens) == ("gpt-4o", True, 77)
    assert found.prompt_chars == len("sys") + 2 + len("four") + len("out")
    assert (found.has_tools, found.has_images, found.previous_response_id) == (True, True, "resp_1")
    assert (found.safety_identifier, found.metadata) == ("s", {"team": "x"})


@pytest.mark.parametrize(
    ("value", "chars", "images"),
    [
        ("hé😀", 3, False),
        ([], 0, False),
        (5, None, False),
        ([{"type": "function_call_output", "output": [{"type": "input_text", "text": "ab"}]}], 2, False),
        (
            [{"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": "x"}}],
            0,
            True,
        ),
    ],
)
def test_input_of_every_form(value: Any, chars: int | None, images: bool) -> None:
    found = read_request("responses", json.dumps({"model": "m", "input": value}).encode())
    assert (found.prompt_chars, found.has_images) == (chars, images)


@pytest.mark.parametrize("key", ["previous_response_id", "instructions", "input", "model", "stream"])
def test_a_key_that_is_read_stands_once(key: str) -> None:
    body = f'{{"model":"m","{key}":"a","{key}":"b"}}'.encode()
    with pytest.raises(RequestError) as caught:
        read_request("responses", body)
    assert (caught.value.code, caught.value.param) == ("duplicate_key", key)


def test_the_prompt_of_an_image_request() -> None:
    found = read_request("images", b'{"model":"gpt-image-1","prompt":"a cat","stream":true}')
    assert (found.prompt_chars, found.stream) == (5, True)
    assert read_request("audio", b'{"model":"tts-1","input":"say"}').prompt_chars == 3


# Streams of responses.


def test_a_stream_of_a_response() -> None:
    created = event(
        "response.created",
        response={"id": "resp_1", "model": "gpt-4o-2024", "usage": None, "status": "in_progress"},
    )
    tap = seen(ResponsesTap(), created)
    assert (tap.model, tap.content, tap.done, tap.usage) == ("gpt-4o-2024", False, False, None)
    seen(tap, event("response.output_item.added", item={}))
    assert not tap.content
    seen(tap, event("response.output_text.delta", delta="x"))
    assert tap.content
    seen(tap, event("response.completed", response={"status": "completed", "usage": USAGE}))
    assert (tap.done, tap.finish_reason, tap.error) == (True, "completed", None)
    assert tap.usage is not None
    assert (tap.usage.input_tokens, tap.usage.output_tokens) == (30, 9)
    assert (tap.usage.cached_tokens, tap.usage.reasoning_tokens) == (10, 4)


def test_every_end_of_a_response_carries_usage() -> None:
    for kind, response, reason in (
        (
            "response.incomplete",
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "max_output_tokens",
        ),
        (
            "response.failed",
            {"status": "failed", "error": {"code": "server_error", "message": "m"}},
            "failed",
        ),
    ):
        tap = seen(ResponsesTap(), event(kind, response={**response, "usage": USAGE}))
        assert (tap.done, tap.finish_reason) == (True, reason)
        assert tap.usage is not None
        assert tap.usage.output_tokens == 9
        assert tap.error == (ReportedError("server_error", "m") if kind == "response.failed" else None)


def test_an_error_event_of_a_response() -> None:
    tap = seen(
        ResponsesTap(),
        event("response.created", response={}),
        event("error", code="c", message="m", param=None),
    )
    assert tap.error == ReportedError("c", "m")
    bare = seen(ResponsesTap(), b'data: {"error":{"code":"c","message":"m"}}\n\n')
    assert bare.error == ReportedError("c", "m")


def test_a_whole_response() -> None:
    found = read_response(
        json.dumps({"id": "r", "model": "m-1", "status": "completed", "error": None, "usage": USAGE}).encode()
    )
    assert (found.model, found.finish_reason, found.error) == ("m-1", "completed", None)
    assert found.usage is not None
    assert found.usage.cached_tokens == 10
    failed = read_response(b'{"status":"failed","error":{"code":"c","message":"m"},"usage":null}')
    assert (failed.error, failed.usage) == (ReportedError("c", "m"), None)


# Streams of messages.

STARTED = {
    "model": "claude-1",
    "usage": {
        "input_tokens": 3,
        "cache_creation_input_tokens": 5,
        "cache_read_input_tokens": 7,
        "output_tokens": 1,
    },
}


def test_a_stream_of_a_message() -> None:
    tap = seen(MessagesTap(), event("message_start", message=STARTED), event("ping"))
    seen(tap, event("content_block_start", index=0, content_block={"type": "text", "text": ""}))
    assert (tap.content, tap.model) == (False, "claude-1")
    seen(tap, event("content_block_delta", index=0, delta={"type": "text_delta", "text": "x"}))
    assert tap.content
    seen(tap, event("content_block_stop", index=0))
    seen(tap, event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 12}))
    assert not tap.done
    seen(tap, event("message_stop"))
    assert (tap.done, tap.finish_reason, tap.error) == (True, "end_turn", None)
    assert tap.usage is not None
    assert (tap.usage.input_tokens, tap.usage.output_tokens) == (15, 12)
    assert (tap.usage.cached_tokens, tap.usage.cache_write_tokens) == (7, 5)


def test_a_tool_call_or_thinking_is_content() -> None:
    for kind in ("tool_use", "thinking", "redacted_thinking"):
        assert seen(
            MessagesTap(), event("content_block_start", index=0, content_block={"type": kind})
        ).content


def test_an_error_event_of_a_message() -> None:
    tap = seen(MessagesTap(), event("error", error={"type": "overloaded_error", "message": "m"}))
    assert (tap.error, tap.done) == (ReportedError("overloaded_error", "m"), False)


def test_a_whole_message() -> None:
    found = read_message(json.dumps({"type": "message", "stop_reason": "tool_use", **STARTED}).encode())
    assert (found.model, found.finish_reason, found.error) == ("claude-1", "tool_use", None)
    assert found.usage is not None
    assert found.usage.input_tokens == 15
    assert read_message(b"<html>").usage is None


@pytest.mark.parametrize("tap", [MessagesTap, ResponsesTap])
@pytest.mark.parametrize("data", [b"data: {broken\n\n", b"data: 5\n\n", b'data: {"type":5}\n\n', b": c\n\n", b'data: {"type":"response.completed","response":5}\n\n'])  # fmt: skip
def test_what_cannot_be_read_changes_nothing(tap: type[NativeTap], data: bytes) -> None:
    found = seen(tap(), data)
    assert (found.usage, found.error, found.done, found.content) == (None, None, False, False)
