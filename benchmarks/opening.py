"""Opening the screen over a large store: its charts, its first picture, and what it all takes of memory.

Fills a store with N requests of the last 30 days (kept in DIR/events.db with --state, and used again), and measures
over a gateway in a process of its own: `/v1/metrics/series` of long windows; `ktui attach` in a pty of 120x40,
from its start (of the program, imports and all) to the last byte of its first whole picture; resident memory of
screen, gateway and the processes they started, at first and after charts of 30 days and a search of every row.
The same memory for `ktui` alone, where gateway and screen are one process.

python -m benchmarks.opening [--events 5000000] [--state DIR] [--runs 7]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp

from benchmarks.contenders import environment, operator_token
from benchmarks.gateway_process import GatewayProcess
from benchmarks.machine import new_loop, tree
from benchmarks.table import fill
from benchmarks.terminal import Pty
from proxy.events.rollups.counting import count
from proxy.events.sqlite_writer import Writer

CHARTS = (
    {"metric": "latency_p95", "group_by": "variant", "window": "30d", "step": "4h"},
    {"metric": "latency_p95", "group_by": "model", "window": "30d", "step": "4h"},
    {"metric": "cost_per_1k", "group_by": "variant", "window": "30d", "step": "4h"},
    {"metric": "requests_per_s", "group_by": "all", "window": "30d", "step": "4h"},
    {"metric": "latency_p95", "group_by": "variant", "window": "7d", "step": "1h"},
    {"metric": "latency_p95", "group_by": "variant", "window": "24h", "step": "10m"},
    {"metric": "latency_p95", "group_by": "variant", "window": "15m", "step": "10s"},
)
SIZE = (120, 40)
KEEP_ALL = "events: {retention: 400d, max_size: 100GiB}\n"
CHART_MS, OPEN_MS, MEMORY_MB = 150, 1_000, 250
"""The goals: the first chart, the first picture, and screen and gateway together."""
_FOLDED = 20_000
_STILL_S = 0.7
"""So long without a byte, and the picture is whole."""


def out(line: str) -> None:
    """One line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def prepare(path: Path, number: int) -> None:
    """A store of `number` requests, rolled up."""
    await fill(path, number)
    writer = Writer(path)
    await writer.open()
    while (counted := count(path, _FOLDED)) is not None:
        await writer.take_in(counted)
    await writer.empty_log()
    await writer.close()


async def charts(gateway: GatewayProcess, runs: int) -> float:
    """Each chart, asked often; the median of the first one in milliseconds."""
    head = {"Authorization": f"Bearer {operator_token(gateway.state)}"}
    medians = []
    async with aiohttp.ClientSession(f"http://127.0.0.1:{gateway.api}", headers=head) as http:
        for params in CHARTS:
            taken, size = [], 0
            for _ in range(runs):
                began = time.perf_counter()
                async with http.get("/v1/metrics/series", params=params) as answer:
                    assert answer.status == 200, await answer.text()
                    size = len(await answer.read())
                taken.append((time.perf_counter() - began) * 1e3)
            medians.append(statistics.median(taken))
            name = (
                f"{params['metric']} by {params['group_by']}, {params['window']} in steps of {params['step']}"
            )
            out(f"{medians[-1]:7.0f} ms, at first {taken[0]:5.0f}   {name} ({size:,} bytes)")
    return medians[0]


async def first_picture(screen: Pty, began: float) -> float:
    """Milliseconds from `began` to the last byte of the first picture with requests in it."""
    before, changed = 0, began
    while b"serving" not in screen.last or time.monotonic() - changed < _STILL_S:
        await asyncio.sleep(0.002)
        if screen.written != before:
            before, changed = screen.written, time.monotonic()
        if time.monotonic() - began > 30:
            raise SystemExit(f"the screen was not drawn: {screen.last[-400:]!r}")
    return (changed - began) * 1e3


def resident_mb(pid: int) -> float:
    """Resident memory of a process and of all it started, in millions of bytes."""
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in tree(pid))
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


async def use(screen: Pty) -> None:
    """What a reader does: both charts to 30 days, a search of every row, and half a minute of paging."""
    for keys in ("\t", "++++++", "\t", "++++++", "/", "latency>20s\r"):
        screen.type(keys)
        await asyncio.sleep(1.5)
    for _ in range(100):
        screen.type("\x1b[5~")
        await asyncio.sleep(0.05)
    await asyncio.sleep(3)


async def measured(
    argv: list[str], env: dict[str, str], memory: Callable[[int], Awaitable[float]], runs: int
) -> tuple[float, float]:
    """Medians of the first picture (ms) and, after use, of the memory (MB)."""
    opened, before, after = [], 0.0, 0.0
    for number in range(runs):
        began = time.monotonic()
        screen = Pty(argv, env, SIZE)
        try:
            opened.append(await first_picture(screen, began))
            if number == runs - 1:
                before = await memory(screen.pid)
                await use(screen)
                after = await memory(screen.pid)
        finally:
            await screen.close()
    out(f"{statistics.median(opened):7.0f} ms to the first picture (longest {max(opened):.0f}); "
        f"{before:.0f} MB then, {after:.0f} MB after use")  # fmt: skip
    return statistics.median(opened), after


async def run(number: int, state: Path, runs: int) -> bool:
    """Fills, measures and reports; whether all goals are met."""
    await prepare(state / "events.db", number)
    out(f"{number:,} requests of 30 days, {(state / 'events.db').stat().st_size / 1e9:.1f} GB")
    with tempfile.TemporaryDirectory() as place:
        env = environment() | {
            "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "HOME": place,
            "PATH": os.environ["PATH"],
        }  # fmt: skip
        gateway = GatewayProcess(Path(place), vendor_port=9, state=state, more=KEEP_ALL)
        await gateway.start()
        await gateway.serving()
        try:
            chart = await charts(gateway, runs)

            async def both(pid: int) -> float:
                return resident_mb(pid) + resident_mb(gateway.pid)

            attach = [sys.executable, "-m", "ktui", "attach", f"http://127.0.0.1:{gateway.api}"]
            out("ktui attach, and the gateway's process:")
            env["KT_API_TOKEN"] = operator_token(state)
            opened, memory = await measured(attach, env, both, runs)
        finally:
            await gateway.end(signal.SIGTERM)
        out("ktui alone:")

        async def one(pid: int) -> float:
            return resident_mb(pid)

        alone = [sys.executable, "-m", "ktui", str(gateway.policy), "--listen", "127.0.0.1:0",
                 "--api-listen", "127.0.0.1:0", "--state-dir", str(state)]  # fmt: skip
        _, memory_alone = await measured(alone, env, one, 1)
    for what, found, goal, unit in (
        ("30-day p95 by variant", chart, CHART_MS, "ms"),
        ("opening the screen", opened, OPEN_MS, "ms"),
        ("memory, two processes", memory, MEMORY_MB, "MB"),
        ("memory, one process", memory_alone, MEMORY_MB, "MB"),
    ):
        out(f"{what:24} {found:6.0f} {unit}, goal {goal}: {'met' if found < goal else 'MISSED'}")
    return chart < CHART_MS and opened < OPEN_MS and max(memory, memory_alone) < MEMORY_MB


def main() -> None:
    """Reads the options and runs; exit code 1 when a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=5_000_000)
    parser.add_argument("--state", type=Path, help="a state directory to keep the store in")
    parser.add_argument("--runs", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, asyncio.Runner(loop_factory=new_loop) as runner:
        state = (given.state or Path(place) / "state").absolute()
        sys.exit(0 if runner.run(run(given.events, state, given.runs)) else 1)


if __name__ == "__main__":
    main()
