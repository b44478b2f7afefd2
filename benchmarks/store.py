"""First pages of filters over a large store: `python -m benchmarks.store [--events N] [--path FILE]`.

Fills a database with N events (kept when --path is given, and used again), then asks for the newest 100 events of
one filter after the other, each from a reader that has just been opened, and prints milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from proxy.events.event import Event
from proxy.events.filter import parse
from proxy.events.sqlite_reader import EventReader
from proxy.events.sqlite_writer import Writer
from proxy.events.store import EventQuery

START_MS = 1_760_000_000_000
SPAN_MS = 30 * 86_400_000
BATCH = 5_000
FIRST_PAGE = 100
FILTERS = (
    "", "model:gpt-4o", "model:o3", "model:gpt-4*", "variant:b", "variant:canary and model:o3", "decision:block",
    "decision:allow", "status:5xx", "status:429 and model:gpt-4o-mini", "error:timeout", "has:error", "key:team-3",
    "user:u-77", "policy:cheap", "policy:rare", "version:3fa9", "version:00dd and status:5xx", "time>=-7d and status:503",
    "-20d..-10d and decision:block", "latency>20s", "not decision:allow and not model:gpt-4o", "nothing-like-this",
)  # fmt: skip


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


async def first_page(path: Path, text: str) -> tuple[float, float, int]:
    """Milliseconds to the first event and to the whole first page, and its length."""
    reader = EventReader(path)
    where = parse(text, START_MS + SPAN_MS) if text else None
    await reader.get("warm")
    began = time.perf_counter()
    first = None
    rows = 0
    async for _event in reader.query(EventQuery(where=where, limit=FIRST_PAGE)):
        rows += 1
        first = first or time.perf_counter() - began
    whole = time.perf_counter() - began
    await reader.close()
    return (first or whole) * 1e3, whole * 1e3, rows


def out(line: str) -> None:
    """One line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


async def run(path: Path, number: int) -> None:
    """Fill and ask."""
    await fill(path, number)
    out(f"{'first ms':>9} {'page ms':>9} {'rows':>5}  filter")
    for text in FILTERS:
        first, whole, rows = await first_page(path, text)
        out(f"{first:9.1f} {whole:9.1f} {rows:5}  {text or '(all)'}")


def main() -> None:
    """Read the options and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--path", type=Path)
    given = parser.parse_args()
    if given.path is not None:
        asyncio.run(run(given.path, given.events))
        return
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(run(Path(place) / "events.db", given.events))


if __name__ == "__main__":
    main()
