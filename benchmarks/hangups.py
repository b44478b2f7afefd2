"""A thousand clients that hang up after a millisecond, whole and streamed: what stays behind of them.

python -m benchmarks.hangups [--clients 1000] [--after-ms 1]

The gateway runs in this process, so that its tasks and gauges can be counted; the vendor answers after 200 ms. Exit
code 1 when anything is left: a request in flight, a connection, a task, or a pool that answers no more.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from proxy.events.event import Event
from proxy.gateway.app import DataPlane
from proxy.gateway.runtime import Runtime, build_snapshot
from proxy.gateway.server import Listener
from proxy.policy.lint import Surroundings, lint
from proxy.policy.plan import compile_plan
from proxy.upstream.aiohttp_transport import AiohttpTransport

ENV = {"OPENAI_API_KEY": "unused"}
SETTLED_S = 10.0
"""By then nothing may be left."""
VENDOR_S = 0.2
_CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}
_WHOLE = json.dumps({"model": "gpt-4o", "choices": [_CHOICE]}).encode()
_PIECE = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
_END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


@dataclass
class Vendor:
    """Answers every request on a kept-alive connection after VENDOR_S; a stream says its first word at once."""

    requests: int = 0
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split()[0])
                body = await reader.readexactly(length)
                self.requests += 1
                await self._answer(writer, streamed=b'"stream": true' in body)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            self.connections -= 1
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, *, streamed: bool) -> None:
        kind = b"text/event-stream" if streamed else b"application/json"
        size = len(_PIECE + _END) if streamed else len(_WHOLE)
        head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (kind, size)
        if streamed:
            writer.write(head + _PIECE)
        await asyncio.sleep(VENDOR_S)
        writer.write(_END if streamed else head + _WHOLE)
        await writer.drain()


@dataclass
class Events:
    """Counts what is recorded."""

    outcomes: Counter[str] = field(default_factory=Counter)
    ids: set[str] = field(default_factory=set)

    def append(self, event: Event) -> None:
        """See Recorder."""
        self.outcomes[event.outcome] += 1
        self.ids.add(event.id)


@dataclass
class Bench:
    """A gateway in front of the vendor."""

    runtime: Runtime
    listener: Listener
    vendor: Vendor
    events: Events
    address: tuple[str, int]

    def left(self, idle_tasks: int) -> dict[str, int]:
        """What is there that was not there before."""
        # Kept-alive connections of the pool are served by tasks of the vendor, which are no leak.
        tasks = len(asyncio.all_tasks()) - idle_tasks - self.vendor.connections
        return {
            "requests in flight": self.runtime.in_flight,
            "client connections": self.listener.connections,
            "tasks": max(0, tasks),
        }

    async def ask(self, request: bytes) -> bytes:
        """One patient client; the status line of its answer."""
        reader, writer = await asyncio.open_connection(*self.address)
        writer.write(request)
        async with asyncio.timeout(SETTLED_S):
            answer = await reader.read()
        writer.close()
        return answer.partition(b"\r\n")[0]


def a_request(*, streamed: bool) -> bytes:
    """A chat request on a connection of its own."""
    messages = [{"role": "user", "content": "Hello"}]
    body = json.dumps({"model": "gpt-4o", "messages": messages, "stream": streamed}).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Connection: close\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def hang_up(bench: Bench, request: bytes, after_s: float) -> None:
    """One client that does not wait."""
    _, writer = await asyncio.open_connection(*bench.address)
    writer.write(request)
    await asyncio.sleep(after_s)
    writer.transport.abort()


async def measure(bench: Bench, clients: int, after_s: float, *, streamed: bool) -> bool:
    """One round; whether nothing was left."""
    request = a_request(streamed=streamed)
    await bench.ask(request)
    idle, sent = len(asyncio.all_tasks()) - bench.vendor.connections, bench.vendor.requests
    bench.events.outcomes.clear()
    began = time.perf_counter()
    await asyncio.gather(*(hang_up(bench, request, after_s) for _ in range(clients)))
    gone = time.perf_counter()
    while any(bench.left(idle).values()) and time.perf_counter() - gone < SETTLED_S:
        await asyncio.sleep(0.01)
    settled = time.perf_counter()
    left = bench.left(idle)
    outcomes = dict(bench.events.outcomes)
    answers = Counter(await asyncio.gather(*(bench.ask(request) for _ in range(100))))
    fine = not any(left.values()) and set(answers) == {b"HTTP/1.1 200 OK"}
    words = [
        f"{clients} clients, {'streamed' if streamed else 'whole'}: all gone after {gone - began:.2f} s,",
        f"nothing left {settled - gone:.2f} s later;" if fine else f"LEFT {left};",
        f"{bench.vendor.requests - sent - 100} reached the vendor; events {outcomes};",
        f"100 requests after them: {dict(answers)}",
    ]
    sys.stdout.write(" ".join(words) + "\n")
    return fine


async def run(clients: int, after_s: float) -> bool:
    """Both rounds."""
    vendor, events = Vendor(), Events()
    server = await asyncio.start_server(vendor.serve, "127.0.0.1", 0, backlog=clients)
    host, port = server.sockets[0].getsockname()[:2]
    text = f"providers:\n  targets:\n    - {{id: openai, base_url: 'http://{host}:{port}'}}\n"
    policy = lint(text, Surroundings(env=ENV, today=date(2026, 6, 1))).policy_file
    if policy is None:
        raise SystemExit("the policy of this benchmark does not lint")
    runtime = Runtime(recorder=events, transport=AiohttpTransport(), max_in_flight=clients + 100)
    runtime.snapshot = build_snapshot(policy, compile_plan(policy, "benchmark"), ENV, 1)
    listener = Listener(DataPlane(runtime))
    bench = Bench(runtime, listener, vendor, events, await listener.start())
    try:
        return all([await measure(bench, clients, after_s, streamed=streamed) for streamed in (False, True)])
    finally:
        await listener.stop(0.5)
        await runtime.transport.close()
        server.close()


def main() -> int:
    """Run it; 0 when nothing was left."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--after-ms", type=float, default=1.0)
    given = parser.parse_args()
    return 0 if asyncio.run(run(given.clients, given.after_ms / 1e3)) else 1


if __name__ == "__main__":
    sys.exit(main())
