"""Streams: frame by frame, byte for byte, and honest about how they end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from gateway_support import (
    DONE,
    QUESTION,
    STREAM_HEAD,
    USAGE,
    CutError,
    Gateway,
    RawUpstream,
    Reply,
    Script,
    Seen,
    chunked,
    delta,
    frame,
    reply_json,
    reply_stream,
    request,
    usage_frame,
)
from openai import APIError, AsyncOpenAI

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": QUESTION, "stream": True}
TEXT = [delta("Hel"), delta("lo"), delta(finish="stop")]
AZURE_FIRST = frame({"id": "", "model": "", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]})


async def test_a_stream_with_the_official_client(gateway: Gateway, upstream: RawUpstream) -> None:
    upstream.script = reply_stream([*TEXT, usage_frame(), DONE])
    async with AsyncOpenAI(base_url=gateway.base, api_key="x", max_retries=0) as client:
        stream = await client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True)
        parts = [part async for part in stream]
    assert "".join(part.choices[0].delta.content or "" for part in parts) == "Hello"
    (event,) = gateway.events.events
    assert (event.outcome, event.stream, event.finish_reason, event.upstream_model) == (
        "ok",
        True,
        "stop",
        "up",
    )
    assert (event.input_tokens, event.output_tokens, event.cost_status) == (12, 5, "priced")
    assert event.ttft_ms is not None and 0 < event.ttft_ms <= event.latency_ms


async def test_usage_that_was_not_asked_for_is_asked_for_and_dropped(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    both = delta("x", usage=USAGE)
    upstream.script = reply_stream([AZURE_FIRST, *TEXT, both, usage_frame(), DONE])
    reply = await gateway.ask(ASK)
    assert upstream.seen[0].json["stream_options"] == {"include_usage": True}
    assert reply.body == b"".join([AZURE_FIRST, *TEXT, both, DONE]) and reply.ended
    assert gateway.events.events[0].output_tokens == 5


async def test_an_explicit_false_is_treated_the_same(gateway: Gateway, upstream: RawUpstream) -> None:
    upstream.script = reply_stream([*TEXT, usage_frame(), DONE])
    body = (
        b'{"stream_options" : {"include_usage" : false, "x":1},"model":"gpt-4o","stream":true,"messages":[]}'
    )
    reply = await gateway.ask(body)
    assert upstream.seen[0].body == body.replace(b"false", b"true")
    assert reply.body == b"".join([*TEXT, DONE])


async def test_usage_that_was_asked_for_is_kept_and_the_request_untouched(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    upstream.script = reply_stream([*TEXT, usage_frame(), DONE])
    body = json.dumps({**ASK, "stream_options": {"include_usage": True}}).encode()
    reply = await gateway.ask(body)
    assert upstream.seen[0].body == body
    assert reply.body == b"".join([*TEXT, usage_frame(), DONE])
    assert gateway.events.events[0].input_tokens == 12


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_every_other_byte_is_the_upstream_s_however_it_is_cut(
    gateway: Gateway, upstream: RawUpstream, end: bytes, size: int
) -> None:
    odd = [
        b": keepalive\n\n",
        b"event: ping\ndata: {}\n\n",
        b'data: {"choices":[],"x":\n',
        b'data: "\xe6\xbc\xa2"}\n\n',
    ]
    kept = [piece.replace(b"\n", end) for piece in [*odd, *TEXT, DONE]]
    sent = b"".join([*kept[:-1], usage_frame().replace(b"\n", end), kept[-1]])
    upstream.script = reply_stream([sent[i : i + size] for i in range(0, len(sent), size)])
    reply = await gateway.ask(ASK)
    assert reply.body == b"".join(kept)
    assert gateway.events.events[0].input_tokens == 12


async def test_each_frame_is_handed_on_before_the_next_one_comes(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    """Every frame waits for the one before it to have reached the client, so any buffering would hang this test."""
    taken: asyncio.Queue[None] = asyncio.Queue()

    async def step_by_step(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        for piece in [*TEXT, DONE]:
            writer.write(chunked(piece))
            await writer.drain()
            await taken.get()
        writer.write(b"0\r\n\r\n")

    upstream.script = step_by_step
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(request(json.dumps(ASK).encode()))
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"text/event-stream" in head and b"x-accel-buffering: no" in head
    assert b"cache-control: no-cache, no-transform" in head and b"content-encoding" not in head
    async with asyncio.timeout(5):
        for piece in [*TEXT, DONE]:
            assert await reader.readexactly(len(chunked(piece))) == chunked(piece)
            taken.put_nowait(None)
        assert await reader.read() == b"0\r\n\r\n"
    writer.close()


async def test_the_event_is_recorded_before_the_client_sees_the_end(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    upstream.script = reply_stream([*TEXT, usage_frame(), DONE])
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(request(json.dumps(ASK).encode()))
    await reader.readuntil(b"[DONE]")
    assert len(gateway.events.events) == 1
    writer.close()


async def test_a_missing_done_after_a_finish_reason_is_fine(gateway: Gateway, upstream: RawUpstream) -> None:
    upstream.script = reply_stream(TEXT)
    reply = await gateway.ask(ASK)
    assert reply.body == b"".join(TEXT) and reply.ended
    (event,) = gateway.events.events
    assert (event.outcome, event.usage_status, event.cost_status) == ("ok", "unknown", "unpriced")


async def test_a_last_frame_without_its_blank_line_is_read(gateway: Gateway, upstream: RawUpstream) -> None:
    upstream.script = reply_stream([TEXT[0], b"data: [DONE]"])
    reply = await gateway.ask(ASK)
    assert reply.body == TEXT[0] + b"data: [DONE]"
    assert gateway.events.events[0].outcome == "ok"


@pytest.mark.parametrize(
    "script",
    [
        reply_stream(TEXT[:2]),
        reply_stream([*TEXT[:2], TEXT[2][:20]]),
        reply_stream(TEXT[:2], end=False, cut=True),
    ],
    ids=["clean end", "inside a frame", "cut"],
)
async def test_a_stream_that_breaks_off_says_so_and_has_no_done(
    gateway: Gateway, upstream: RawUpstream, script: Script
) -> None:
    upstream.script = script
    reply = await gateway.ask(ASK)
    *before, last, rest = reply.body.split(b"\n\n")
    assert rest == b"" and b"[DONE]" not in reply.body and reply.ended
    assert b"".join(piece + b"\n\n" for piece in before) in (b"".join(TEXT[:2]), b"")
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == "stream_truncated"
    (event,) = gateway.events.events
    assert (event.status, event.outcome, event.error) == (200, "truncated", "stream_truncated")
    assert (event.usage_status, event.cost_status) == ("estimated", "estimated")
    assert (event.input_tokens, event.output_tokens) == (2, 2), "a token is four characters"


async def test_the_official_client_raises_on_a_stream_that_breaks_off(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    upstream.script = reply_stream(TEXT[:2])
    async with AsyncOpenAI(base_url=gateway.base, api_key="x", max_retries=0) as client:
        stream = await client.chat.completions.create(model="gpt-4o", messages=QUESTION, stream=True)
        with pytest.raises(APIError, match="broke off"):
            async for _ in stream:
                pass


async def test_a_stream_that_stalls_ends_with_an_error(start_gateway: Any, upstream: RawUpstream) -> None:
    gateway = await start_gateway(
        "providers: {targets: [{id: slow, provider: openai-compatible, "
        f"base_url: '{upstream.url}', models: [m], timeouts: {{idle: 100ms}}}}]}}\n"
    )

    async def stall(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunked(TEXT[0]))
        await reader.read()
        raise CutError

    upstream.script = stall
    reply = await gateway.ask({**ASK, "model": "m"})
    assert (
        reply.body.startswith(TEXT[0]) and b"upstream_timeout" in reply.body and b"[DONE]" not in reply.body
    )
    await upstream.until(lambda: upstream.open == 0, 1)
    assert gateway.events.events[0].outcome == "truncated"


async def test_an_error_inside_a_200_stream_is_an_error(gateway: Gateway, upstream: RawUpstream) -> None:
    bad = frame({"error": {"message": "busy", "type": "overloaded_error", "code": None}})
    upstream.script = reply_stream([TEXT[0], bad])
    reply = await gateway.ask(ASK)
    assert reply.body == TEXT[0] + bad
    (event,) = gateway.events.events
    assert (event.status, event.outcome, event.error, event.error_message) == (
        200,
        "error",
        "overloaded_error",
        "busy",
    )


async def test_an_upstream_that_refuses_stream_options_is_asked_once_more_and_remembered(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    gateway = await start_gateway(
        f"providers: {{targets: [{{id: old, provider: openai-compatible, base_url: '{upstream.url}', models: [m]}}]}}\n"
    )

    async def old(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        refused = reply_json({"error": {"message": "unknown parameter: stream_options"}}, 400)
        await (refused if b"stream_options" in seen.body else reply_stream([*TEXT, DONE]))(
            seen, reader, writer
        )

    upstream.script = old
    body = json.dumps({**ASK, "model": "m"}).encode()
    for _ in range(2):
        assert (await gateway.ask(body)).body == b"".join([*TEXT, DONE])
    assert [b"stream_options" in seen.body for seen in upstream.seen] == [True, False, False]
    assert upstream.seen[1].body == body
    assert [event.attempts for event in gateway.events.events] == [2, 1]


async def test_a_400_about_something_else_passes_as_it_is(gateway: Gateway, upstream: RawUpstream) -> None:
    body = b'{"error":{"message":"bad messages","code":"bad"}}'
    upstream.script = reply_json(body, 400)
    reply = await gateway.ask(ASK)
    assert (reply.status, reply.body, len(upstream.seen)) == (400, body, 1)


async def test_a_whole_answer_to_a_streamed_request_passes(gateway: Gateway, upstream: RawUpstream) -> None:
    reply: Reply = await gateway.ask(ASK)
    assert reply.status == 200 and reply.json["usage"] == USAGE
    assert gateway.events.events[0].input_tokens == 12


async def test_the_connection_is_used_again_after_done(gateway: Gateway, upstream: RawUpstream) -> None:
    upstream.script = reply_stream([*TEXT, DONE])
    for _ in range(3):
        await gateway.ask(ASK)
    assert upstream.connections == 1
