"""Load over raw keep-alive connections, so that the client costs little beside what it measures."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import httptools

_PROMPT = "Rank these results for the query and explain the first one in a sentence that a customer reads. "
_MOST_CONNECTIONS = 512
_PATIENCE_S = 10.0


@dataclass
class Sample:
    """What one run saw. Latencies in microseconds, sorted once the run is over."""

    seconds: float
    latencies_us: list[float] = field(default_factory=list)
    firsts_us: list[float] = field(default_factory=list)
    """Until the first byte of a body, in the order of the answers."""
    errors: int = 0

    def percentile(self, share: float) -> float:
        """Of the latencies; NaN without an answer."""
        return nearest_rank(self.latencies_us, share)

    def first_percentile(self, share: float) -> float:
        """Of the times to the first byte; NaN without an answer."""
        return nearest_rank(sorted(self.firsts_us), share)


def nearest_rank(ascending: Sequence[float], share: float) -> float:
    """The percentile by nearest rank; NaN of nothing."""
    if not ascending:
        return float("nan")
    return ascending[min(len(ascending) - 1, int(share * len(ascending)))]


def requests(
    host: str,
    count: int,
    streamed: bool,
    seed: int = 1,
    *,
    model: str = "gpt-4o",
    dialect: Literal["openai", "anthropic"] = "openai",
    prompt_bytes: int = 960,
) -> list[bytes]:
    """Requests of a population of users, as bytes ready to be sent."""
    rng = random.Random(seed)
    prompt = (_PROMPT * (prompt_bytes // len(_PROMPT) + 1))[:prompt_bytes]
    path = "/v1/messages" if dialect == "anthropic" else "/v1/chat/completions"
    made = []
    for _ in range(count):
        user = f"u-{rng.randrange(5_000)}"
        body: dict[str, object] = {"model": model, "messages": [{"role": "user", "content": prompt}]}
        body |= (
            {"max_tokens": 400, "metadata": {"user_id": user}} if dialect == "anthropic" else {"user": user}
        )
        if streamed:
            body["stream"] = True
        data = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer sk-benchmark\r\ncontent-length: {len(data)}\r\n\r\n"
        )
        made.append(head.encode() + data)
    return made


class _Connection(asyncio.Protocol):
    """One request at a time; `answer` resolves to the status at the last byte, or to None when it breaks."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int | None] | None = None
        self.open = False
        self.first = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self.open = cast(asyncio.Transport, transport), True

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._finish(None)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_body(self, body: bytes) -> None:
        if not self.first:
            self.first = time.perf_counter()

    def on_message_complete(self) -> None:
        self._finish(self._parser.get_status_code())
        self._parser = httptools.HttpResponseParser(self)

    def send(self, request: bytes) -> asyncio.Future[int | None]:
        assert self._transport is not None
        self._answer = asyncio.get_running_loop().create_future()
        self.first = 0.0
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _finish(self, status: int | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(status)


class Client:
    """A pool of connections to one address."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._idle: deque[_Connection] = deque()
        self._made = 0

    async def one(self, request: bytes, sample: Sample) -> None:
        """Send a request and note how long it took until its answer was complete."""
        # The clock of the event loop counts in milliseconds where the loop is uvloop.
        since = time.perf_counter()
        try:
            connection = await self._connection()
        except OSError:
            sample.errors += 1
            return
        status = await connection.send(request)
        if status == 200:
            sample.latencies_us.append((time.perf_counter() - since) * 1e6)
            sample.firsts_us.append((connection.first - since) * 1e6)
        else:
            sample.errors += 1
        self._idle.append(connection)

    async def _connection(self) -> _Connection:
        while self._idle:
            connection = self._idle.pop()
            if connection.open:
                return connection
        loop = asyncio.get_running_loop()
        _, made = await loop.create_connection(_Connection, self._host, self._port)
        return made

    def close(self) -> None:
        """Drop every connection."""
        for connection in self._idle:
            connection.close()


async def constant_rate(address: tuple[str, int], made: list[bytes], rate: float, seconds: float) -> Sample:
    """`rate` requests per second, whatever the answers do.

    A request never waits for the answer of another, nor for a connection: with none at rest a new one is made. So a
    gateway that stands still for a while is charged for all the requests that came in that while.
    """
    loop = asyncio.get_running_loop()
    client, sample = Client(*address), Sample(seconds)
    running: set[asyncio.Task[None]] = set()
    start = loop.time() + 0.01
    for number in range(int(rate * seconds)):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        if len(running) >= _MOST_CONNECTIONS:
            sample.errors += 1
            continue
        task = loop.create_task(client.one(made[number % len(made)], sample))
        running.add(task)
        task.add_done_callback(running.discard)
    if running:
        _, late = await asyncio.wait(running, timeout=_PATIENCE_S)
        sample.errors += len(late)
        for task in late:
            task.cancel()
    client.close()
    sample.latencies_us.sort()
    return sample


async def saturation(address: tuple[str, int], made: list[bytes], connections: int, seconds: float) -> Sample:
    """`connections` connections, each sending its next request when it has its answer."""
    client, sample = Client(*address), Sample(seconds)
    start = time.perf_counter()

    async def worker(first: int) -> None:
        number = first
        while time.perf_counter() - start < seconds:
            errors = sample.errors
            await client.one(made[number % len(made)], sample)
            number += connections
            if sample.errors > errors:
                await asyncio.sleep(0.01)

    await asyncio.gather(*(worker(number) for number in range(connections)))
    sample.seconds = time.perf_counter() - start
    client.close()
    sample.latencies_us.sort()
    return sample
