"""Asking a large store: `python -m benchmarks.store [--events N] [--path FILE] [--runs R]`.

Fills a database with N events (kept when --path is given, and used again), serves it by the control API in a process
of its own, and asks over HTTP: first pages of filters that indexes answer, and whole searches of those they do not.
Milliseconds are medians over R runs; `here ms` is processor time of the process that serves the API.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.asking import Asked, asked
from proxy.base.times import rfc3339
from proxy.events.event import Event
from proxy.events.sqlite_writer import Writer

START_MS = 1_760_000_000_000
SPAN_MS = 30 * 86_400_000
BATCH = 5_000
FIRST_PAGE = 100
MOST = 5_000
"""Rows of one search, so that it ends at the end of the store where little is found."""
INDEXED = (
    "", "model:gpt-4o", "model:o3", "model:gpt-4*", "variant:b", "variant:canary and model:o3", "decision:block",
    "decision:allow", "status:5xx", "status:429 and model:gpt-4o-mini", "error:timeout", "has:error", "key:team-3",
    "key:team-3 and variant:canary and decision:block", "user:u-77", "policy:cheap", "policy:rare", "version:3fa9",
    "version:00dd and status:5xx", "time>=-7d and status:503", "-20d..-10d and decision:block", "-25d..-24d",
    "policy:rare or user:u-77", "id:00012", "not decision:allow and not model:gpt-4o",
)  # fmt: skip
"""What indexes can answer."""
SCANNED = (
    "latency>20s", "cost>=0.03", "prompt_tokens>8k", "ttft>1s", "nothing-like-this", "metadata.team:blue",
    "model:claude* and latency>20s", "not user:u-77 and latency>20s", "not policy:ab and latency>10s",
    "finish:length or quality<0.7", "target:azure",
)  # fmt: skip
"""What every row is looked at for."""


def make(index: int, number: int, source: random.Random) -> Event:
    """An event of ordinary traffic: a few models, one request in fifty failing, one in two hundred refused."""
    draw = source.random()
    blocked, failed = draw < 0.005, 0.005 <= draw < 0.025
    status = 403 if blocked else source.choice((429, 500, 502, 503)) if failed else 200
    latency = source.lognormvariate(6.5, 0.8)
    user = f"{source.randrange(20_000):032x}"
    changes: dict[str, Any] = {
        "policies_triggered": ["guard"] if blocked else ["ab", "cheap"] if draw > 0.7 else ["ab"],
        "error": source.choice(("timeout", "upstream_5xx", "rate_limited")) if failed else None,
        "split": "ab",
        "ab_tag": source.choices(("ab-a", "ab-b", "canary"), (90, 9, 1))[0],
        "unit_kind": "user",
        "unit_digest": user,
        "facts": {"units": {"user": user}, "max_tokens": 512},
        "key": f"team-{source.randrange(12)}",
        "config_version": f"{source.choice((0x3FA91C00, 0x00DD0001, 0x77AA0002)):08x}" + "0" * 56,
    }
    if source.random() < 0.000_02:
        changes["policies_triggered"] = ["rare"]
    return Event(
        id=f"{index:032x}",
        timestamp_ms=START_MS + index * SPAN_MS // number - int(latency),
        endpoint="chat",
        requested_model="gpt-4o",
        model=source.choices(("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "o3"), (60, 30, 9.9, 0.1))[0],
        decision="block" if blocked else "allow",
        status=status,
        outcome="blocked" if blocked else "error" if failed else "ok",
        latency_ms=latency,
        provider="openai",
        target="openai",
        input_tokens=source.randrange(50, 4_000),
        output_tokens=source.randrange(10, 900),
        usage_status="reported",
        cost_nanos=source.randrange(100_000, 30_000_000),
        cost_status="priced",
        attempts=0 if blocked else 1,
        **changes,
    )


async def fill(path: Path, number: int) -> None:
    """Write `number` events, and say how fast."""
    source = random.Random(1)
    writer = Writer(path)
    await writer.open()
    writing = 0.0
    for first in range(writer.total, number, BATCH):
        batch = [make(index, number, source) for index in range(first, min(first + BATCH, number))]
        began = time.perf_counter()
        await writer.write(batch)
        writing += time.perf_counter() - began
    await writer.close()
    if writing:
        out(f"written: {number / writing:,.0f} events/s, {path.stat().st_size / 2**20:,.0f} MiB")


def out(line: str) -> None:
    """One line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


async def pages(store: Asked, runs: int, at: str) -> None:
    """First pages of what indexes answer."""
    out(f"\n{'page ms':>8} {'list ms':>8} {'rows':>5}  filter (index)")
    for text in INDEXED:
        params: dict[str, str | int] = {"filter": text, "limit": FIRST_PAGE, "at": at}
        found = [await store.search(**params) for _ in range(runs)]
        listed = [await store.page_ms(**params) for _ in range(runs)]
        done = median([one.done_ms for one in found])
        out(f"{done:8.1f} {median(listed):8.1f} {found[0].found:5}  {text or '(all)'}")


async def searches(store: Asked, runs: int, at: str) -> None:
    """Searches of what every row is looked at for, to the end."""
    head = f"{'told ms':>8} {'rows ms':>8} {'all ms':>8} {'rows':>5} {'M rows/s':>8} {'gap ms':>7} {'here ms':>7}"
    out(f"\n{head}  filter (every row)")
    for text in SCANNED:
        found = [await store.search(filter=text, limit=MOST, at=at) for _ in range(runs)]
        rows = [one.rows_ms for one in found if one.rows_ms is not None]
        first = f"{median(rows):8.1f}" if rows else f"{'-':>8}"
        out(
            f"{median([one.told_ms for one in found]):8.1f} {first} {median([one.done_ms for one in found]):8.0f} "
            f"{found[0].found:5} {median([one.rows_per_s for one in found]) / 1e6:8.1f} "
            f"{median([one.gap_ms for one in found]):7.0f} {median([one.gateway_s for one in found]) * 1e3:7.0f}  {text}"
        )


async def run(path: Path, number: int, runs: int) -> None:
    """Fill and ask."""
    await fill(path, number)
    at = rfc3339(START_MS + SPAN_MS)
    async with asked(path) as store:
        await store.search(filter="latency>1h", at=at)
        await pages(store, runs, at)
        await searches(store, runs, at)
        serving, working = store.resident()
        out(f"\nresident: {serving:.0f} MiB serving the API, {working:.0f} MiB searching")


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--path", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    given = parser.parse_args()
    if given.path is not None:
        asyncio.run(run(given.path, given.events, given.runs))
        return
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(run(Path(place) / "events.db", given.events, given.runs))


if __name__ == "__main__":
    main()
