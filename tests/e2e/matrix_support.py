"""A data plane over real sockets in front of vendor stubs, for tests with the official clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

from loopback import served
from vendor_stubs import Stub

from proxy.events.event import Event
from proxy.gateway.app import DataPlane
from proxy.gateway.runtime import Runtime, build_snapshot
from proxy.gateway.server import Listener
from proxy.policy.lint import Surroundings, lint
from proxy.policy.plan import compile_plan
from proxy.upstream.aiohttp_transport import AiohttpTransport
from proxy.upstream.retry import RetryRules

ENV = {"ANTHROPIC_API_KEY": "sk-canary", "OPENAI_API_KEY": "sk-canary", "AZURE_OPENAI_API_KEY": "sk-canary"}


class Recorded:
    """A recorder in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def append(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)


@asynccontextmanager
async def serving(stub: Stub) -> AsyncIterator[Stub]:
    """The stub on a free port."""
    async with served(stub.app()) as stub.url:
        yield stub


@asynccontextmanager
async def data_plane(text: str) -> AsyncIterator[tuple[str, Recorded]]:
    """The address of a gateway that runs `text`, and what it records."""
    result = lint(text, Surroundings(env=ENV, today=date(2026, 6, 1)))
    assert result.policy_file is not None, result.diagnostics
    recorded = Recorded()
    runtime = Runtime(
        recorder=recorded, transport=AiohttpTransport(), retry_rules=RetryRules(base_s=0.002, floor_s=0.001)
    )
    runtime.snapshot = build_snapshot(result.policy_file, compile_plan(result.policy_file, "h"), ENV, 1)
    listener = Listener(DataPlane(runtime))
    host, port = await listener.start()
    try:
        yield f"http://{host}:{port}", recorded
    finally:
        await listener.stop(0.5)
        await runtime.transport.close()
