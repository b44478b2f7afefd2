"""Silence and time: keep-alive comments, clocks that pings do not stop, a total."""

from __future__ import annotations

import asyncio
from typing import Any

from gateway_support import (
    DONE,
    QUESTION,
    STREAM_HEAD,
    CutError,
    RawUpstream,
    Script,
    Seen,
    chunked,
    delta,
    reply_and_wait,
)

ASK: dict[str, Any] = {"model": "m", "messages": QUESTION, "stream": True}
KEEPALIVE = b": keepalive\n\n"


def policy(url: str, timeouts: str = "", gateway: str = "") -> str:
    head = f"gateway: {{{gateway}}}\n" if gateway else ""
    limits = f", timeouts: {{{timeouts}}}" if timeouts else ""
    return (
        f"{head}providers: {{targets: [{{id: a, provider: openai-compatible, base_url: '{url}', "
        f"models: [m]{limits}}}]}}\n"
    )


def pause_after(first: bytes, pause_s: float, *rest: bytes) -> Script:
    async def script(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunked(first))
        await asyncio.sleep(pause_s)
        writer.write(b"".join(chunked(piece) for piece in rest) + b"0\r\n\r\n")

    return script


async def test_a_silent_stream_gets_comments_of_ours(start_gateway: Any, upstream: RawUpstream) -> None:
    upstream.script = pause_after(delta("Hi"), 0.5, delta(finish="stop"), DONE)
    gateway = await start_gateway(policy(upstream.url, gateway="keepalive: 100ms"))
    reply = await gateway.ask(ASK)
    assert reply.body.count(KEEPALIVE) >= 2
    assert reply.body.replace(KEEPALIVE, b"") == delta("Hi") + delta(finish="stop") + DONE
    assert gateway.events.events[0].outcome == "ok"


async def test_they_can_be_turned_off(start_gateway: Any, upstream: RawUpstream) -> None:
    upstream.script = pause_after(delta("Hi"), 0.3, delta(finish="stop"), DONE)
    gateway = await start_gateway(policy(upstream.url, gateway="keepalive: off"))
    assert (await gateway.ask(ASK)).body == delta("Hi") + delta(finish="stop") + DONE


async def test_pings_do_not_hide_a_stall(start_gateway: Any, upstream: RawUpstream) -> None:
    async def pings(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD + chunked(delta("Hi")))
        while not reader.at_eof():
            writer.write(chunked(b": ping\n\n"))
            await asyncio.sleep(0.02)
        raise CutError

    upstream.script = pings
    gateway = await start_gateway(policy(upstream.url, timeouts="idle: 200ms"))
    reply = await gateway.ask(ASK)
    assert b"upstream_timeout" in reply.body and b"[DONE]" not in reply.body
    assert gateway.events.events[0].outcome == "truncated"


async def test_nothing_takes_longer_than_the_total(start_gateway: Any, upstream: RawUpstream) -> None:
    gateway = await start_gateway(policy(upstream.url), total_s=0.2)
    upstream.script = reply_and_wait(b"")
    reply = await gateway.ask(ASK)
    assert (reply.status, reply.error["code"]) == (504, "request_timeout")
    upstream.script = reply_and_wait(STREAM_HEAD + chunked(delta("Hi")))
    reply = await gateway.ask(ASK)
    assert reply.status == 200 and b"request_timeout" in reply.body and b"[DONE]" not in reply.body
    assert [event.outcome for event in gateway.events.events] == ["error", "truncated"]
    await upstream.until(lambda: upstream.open == 0, 1)


async def test_an_anthropic_client_is_pinged_only_once_its_message_began(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    start = b'event: message_start\ndata: {"type":"message_start","message":{}}\n\n'
    stop = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'

    async def late(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        await asyncio.sleep(0.4)
        writer.write(chunked(start))
        await asyncio.sleep(0.4)
        writer.write(chunked(stop) + b"0\r\n\r\n")

    upstream.script = late
    text = (
        "gateway: {keepalive: 100ms}\n"
        f"providers: {{targets: [{{id: anthropic, base_url: '{upstream.url}', auth: passthrough}}]}}\n"
    )
    gateway = await start_gateway(text, peek_s=0.05)
    ask = {"model": "claude-x", "max_tokens": 5, "messages": QUESTION, "stream": True}
    reply = await gateway.ask(ask, "/v1/messages", [("x-api-key", "k")])
    before, _, after = reply.body.partition(start)
    ping = b'event: ping\ndata: {"type": "ping"}\n\n'
    assert before and not before.replace(KEEPALIVE, b"")
    assert ping in after and after.replace(ping, b"") == stop
