"""A data plane on a real listener in front of a scriptable upstream."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from gateway_support import (
    DONE,
    WHOLE,
    Events,
    Gateway,
    RawUpstream,
    Seen,
    delta,
    reply_json,
    reply_stream,
    snapshot_of,
    two_vendors,
    usage_frame,
)

from proxy.gateway.app import DataPlane
from proxy.gateway.guard import Limits
from proxy.gateway.runtime import Runtime
from proxy.gateway.server import Listener
from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.retry import RetryRules

QUICK = RetryRules(base_s=0.002, floor_s=0.001)
"""Pauses that a test need not wait for."""
StartGateway = Callable[..., Awaitable[Gateway]]


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port where nobody listens, and which nobody else is given meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    upstream = RawUpstream()
    await upstream.start()
    yield upstream
    await upstream.stop()


@pytest.fixture
async def start_gateway() -> AsyncIterator[StartGateway]:
    """Starts gateways from policy texts and stops them."""
    running: list[Gateway] = []

    async def start(
        text: str | None, env: dict[str, str] | None = None, limits: Limits | None = None, **settings: Any
    ) -> Gateway:
        events = Events()
        settings = {"retry_rules": QUICK} | settings
        runtime = Runtime(recorder=events, transport=AiohttpTransport(), **settings)
        runtime.snapshot = snapshot_of(text, env) if text is not None else None
        plane = DataPlane(runtime)
        listener = Listener(plane, limits=limits)
        host, port = await listener.start()
        gateway = Gateway(host, port, runtime, events, listener, plane)
        running.append(gateway)
        return gateway

    yield start
    for gateway in running:
        await gateway.listener.stop(0.5)
        await gateway.runtime.transport.close()


@pytest.fixture
async def gateway(start_gateway: StartGateway, upstream: RawUpstream) -> Gateway:
    """Both vendors at one upstream, no policy."""
    return await start_gateway(two_vendors(upstream.url))


@pytest.fixture
def gateway_in_thread() -> Iterator[str]:
    """A gateway on an event loop of its own, for clients that block. Its base URL."""
    ready: queue.Queue[str] = queue.Queue()
    loop = asyncio.new_event_loop()
    done = asyncio.Event()

    async def answer(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = [delta("Hi"), delta(" there"), delta(finish="stop"), usage_frame(), DONE]
        script = reply_stream(frames) if seen.json.get("stream") else reply_json(WHOLE)
        await script(seen, reader, writer)

    async def run() -> None:
        upstream = RawUpstream()
        upstream.script = answer
        await upstream.start()
        runtime = Runtime(recorder=Events(), transport=AiohttpTransport())
        runtime.snapshot = snapshot_of(two_vendors(upstream.url))
        listener = Listener(DataPlane(runtime))
        host, port = await listener.start()
        ready.put(f"http://{host}:{port}/v1")
        await done.wait()
        await listener.stop(0.5)
        await runtime.transport.close()
        await upstream.stop()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    yield ready.get(timeout=10)
    loop.call_soon_threadsafe(done.set)
    thread.join(10)
    loop.close()
