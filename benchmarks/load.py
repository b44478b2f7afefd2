"""A load generator on a raw protocol, so that its own cost does not hide what is measured.

    python benchmarks/load.py HOST:PORT --rate 100 --seconds 10         # constant rate, open loop
    python benchmarks/load.py HOST:PORT --connections 16 --seconds 5    # saturation, closed loop

Prints one JSON object: `latencies_us` (constant rate), `requests`, `errors`, `seconds`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from typing import cast

import httptools

PROMPT = "Summarise the state of these orders for the next shift. " * 16
WARM_S = 0.7
LATE_S = 10.0


def request_bytes(host: str, user: int) -> bytes:
    """A chat request of about 1 KB."""
    body = json.dumps(
        {"model": "gpt-4o", "user": f"u-{user}", "messages": [{"role": "user", "content": PROMPT}]}
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer benchmark\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Connection(asyncio.Protocol):
    """One request at a time; `done(connection, began, ok)` after each."""

    def __init__(self, done: Callable[[Connection, float, bool], None]) -> None:
        self._done = done
        self._began: float | None = None
        self._parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def send(self, request: bytes) -> None:
        """Send; the clock starts now."""
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        # A parser that has seen one answer without keep-alive takes no second one.
        if not self._parser.should_keep_alive():
            self._parser = httptools.HttpResponseParser(self)
        self._finish(status == 200)

    def connection_lost(self, error: Exception | None) -> None:
        if self._began is not None:
            self._finish(False)

    def close(self) -> None:
        """No more."""
        self._began = None
        self._transport.close()

    def _finish(self, ok: bool) -> None:
        began, self._began = self._began, None
        if began is not None:
            self._done(self, began, ok)


class Load:
    """What is sent and what came back."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._requests = [request_bytes(f"{host}:{port}", user) for user in range(1_000)]
        self._sent = 0
        self.latencies_us: list[int] = []
        self.requests = 0
        self.errors = 0
        self._counting = False

    def _next(self) -> bytes:
        self._sent += 1
        return self._requests[self._sent % len(self._requests)]

    async def _connect(self, done: Callable[[Connection, float, bool], None]) -> Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(lambda: Connection(done), self._host, self._port)
        return connection

    def _count(self, began: float, ok: bool) -> None:
        if not self._counting:
            return
        self.requests += 1
        self.errors += not ok
        self.latencies_us.append(round((time.perf_counter() - began) * 1e6))

    async def constant(self, rate: float, seconds: float) -> None:
        """Open loop: a request leaves when it is due, whatever has become of those before it."""
        loop = asyncio.get_running_loop()
        idle: list[Connection] = []
        open_ = 0

        def done(connection: Connection, began: float, ok: bool) -> None:
            nonlocal open_
            open_ -= 1
            self._count(began, ok)
            if ok:
                idle.append(connection)

        idle += [await self._connect(done) for _ in range(8)]
        start = loop.time()
        for number in range(round(rate * (seconds + WARM_S))):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            self._counting = loop.time() - start > WARM_S
            connection = idle.pop() if idle else await self._connect(done)
            open_ += 1
            connection.send(self._next())
        until = loop.time() + LATE_S
        while open_ and loop.time() < until:
            await asyncio.sleep(0.01)
        self.errors += open_
        for connection in idle:
            connection.close()

    async def saturation(self, connections: int, seconds: float) -> None:
        """Closed loop: each connection sends its next request as soon as it has its answer."""
        ending = False

        def done(connection: Connection, began: float, ok: bool) -> None:
            self._count(began, ok)
            if ok and not ending:
                connection.send(self._next())

        opened = [await self._connect(done) for _ in range(connections)]
        for connection in opened:
            connection.send(self._next())
        await asyncio.sleep(WARM_S)
        self._counting = True
        await asyncio.sleep(seconds)
        self._counting, ending = False, True
        for connection in opened:
            connection.close()


async def run(options: argparse.Namespace) -> dict[str, object]:
    """One measurement."""
    host, _, port = options.address.rpartition(":")
    load = Load(host, int(port))
    if options.rate:
        await load.constant(options.rate, options.seconds)
    else:
        await load.saturation(options.connections, options.seconds)
    return {
        "requests": load.requests,
        "errors": load.errors,
        "seconds": options.seconds,
        "latencies_us": load.latencies_us if options.rate else [],
    }


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address")
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=10.0)
    import uvloop

    print(json.dumps(uvloop.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
