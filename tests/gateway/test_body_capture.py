"""What is kept of bodies: what came and what went, byte for byte, on the event before the client sees the end."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from conftest import StartGateway
from gateway_support import (
    DONE,
    QUESTION,
    STREAM_HEAD,
    CutError,
    Gateway,
    RawUpstream,
    chunked,
    delta,
    reply_json,
    reply_stream,
    two_vendors,
    usage_frame,
)

from proxy.events.event import Bodies

ASK: dict[str, Any] = {"model": "gpt-4o", "messages": QUESTION}
STREAMED = [delta("Hel"), delta("lo"), delta(finish="stop"), DONE]
CLAUDE: dict[str, Any] = {"model": "claude-sonnet-5", "max_tokens": 9, "messages": QUESTION}


def kept(gateway: Gateway) -> Bodies:
    (event,) = gateway.events.events
    assert event.bodies is not None
    return event.bodies


@pytest.fixture
async def keeping(start_gateway: StartGateway, upstream: RawUpstream) -> Gateway:
    return await start_gateway(two_vendors(upstream.url) + "events: {bodies: true}\n")


async def test_nothing_is_kept_unless_the_file_says_so(gateway: Gateway) -> None:
    await gateway.ask(ASK)
    assert gateway.events.events[0].bodies is None


async def test_a_whole_answer(keeping: Gateway) -> None:
    reply = await keeping.ask(ASK)
    bodies = kept(keeping)
    assert bodies.request is not None and bodies.response is not None
    assert (bodies.request.data, bodies.request.content_type) == (
        json.dumps(ASK).encode(),
        "application/json",
    )
    assert (bodies.response.data, bodies.response.content_type) == (reply.body, "application/json")
    assert not bodies.request.truncated and not bodies.response.truncated


async def test_a_stream_is_kept_as_the_client_got_it(keeping: Gateway, upstream: RawUpstream) -> None:
    upstream.script = reply_stream([*STREAMED[:-1], usage_frame(), DONE])
    reply = await keeping.ask({**ASK, "stream": True})
    response = kept(keeping).response
    assert response is not None
    assert response.data == reply.body == b"".join(STREAMED)
    assert response.content_type == "text/event-stream"


async def test_a_stream_that_breaks_off_is_kept_with_the_error_it_ended_in(
    keeping: Gateway, upstream: RawUpstream
) -> None:
    upstream.script = reply_stream(STREAMED[:1], end=False, cut=True)
    reply = await keeping.ask({**ASK, "stream": True})
    response = kept(keeping).response
    assert response is not None and b"broke off" in response.data
    assert response.data == reply.body


async def test_an_answer_too_large_to_hold_is_cut_and_counted(
    start_gateway: StartGateway, upstream: RawUpstream
) -> None:
    gateway = await start_gateway(two_vendors(upstream.url) + "events: {bodies: {max_bytes: 100}}\n")
    upstream.script = reply_json({"choices": [], "x": "y" * 17 * 1024 * 1024})
    reply = await gateway.ask({**ASK, "user": "u" * 200})
    bodies = kept(gateway)
    assert bodies.request is not None and bodies.response is not None
    assert len(bodies.request.data) == 100 and bodies.request.size == len(json.dumps(ASK)) + 212
    assert bodies.response.data == reply.body[:100] and bodies.response.size == len(reply.body)
    assert bodies.request.truncated and bodies.response.truncated


@pytest.mark.parametrize("body", [b"{", b'{"model": "nobody-serves-this", "messages": []}'])
async def test_our_own_refusal_is_kept(keeping: Gateway, body: bytes) -> None:
    reply = await keeping.ask(body)
    bodies = kept(keeping)
    assert bodies.request is not None and bodies.request.data == body
    assert bodies.response is not None and bodies.response.data == reply.body and reply.status >= 400


async def test_a_body_that_was_refused_unread_is_none(keeping: Gateway) -> None:
    reply = await keeping.ask(ASK, headers=[("Sec-Fetch-Site", "cross-site")])
    bodies = kept(keeping)
    assert reply.status == 403 and bodies.request is None
    assert bodies.response is not None and bodies.response.data == reply.body


async def test_a_compressed_request_is_kept_plain(keeping: Gateway) -> None:
    plain = json.dumps(ASK).encode()
    await keeping.ask(gzip.compress(plain), headers=[("Content-Encoding", "gzip")])
    request = kept(keeping).request
    assert request is not None and request.data == plain


async def test_a_translated_answer_is_kept_in_the_dialect_of_the_client(
    keeping: Gateway, upstream: RawUpstream
) -> None:
    answer = {"id": "m", "type": "message", "role": "assistant", "model": "claude", "stop_reason": "end_turn",
              "content": [{"type": "text", "text": "hi"}], "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip
    upstream.script = reply_json(answer)
    reply = await keeping.ask({**ASK, "model": "claude-sonnet-5"})
    response = kept(keeping).response
    assert reply.status == 200 and response is not None
    assert response.data == reply.body and b'"choices"' in response.data
    assert response.content_type == "application/json"


async def test_a_client_that_leaves_keeps_what_it_was_sent(keeping: Gateway, upstream: RawUpstream) -> None:
    async def script(seen: Any, reader: Any, writer: Any) -> None:
        writer.write(STREAM_HEAD + chunked(STREAMED[0]))
        await writer.drain()
        await reader.read()
        raise CutError

    upstream.script = script
    import asyncio

    from gateway_support import request

    reader, writer = await asyncio.open_connection(keeping.host, keeping.port)
    writer.write(request(json.dumps({**ASK, "stream": True}).encode()))
    await reader.readuntil(b"Hel")
    writer.close()
    (event,) = await keeping.events.until(1)
    assert event.outcome == "client_cancelled" and event.bodies is not None
    assert event.bodies.response is not None and event.bodies.response.data == STREAMED[0]


async def test_what_counts_no_tokens_and_the_models_leave_nothing(keeping: Gateway) -> None:
    await keeping.ask(b"", path="/v1/models", method="GET")
    await keeping.ask(CLAUDE, path="/v1/messages/count_tokens")
    assert keeping.events.events == []
