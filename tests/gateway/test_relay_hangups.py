"""Many clients that hang up at once: nothing they held stays."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from gateway_support import (
    DONE,
    QUESTION,
    STREAM_HEAD,
    WHOLE,
    Gateway,
    RawUpstream,
    Seen,
    chunked,
    delta,
    reply_json,
    request,
)

CLIENTS = 300


def slow(stream: bool) -> Any:
    """Answers after a while, as a vendor does."""

    async def script(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if stream:
            writer.write(STREAM_HEAD + chunked(delta("Hi")))
        await asyncio.sleep(0.05)
        if stream:
            writer.write(chunked(DONE) + b"0\r\n\r\n")
        else:
            await reply_json(WHOLE)(seen, reader, writer)

    return script


async def hang_up(gateway: Gateway, body: bytes) -> None:
    _, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(request(body))
    await asyncio.sleep(0.001)
    writer.transport.abort()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_clients_that_hang_up_after_a_millisecond(
    gateway: Gateway, upstream: RawUpstream, stream: bool
) -> None:
    gateway.runtime.max_in_flight = CLIENTS + 10
    upstream.script = slow(stream)
    body = json.dumps({"model": "gpt-4o", "messages": QUESTION, "stream": stream}).encode()
    await gateway.ask(body)
    idle = len(asyncio.all_tasks())
    await asyncio.gather(*(hang_up(gateway, body) for _ in range(CLIENTS)))
    async with asyncio.timeout(20):
        while gateway.runtime.in_flight or gateway.listener.connections or upstream.open > 1:
            await asyncio.sleep(0.01)
        # A request that never reached the gateway whole is none; of each that did there is one event.
        while len(asyncio.all_tasks()) > idle + upstream.open:
            await asyncio.sleep(0.01)
    events = gateway.events.events
    assert len({event.id for event in events}) == len(events)
    assert {event.outcome for event in events} <= {"ok", "client_cancelled"}
    upstream.script = slow(stream)
    assert (await gateway.ask(body)).status == 200, "and it serves on"
    target = gateway.runtime.routes.targets[0]
    assert gateway.runtime.breakers.of(target.fingerprint).state(0) == "closed", "leaving is no failure"
