"""The parts of the benchmark: the load generator counts right, the upstream speaks HTTP, the report subtracts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT))


@pytest_asyncio.fixture
async def upstream() -> AsyncIterator[tuple[str, int]]:
    from benchmarks.upstream import Connection

    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    yield ("127.0.0.1", server.sockets[0].getsockname()[1])
    server.close()


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_upstream_answers_whole_and_streamed(upstream: tuple[str, int], streamed: bool) -> None:
    import httpx

    from benchmarks import load

    body = load.requests("x", 1, streamed)[0].partition(b"\r\n\r\n")[2]
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{upstream[1]}") as client:
        answer = await client.post("/v1/chat/completions", content=body)
    if streamed:
        frames = [line[6:] for line in answer.text.splitlines() if line.startswith("data: ")]
        assert frames[-1] == "[DONE]"
        assert json.loads(frames[-2])["usage"]["total_tokens"] == 262
    else:
        assert answer.json()["usage"]["total_tokens"] == 262


async def test_constant_rate_sends_what_it_says_and_times_it(upstream: tuple[str, int]) -> None:
    from benchmarks import load

    made = load.requests("x", 10, streamed=False)
    sample = await load.constant_rate(upstream, made, rate=100, seconds=0.3)
    assert (len(sample.latencies_us), sample.errors) == (30, 0)
    assert sample.latencies_us == sorted(sample.latencies_us)
    assert 0 < sample.percentile(0.5) <= sample.percentile(0.99)


async def test_a_slow_answer_holds_up_no_other_request() -> None:
    from benchmarks import load

    seen: list[float] = []

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        seen.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.5)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    made = load.requests("x", 1, streamed=False)
    sample = await load.constant_rate(server.sockets[0].getsockname(), made, rate=50, seconds=0.2)
    server.close()
    assert len(sample.latencies_us) == 10
    assert seen[-1] - seen[0] < 0.45
    assert sample.percentile(0.0) >= 0.5e6 * 0.99


async def test_what_fails_is_an_error_and_no_latency(unused_tcp_port: int) -> None:
    from benchmarks import load

    made = load.requests("x", 1, streamed=False)
    sample = await load.saturation(("127.0.0.1", unused_tcp_port), made, connections=1, seconds=0.05)
    assert sample.errors > 0
    assert sample.latencies_us == []


def test_the_report_compares_within_a_round() -> None:
    from benchmarks.latency import Row, added

    def row(name: str, number: int, p50: float) -> Row:
        return Row(name, "rate", number, 100, 0, 100.0, p50, p50, 10.0, 0.0)

    # The second round was slow for everybody: the difference is still 50.
    rows = [row("direct", 1, 100), row("kt", 1, 150), row("direct", 2, 900), row("kt", 2, 950)]
    assert added(rows, "kt", "rate", "p50_us") == 50
    assert added(rows, "direct", "rate", "p50_us") == 0


def test_a_busy_process_costs_processor_time() -> None:
    import os
    import sys
    import time

    if sys.platform != "linux":
        pytest.skip("reads /proc")
    from benchmarks.machine import cpu_s, tree

    before, until = cpu_s([os.getpid()]), time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert 0.05 <= cpu_s([os.getpid()]) - before <= 1
    assert tree(os.getpid())[0] == os.getpid()
