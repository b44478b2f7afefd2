"""The event table over a store of a million requests, behind a real gateway in a process of its own.

The whole application runs (headless, 120x40) as for a person. Measured from the key to the frame that shows it:
paging up through the store, to the oldest, back to the newest, a filter's first rows; then frames while 100
requests a second arrive; and the memory of both processes. What a terminal needs to draw is not in it.

python -m benchmarks.table [--events 1000000] [--pages 400]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
from textual._compositor import CompositorUpdate
from textual.events import Key
from textual.screen import Screen

from benchmarks.contenders import operator_token
from benchmarks.gateway_process import GatewayProcess
from benchmarks.machine import tree
from benchmarks.store import BATCH, SPAN_MS, START_MS, make
from ktui.app import KtuiApp
from ktui.link import GatewayLink
from ktui.screens.live_events import EventsRegion
from ktui.widgets.event_table import EventTable
from proxy.base.secret import Secret
from proxy.base.times import now_ms
from proxy.events.sqlite_writer import Writer

RATE = 100
"""Requests a second that arrive while following."""
FOLLOW_S = 10.0
FILTERS = ("status:5xx", "variant:b", "latency>20s", "nothing-like-this")


def out(line: str) -> None:
    """One line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def fill(path: Path, number: int) -> None:
    """Writes `number` requests of ordinary traffic, the newest of now."""
    source, later = random.Random(1), now_ms() - START_MS - SPAN_MS
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = Writer(path)
    await writer.open()
    for first in range(writer.total, number, BATCH):
        batch = [make(index, number, source) for index in range(first, min(first + BATCH, number))]
        for event in batch:
            event.timestamp_ms += later
        await writer.write(batch)
    await writer.close()


class Frames:
    """The frames of an application, and how long each took to become bytes."""

    def __init__(self, app: KtuiApp) -> None:
        self.took: list[float] = []
        self.painted = asyncio.Event()

        def displayed(screen: Screen[Any], renderable: Any) -> None:
            # What a driver with a terminal does with a frame, up to the write.
            if isinstance(renderable, CompositorUpdate):
                began = time.perf_counter()
                renderable.render_segments(app.console)
                self.took.append((time.perf_counter() - began) * 1_000)
                self.painted.set()

        app._display = displayed  # type: ignore[method-assign]
        driver = app._driver
        assert driver is not None
        self._driver = driver

    async def press(self, key: str, until: Callable[[], bool] = lambda: True) -> float:
        """Milliseconds from a key to the first frame that is painted when `until` holds."""
        self.painted.clear()
        began = time.perf_counter()
        self._driver.send_message(Key(key, key if len(key) == 1 else None))
        await self.painted.wait()
        while not until():
            await asyncio.sleep(0.001)
            if not until():
                self.painted.clear()
                continue
            break
        return (time.perf_counter() - began) * 1_000


def rss_mib(pid: int | None = None) -> float:
    """Resident memory of a process and its children, by default of this one alone."""
    pids = [os.getpid()] if pid is None else tree(pid)
    pages = sum(int(Path(f"/proc/{one}/statm").read_text().split()[1]) for one in pids)
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def line(name: str, taken: list[float]) -> str:
    """Median, p95 and the longest of milliseconds."""
    p95 = statistics.quantiles(taken, n=20)[-1] if len(taken) > 1 else taken[0]
    return f"{name:34} median {statistics.median(taken):7.1f} ms   p95 {p95:7.1f} ms   longest {max(taken):7.1f} ms   ({len(taken)})"


async def load(port: int) -> None:
    """Sends RATE requests a second that the policy refuses, until ended."""
    body = {"model": "o1-pro", "messages": [{"role": "user", "content": "hi"}]}
    url = f"http://127.0.0.1:{port}/v1/chat/completions"
    under_way: set[asyncio.Task[None]] = set()
    async with aiohttp.ClientSession() as http:

        async def send() -> None:
            async with http.post(url, json=body) as answer:
                await answer.read()

        due = time.monotonic()
        while True:
            due += 1 / RATE
            await asyncio.sleep(max(due - time.monotonic(), 0))
            task = asyncio.create_task(send())
            under_way.add(task)
            task.add_done_callback(under_way.discard)


async def measure(gateway: GatewayProcess, pages: int) -> None:
    """Reads the table as a person would."""
    link = GatewayLink(f"http://127.0.0.1:{gateway.api}", Secret(operator_token(gateway.state)))
    app = KtuiApp(link, env={"TERM": "xterm-256color", "COLORTERM": "truecolor"})
    async with app.run_test(size=(120, 40)) as pilot:
        table, region = app.query_one(EventTable), app.query_one(EventsRegion)
        while not len(table.rows):
            await pilot.pause(0.05)
        await pilot.pause(1.0)
        frames = Frames(app)
        await _scroll(frames, table, pages)
        out(line("end: to the newest", [await frames.press("end", lambda: table.following)]))
        for text in FILTERS:
            await _filter(region, text)
        region.set_filter("")
        await pilot.pause(0.5)
        frames.took.clear()
        sender = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.table", "--load", str(gateway.data)
        )
        before = table.rows.newest_seq
        while table.rows.newest_seq == before:
            await asyncio.sleep(0.05)
        frames.took.clear()
        newest, busy = table.rows.newest_seq or 0, time.process_time()
        await asyncio.sleep(FOLLOW_S)
        busy = time.process_time() - busy
        sender.terminate()
        await sender.wait()
        arrived = (table.rows.newest_seq or 0) - newest
        out(f"{'following':34} {arrived / FOLLOW_S:.0f} requests/s, {len(frames.took) / FOLLOW_S:.1f} frames/s, "
            f"{busy / FOLLOW_S:.0%} of a core")  # fmt: skip
        out(line("  bytes of a frame", frames.took))
        out(f"{'memory':34} screen {rss_mib():.0f} MiB, gateway {rss_mib(gateway.pid):.0f} MiB")
    await link.close()


async def _scroll(frames: Frames, table: EventTable, pages: int) -> None:
    taken, waits = [], 0
    for _ in range(pages):
        before = table.rows.cursor_seq
        taken.append(await frames.press("pageup"))
        while table.rows.cursor_seq == before:
            waits += 1
            await asyncio.sleep(0.005)
            await frames.press("pageup")
    out(line("pageup", taken) + f", {waits} found the next page still on its way")
    taken = [await frames.press("k") for _ in range(min(pages, 100))]
    out(line("k: one row up", taken))
    out(line("g: to the oldest in the store", [await frames.press("g", lambda: table.rows.older == "end")]))
    taken = [await frames.press("pagedown") for _ in range(min(pages, 100))]
    out(line("pagedown", taken))


async def _filter(region: EventsRegion, text: str) -> None:
    began = time.perf_counter()
    first = 0.0
    region.set_filter(text)
    while region.filter_text != text or (search := region.listing.search) is None or search.running:
        if not first and region.filter_text == text and len(region.table.rows):
            first = (time.perf_counter() - began) * 1_000
        await asyncio.sleep(0.002)
    whole = (time.perf_counter() - began) * 1_000
    said = f"first rows {first or whole:6.0f} ms" if len(region.table.rows) else "no row      "
    out(f"filter {text:27} {said}   search ended {whole:7.0f} ms   {search.found:,} of {search.searched:,}")


async def run(events: int, pages: int) -> None:
    """Fills, starts, measures, ends."""
    with tempfile.TemporaryDirectory() as place:
        gateway = GatewayProcess(Path(place), vendor_port=9)
        await fill(gateway.state / "events.db", events)
        await gateway.start()
        await gateway.serving()
        out(f"{events:,} requests in the store")
        try:
            await measure(gateway, pages)
        finally:
            await gateway.end(signal.SIGTERM)


def main() -> None:
    """Reads the options and runs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--load", type=int, metavar="PORT", help=argparse.SUPPRESS)
    given = parser.parse_args()
    asyncio.run(load(given.load) if given.load else run(given.events, given.pages))


if __name__ == "__main__":
    main()
