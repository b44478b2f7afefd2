"""A messages client in front of a chat upstream, and forms: what the gateway does around the translation."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from gateway_support import (
    DONE,
    WHOLE,
    Gateway,
    RawUpstream,
    Reply,
    Seen,
    delta,
    frame,
    reply_json,
    reply_raw,
    reply_stream,
    request,
    usage_frame,
)

ASKED: dict[str, Any] = {
    "model": "gpt-4o",
    "max_tokens": 9,
    "messages": [{"role": "user", "content": "Hello"}],
    "top_k": 3,
}
STREAMED = {**ASKED, "stream": True}
MESSAGES = "/v1/messages"


def types(reply: Reply) -> list[str]:
    return [json.loads(line[6:])["type"] for line in reply.body.split(b"\n") if line.startswith(b"data: ")]


async def test_a_whole_answer(gateway: Gateway, upstream: RawUpstream) -> None:
    reply = await gateway.ask(ASKED, MESSAGES)
    assert reply.status == 200
    assert reply.json["content"] == [{"type": "text", "text": "Hi"}]
    assert reply.headers["x-kt-dropped-params"] == "top_k"
    assert reply.headers["content-type"] == "application/json"
    seen = upstream.seen[0]
    assert seen.line.split()[1].endswith("/v1/chat/completions")
    assert seen.json == {"model": "gpt-4o", "messages": ASKED["messages"], "max_tokens": 9}
    event = (await gateway.events.until(1))[0]
    assert (event.outcome, event.input_tokens, event.output_tokens) == ("ok", 12, 5)
    assert (event.endpoint, event.upstream_model) == ("messages", "gpt-4o-2024-08-06")


async def test_a_stream(gateway: Gateway, upstream: RawUpstream) -> None:
    upstream.script = reply_stream([delta("Hi"), delta(finish="stop"), usage_frame(), DONE])
    reply = await gateway.ask(STREAMED, MESSAGES)
    assert types(reply)[0] == "message_start"
    assert types(reply)[-2:] == ["message_delta", "message_stop"]
    assert upstream.seen[0].json["stream_options"] == {"include_usage": True}
    event = (await gateway.events.until(1))[0]
    assert (event.outcome, event.input_tokens, event.output_tokens) == ("ok", 12, 5)
    assert event.ttft_ms is not None


async def test_an_upstream_that_refuses_to_tell_usage_is_asked_once_without(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    async def script(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refused = "stream_options" in seen.json
        error = {"error": {"message": "Unknown parameter: stream_options", "type": "invalid_request_error"}}
        answer = reply_json(error, 400) if refused else reply_stream([delta("Hi", "stop"), DONE])
        await answer(seen, reader, writer)

    upstream.script = script
    for _ in range(2):
        assert types(await gateway.ask(STREAMED, MESSAGES))[-1] == "message_stop"
    assert ["stream_options" in seen.json for seen in upstream.seen] == [True, False, False]


async def test_a_page_instead_of_an_error_is_an_error_of_the_dialect(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    page = b"<html>bad</html>"
    head = b"HTTP/1.1 403 X\r\ncontent-type: text/html\r\ncontent-length: %d\r\n\r\n" % len(page)
    upstream.script = reply_raw(head + page)
    reply = await gateway.ask(ASKED, MESSAGES)
    assert (reply.status, reply.headers["content-type"]) == (403, "application/json")
    assert (reply.json["type"], reply.error["type"]) == ("error", "permission_error")


async def test_what_is_no_completion_is_an_error(gateway: Gateway, upstream: RawUpstream) -> None:
    upstream.script = reply_json({"hello": 1})
    reply = await gateway.ask(ASKED, MESSAGES)
    assert (reply.status, reply.error["type"]) == (502, "api_error")
    event = (await gateway.events.until(1))[0]
    assert (event.status, event.outcome) == (502, "error")


async def test_an_answer_too_large_to_translate_is_an_error(
    gateway: Gateway, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.gateway.dispatch.WHOLE_LIMIT", 10)
    upstream.script = reply_json({**WHOLE, "padding": "x" * 2**20})
    reply = await gateway.ask(ASKED, MESSAGES)
    assert (reply.status, reply.error["type"]) == (502, "api_error")
    assert "too large" in reply.error["message"]


async def test_a_stream_that_breaks_off_ends_with_an_error_event(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    upstream.script = reply_stream([delta("Hi")])
    assert types(await gateway.ask(STREAMED, MESSAGES))[-1] == "error"
    assert (await gateway.events.until(1))[0].outcome == "truncated"


async def test_an_error_inside_the_stream_is_an_error_event(gateway: Gateway, upstream: RawUpstream) -> None:
    failed = frame({"error": {"message": "m", "type": "server_error", "code": "rate_limit_exceeded"}})
    upstream.script = reply_stream([delta("Hi"), failed, DONE])
    reply = await gateway.ask(STREAMED, MESSAGES)
    assert types(reply)[-1] == "error"
    assert b'"type":"rate_limit_error"' in reply.body
    event = (await gateway.events.until(1))[0]
    assert (event.outcome, event.error) == ("error", "rate_limit_exceeded")


async def test_what_cannot_be_asked_of_a_chat_upstream_never_goes_there(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    image = {"type": "image", "source": {"type": "file", "file_id": "f"}}
    reply = await gateway.ask({**ASKED, "messages": [{"role": "user", "content": [image]}]}, MESSAGES)
    assert (reply.status, reply.error["type"]) == (400, "invalid_request_error")
    assert reply.error["message"].startswith("messages[0].content[0].source")
    assert upstream.seen == []


async def test_a_form_goes_on_byte_for_byte_but_for_its_model(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    upstream.script = reply_json({"text": "hello", "usage": {"type": "duration", "seconds": 1}})
    file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n\x00\xff\r\n'
    body = file + b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n--b--\r\n'
    data = request(body, "/v1/audio/transcriptions").replace(
        b"application/json", b"multipart/form-data; boundary=b"
    )
    reply = Reply.parse(await gateway.raw(data))
    assert (reply.status, reply.json["text"]) == (200, "hello")
    assert upstream.seen[0].body == body
    assert upstream.seen[0].header("content-type") == "multipart/form-data; boundary=b"
    assert (await gateway.events.until(1))[0].model == "whisper-1"


async def test_thinking_that_a_chat_model_said_does_not_go_to_anthropic(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    upstream.script = reply_json({"type": "message", "content": [], "usage": {}})
    blocks = [{"type": "thinking", "thinking": "hm", "signature": ""}, {"type": "text", "text": "Hi"}]
    turns = [*ASKED["messages"], {"role": "assistant", "content": blocks}, *ASKED["messages"]]
    reply = await gateway.ask({**ASKED, "model": "claude-sonnet-4-5", "messages": turns}, MESSAGES)
    assert reply.headers["x-kt-dropped-params"] == "messages.thinking"
    assert upstream.seen[0].line.split()[1].endswith("/v1/messages")
    assert upstream.seen[0].json["messages"][1]["content"] == blocks[1:]
