"""What writing many events does to requests: p99 with and without 2,000 other events a second through the same store.

    python -m benchmarks.writing [--rounds 5] [--seconds 20] [--rate 100] [--events 2000] [--pin]

A gateway in a process of its own, in front of a vendor in another one; clients at a constant rate. In each round it is measured
quiet and with a task in the gateway that submits synthetic events to its recorder, evenly, as requests do; which comes
first changes from round to round. The figure is the ratio of the medians over the rounds; the goal is 1.10 at most. `--pin`
keeps the gateway and all its children on one core, and everything else on another: the hardest case.

    python -m benchmarks.writing --serve PORT DIR      (the gateway; started by the above)
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

from benchmarks import load, store
from benchmarks.contenders import POLICY, environment
from benchmarks.machine import cores, cpu_s, new_loop, pin, tree
from proxy.base.collector import settle
from proxy.base.times import now_ms
from proxy.events.event import Event
from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions

ROOT = Path(__file__).parent.parent
GOAL = 1.10
TICK_S = 0.002
_POPULATION = 2_000
_VALUES = attrgetter(*(field.name for field in fields(Event)))
_WARM_S = 2.0


@dataclass(frozen=True)
class Row:
    """One measurement. Times in microseconds."""

    round: int
    events_per_s: float
    """Stored, those of the requests included."""
    answers: int
    errors: int
    p50_us: float
    p99_us: float
    p999_us: float
    cpu_share: float
    """Processor time of the gateway and its children per second."""
    most_spilled: int
    """Events that waited for the database at the end."""


# -- the gateway


async def serve(vendor_port: int, directory: Path) -> None:
    """A gateway that submits as many events a second as each line of stdin says, and answers with its counters."""
    policy = directory / "policy.yaml"
    policy.write_text(POLICY.format(port=vendor_port))
    service = GatewayService(
        ServiceOptions(policy, directory / "state", "127.0.0.1:0", "127.0.0.1:0", env=environment())
    )
    addresses = await service.start()
    source = random.Random(3)
    pool = [store.make(number, _POPULATION, source) for number in range(_POPULATION)]
    settle()
    sys.stdout.write(addresses.listen.rpartition(":")[2] + "\n")
    sys.stdout.flush()
    submitting: asyncio.Task[None] | None = None
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        if submitting is not None:
            submitting.cancel()
        submitting = asyncio.create_task(_submit(service, pool, float(line)))
        counters = service.hub.store.counters()
        sys.stdout.write(json.dumps([counters.stored, counters.spilled, counters.dropped]) + "\n")
        sys.stdout.flush()
    await service.stop(drain_s=1)


async def _submit(service: GatewayService, pool: list[Any], per_s: float) -> None:
    began, number = time.perf_counter(), 0
    prefix = os.urandom(6).hex()
    while per_s:
        due = int((time.perf_counter() - began) * per_s)
        for number in range(number, due):  # noqa: B020 - it goes on where it was
            event = Event(*_VALUES(pool[number % len(pool)]))  # three times as fast as copy.copy
            event.id, event.timestamp_ms = f"{prefix}{number:020d}", now_ms() - int(event.latency_ms)
            service.runtime.recorder.append(event)
        number = max(number, due)
        await asyncio.sleep(TICK_S)


class Gateway:
    """The gateway from outside."""

    def __init__(self, vendor_port: int, directory: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.writing", "--serve", str(vendor_port), str(directory)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment()
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self._to: IO[str] = self.process.stdin
        self._from: IO[str] = self.process.stdout
        self.address = ("127.0.0.1", int(self._from.readline()))

    def submit(self, per_s: float) -> tuple[int, int, dict[str, int]]:
        """From now on so many events; what was stored, spilled and dropped until now."""
        self._to.write(f"{per_s}\n")
        self._to.flush()
        stored, spilled, dropped = json.loads(self._from.readline())
        return int(stored), int(spilled), dropped

    def stop(self) -> None:
        """End it."""
        self._to.close()
        self.process.wait(20)


# -- the measurement


async def measure(gateway: Gateway, number: int, events: float, options: argparse.Namespace) -> Row:
    """One half of a round."""
    made = load.requests(f"127.0.0.1:{gateway.address[1]}", _POPULATION, False, seed=number)
    gateway.submit(events)
    await load.constant_rate(gateway.address, made, options.rate, _WARM_S)
    before, _, _ = gateway.submit(events)
    cpu, began = cpu_s(tree(gateway.process.pid)), time.perf_counter()
    sample = await load.constant_rate(gateway.address, made, options.rate, options.seconds)
    took = time.perf_counter() - began
    used = cpu_s(tree(gateway.process.pid)) - cpu
    stored, spilled, dropped = gateway.submit(0)
    if dropped:
        raise SystemExit(f"events were dropped: {dropped}")
    while gateway.submit(0)[1]:
        await asyncio.sleep(0.1)
    return Row(
        number, round((stored - before) / took), len(sample.latencies_us), sample.errors,
        round(sample.percentile(0.5)), round(sample.percentile(0.99)), round(sample.percentile(0.999)),
        round(used / took, 3), spilled,
    )  # fmt: skip


async def rounds(gateway: Gateway, options: argparse.Namespace) -> tuple[list[Row], list[Row]]:
    """Quiet and writing, in turns."""
    quiet: list[Row] = []
    writing: list[Row] = []
    for number in range(1, options.rounds + 1):
        halves = [(quiet, 0.0), (writing, options.events)]
        for rows, events in halves if number % 2 else reversed(halves):
            rows.append(await measure(gateway, number, events, options))
            row = rows[-1]
            out(
                f"{number:>2} {'writing' if events else 'quiet':<8} {row.events_per_s:>6.0f} events/s  p50 {row.p50_us:>6.0f}  "
                f"p99 {row.p99_us:>7.0f}  p99.9 {row.p999_us:>7.0f}  processor {row.cpu_share:5.0%}  errors {row.errors}"
            )
    return quiet, writing


def report(quiet: list[Row], writing: list[Row]) -> bool:
    """Medians and their ratio; whether the goal is met."""
    ratios = {}
    for name in ("p50_us", "p99_us", "p999_us"):
        before = statistics.median(getattr(row, name) for row in quiet)
        after = statistics.median(getattr(row, name) for row in writing)
        ratios[name] = after / before
        out(f"{name:<8} quiet {before:>8.0f}  writing {after:>8.0f}  ratio {after / before:.3f}")
    out(f"p99 ratio {ratios['p99_us']:.3f}; the goal is {GOAL:.2f} at most")
    return bool(ratios["p99_us"] <= GOAL)


def write(path: Path, quiet: list[Row], writing: list[Row]) -> None:
    """All rows as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["half", *asdict(quiet[0])])
        writer.writeheader()
        writer.writerows({"half": "quiet", **asdict(row)} for row in quiet)
        writer.writerows({"half": "writing", **asdict(row)} for row in writing)


def out(line: str) -> None:
    """One line of the report."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def run(options: argparse.Namespace, directory: Path) -> bool:
    """Start both processes, measure, report."""
    core, other = cores()
    command = [sys.executable, "-m", "benchmarks.upstream"]
    vendor = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert vendor.stdout is not None
    gateway = None
    try:
        gateway = Gateway(int(vendor.stdout.readline()), directory)
        if options.pin:
            pin(os.getpid(), other)
            pin(vendor.pid, other)
            for pid in tree(gateway.process.pid):
                pin(pid, core)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            quiet, writing = runner.run(rounds(gateway, options))
    finally:
        if gateway is not None:
            gateway.stop()
        vendor.communicate()
    if options.out is not None:
        write(options.out, quiet, writing)
    return report(quiet, writing)


def main() -> int:
    """Command line; 0 when the goal is met."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--events", type=float, default=2_000.0, help="synthetic events per second")
    parser.add_argument("--pin", action="store_true", help="the gateway on one core alone")
    parser.add_argument("--out", type=Path, help="every measurement as CSV")
    parser.add_argument("--serve", nargs=2, metavar=("PORT", "DIR"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(serve(int(options.serve[0]), Path(options.serve[1])))
        return 0
    with tempfile.TemporaryDirectory(prefix="ktui-writing-") as directory:
        return 0 if run(options, Path(directory)) else 1


if __name__ == "__main__":
    sys.exit(main())
