"""A client that leaves frees everything it held, at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from gateway_support import (
    DONE,
    QUESTION,
    STREAM_HEAD,
    CutError,
    Gateway,
    RawUpstream,
    Script,
    Seen,
    chunked,
    delta,
    reply_and_wait,
    request,
    two_vendors,
    usage_frame,
)

HALF_WHOLE = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"half":'
WAITING: dict[str, Script] = {
    "before the head": reply_and_wait(b""),
    "before the first token": reply_and_wait(STREAM_HEAD),
    "inside the stream": reply_and_wait(STREAM_HEAD + chunked(delta("Hi"))),
    "inside a whole answer": reply_and_wait(HALF_WHOLE),
}


def ask(stream: bool) -> bytes:
    return request(json.dumps({"model": "gpt-4o", "messages": QUESTION, "stream": stream}).encode())


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
@pytest.mark.parametrize("moment", WAITING)
async def test_the_upstream_is_closed_within_a_second(
    gateway: Gateway, upstream: RawUpstream, moment: str, stream: bool
) -> None:
    upstream.script = WAITING[moment]
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(ask(stream))
    await upstream.until(lambda: len(upstream.seen) == 1)
    if "stream" in moment:
        await reader.readuntil(b"Hi")
    writer.close()
    await upstream.until(lambda: upstream.open == 0, within_s=1)
    (event,) = await gateway.events.until(1)
    assert (event.status, event.outcome) == (499, "client_cancelled")
    assert gateway.runtime.in_flight == 0
    assert (event.usage_status, event.cost_status) == ("estimated", "estimated")
    assert event.cost_nanos is not None and event.cost_nanos > 0, "what was sent is never free"
    assert event.input_tokens == 2 and event.output_tokens == (1 if moment == "inside the stream" else 0)


async def test_a_client_that_leaves_before_its_body_is_complete(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    _, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x.localhost\r\nContent-Length: 50\r\n\r\n{")
    await writer.drain()
    async with asyncio.timeout(5):
        while gateway.runtime.in_flight == 0:
            await asyncio.sleep(0.005)
    writer.close()
    (event,) = await gateway.events.until(1)
    assert event.outcome == "client_cancelled" and not upstream.seen


async def test_a_hundred_clients_hang_up_and_every_gauge_is_back_at_zero(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    upstream.script = WAITING["inside the stream"]
    opened = [await asyncio.open_connection(gateway.host, gateway.port) for _ in range(100)]
    for place, (_, writer) in enumerate(opened):
        writer.write(ask(stream=place % 2 == 0))
    await upstream.until(lambda: len(upstream.seen) == 100)
    assert gateway.runtime.in_flight == 100
    for _, writer in opened:
        writer.transport.abort()
    await upstream.until(lambda: upstream.open == 0, within_s=2)
    events = await gateway.events.until(100)
    assert {event.outcome for event in events} == {"client_cancelled"}
    assert gateway.runtime.in_flight == 0
    async with asyncio.timeout(2):
        while gateway.listener.connections:
            await asyncio.sleep(0.005)


async def test_with_drain_the_answer_is_read_to_its_end_for_its_usage(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    gateway = await start_gateway("gateway: {on_disconnect: drain}\n" + two_vendors(upstream.url))
    left = asyncio.Event()

    async def wait_for_it(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunked(delta("Hi")))
        await writer.drain()
        await left.wait()
        writer.write(chunked(delta(finish="stop")) + chunked(usage_frame()) + chunked(DONE) + b"0\r\n\r\n")

    upstream.script = wait_for_it
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(ask(stream=True))
    await reader.readuntil(b"Hi")
    writer.close()
    async with asyncio.timeout(5):
        while gateway.listener.connections:
            await asyncio.sleep(0.005)
    left.set()
    (event,) = await gateway.events.until(1)
    assert (event.status, event.outcome) == (499, "client_cancelled")
    assert (event.input_tokens, event.output_tokens, event.cost_status) == (12, 5, "priced")


async def test_a_reader_that_does_not_read_slows_its_upstream_down(
    gateway: Gateway, upstream: RawUpstream
) -> None:
    written = 0
    piece = chunked(delta("x" * 60_000))

    async def flood(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(STREAM_HEAD)
        while True:
            writer.write(piece)
            await writer.drain()
            written += len(piece)
            if reader.at_eof():
                raise CutError

    upstream.script = flood
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port, limit=2**16)
    writer.write(ask(stream=True))
    await reader.readuntil(b"\r\n\r\n")
    before = -1
    async with asyncio.timeout(20):
        while written != before:
            before = written
            await asyncio.sleep(0.3)
    assert written < 64 * 2**20, "what is written is bounded by socket buffers"
    writer.transport.abort()
    await upstream.until(lambda: upstream.open == 0, within_s=2)
