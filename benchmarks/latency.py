"""Added latency and processor time, all in one run.

    python -m benchmarks.latency [--rounds 6] [--seconds 10] [--rate 100] [--connections 16] [--stream]

Everybody runs at once, each on the same one core, but stands still (SIGSTOP) while another is measured. In each round
all are measured in a new order, so that what the machine does in between falls on all of them. `direct` goes to
the upstream with nothing between, and a second time as `direct again`: the difference of the two is what this
machine cannot tell apart.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import contenders, load
from benchmarks.contenders import Contender
from benchmarks.machine import cores, new_loop, pin

_WARM_S = 1.0
_POPULATION = 2_000
_OURS = "kt, no screen"


@dataclass(frozen=True)
class Row:
    """One contender in one round. `mode`: `rate` or `saturation`. Times in microseconds."""

    contender: str
    mode: str
    round: int
    answers: int
    errors: int
    per_s: float
    p50_us: float
    p99_us: float
    cpu_us: float
    """Processor time per request of the processes that carry requests."""
    beside_us: float
    """And of the others: the screen, where it is a process of its own."""


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--connections", type=int, default=16, help="at saturation")
    parser.add_argument("--stream", action="store_true", help="streamed answers instead of whole ones")
    parser.add_argument("--only", action="append", metavar="NAME", help="only contenders whose name has this")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    if sys.platform != "linux":
        raise SystemExit("this measures with /proc and with processes kept on a core: it runs on Linux")
    with tempfile.TemporaryDirectory(prefix="ktui-benchmark-") as directory:
        rows = _run(options, Path(directory))
    path = _write(rows, options)
    report(rows)
    print(f"\nwritten: {path}")


def _run(options: argparse.Namespace, directory: Path) -> list[Row]:
    core, other_core = cores()
    pin(os.getpid(), other_core)
    upstream = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.upstream"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent,
    )
    started: list[Contender] = []
    try:
        assert upstream.stdout is not None
        port = int(upstream.stdout.readline())
        _start_all(started, port, directory, options.only, core, other_core)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(_measure_all(started, options))
    finally:
        for contender in reversed(started):
            contender.stop()
        upstream.communicate()


def _start_all(
    started: list[Contender], port: int, directory: Path, only: list[str] | None, core: int, other_core: int
) -> None:
    policy = directory / "policy.yaml"
    policy.write_text(contenders.POLICY.format(port=port))
    candidates = {
        "nginx": lambda: contenders.nginx(port, directory, core),
        "envoy": lambda: contenders.envoy(port, directory, core),
        _OURS: lambda: contenders.gateway(policy, directory, core),
        "ktui, thread": lambda: contenders.WithScreen("thread", policy, directory, core, other_core),
        "ktui, process": lambda: contenders.WithScreen("process", policy, directory, core, other_core),
    }
    started += [Contender("direct", ("127.0.0.1", port)), Contender("direct again", ("127.0.0.1", port))]
    for name, start in candidates.items():
        if only and not any(part in name for part in only):
            continue
        found = start()
        if found is None:
            print(f"{name} is not installed: left out", flush=True)
            continue
        found.hold(True)
        started.append(found)


async def _measure_all(started: list[Contender], options: argparse.Namespace) -> list[Row]:
    rows: list[Row] = []
    order = random.Random(7)
    for number in range(1, options.rounds + 1):
        for mode in ("rate", "saturation"):
            for contender in order.sample(started, len(started)):
                rows.append(await _measure(contender, mode, number, options))
                print(_line(rows[-1]), flush=True)
    return rows


async def _measure(contender: Contender, mode: str, number: int, options: argparse.Namespace) -> Row:
    host, port = contender.address
    made = load.requests(f"{host}:{port}", _POPULATION, options.stream, seed=number)
    contender.hold(False)
    try:
        await load.constant_rate(contender.address, made, options.rate, _WARM_S)
        carried, beside = contender.cpu()
        if mode == "rate":
            sample = await load.constant_rate(contender.address, made, options.rate, options.seconds)
        else:
            sample = await load.saturation(contender.address, made, options.connections, options.seconds)
        carried_after, beside_after = contender.cpu()
    finally:
        contender.hold(True)
    answers = len(sample.latencies_us)
    each = 1e6 / max(1, answers)
    return Row(
        contender=contender.name,
        mode=mode,
        round=number,
        answers=answers,
        errors=sample.errors,
        per_s=round(answers / sample.seconds, 1),
        p50_us=round(sample.percentile(0.50), 1),
        p99_us=round(sample.percentile(0.99), 1),
        cpu_us=round((carried_after - carried) * each, 1),
        beside_us=round((beside_after - beside) * each, 1),
    )


def _line(row: Row) -> str:
    return (
        f"{row.round:>2} {row.mode:<10} {row.contender:<14} {row.per_s:>8.0f}/s  p50 {row.p50_us:>8.0f}  "
        f"p99 {row.p99_us:>8.0f}  cpu {row.cpu_us:>7.0f} + {row.beside_us:<7.0f} errors {row.errors}"
    )


def _write(rows: list[Row], options: argparse.Namespace) -> Path:
    options.out.mkdir(parents=True, exist_ok=True)
    kind = "stream" if options.stream else "whole"
    path: Path = options.out / f"latency-{kind}-{time.strftime('%Y%m%d-%H%M%S')}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(asdict(rows[0])))
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    return path


# -- what it says


def report(rows: list[Row]) -> None:
    """Medians over the rounds: what each adds to `direct` of the same round, and ratios to nginx where it ran."""
    names = list(dict.fromkeys(row.contender for row in rows))
    yardstick = "nginx" if "nginx" in names else _OURS
    print(f"\n{platform.processor() or platform.machine()}, Python {platform.python_version()}; microseconds")
    for mode, title in (("rate", "at a constant rate"), ("saturation", "at saturation")):
        print(f"\n{title}; x = times that of {yardstick}")
        print(
            f"{'':<14} {'added p50':>16} {'added p99':>16} {'cpu/request':>16} {'beside':>8} {'per s':>8} {'errors':>7}"
        )
        for name in sorted(names, key=lambda name: added(rows, name, mode, "p50_us")):
            print(_report_line(rows, name, mode, yardstick))
    for name in ("ktui, thread", "ktui, process"):
        if name in names and _OURS in names:
            more = added(rows, name, "rate", "p99_us") - added(rows, _OURS, "rate", "p99_us")
            print(f"\np99 added by the screen, {name.removeprefix('ktui, ')}: {more / 1000:.2f} ms", end="")
    print()


def added(rows: list[Row], name: str, mode: str, value: str) -> float:
    """The median over the rounds of what `name` adds to `direct` in the same round."""
    base: dict[int, float] = {
        row.round: getattr(row, value) for row in rows if (row.contender, row.mode) == ("direct", mode)
    }
    found: list[float] = [
        getattr(row, value) - base[row.round] for row in rows if (row.contender, row.mode) == (name, mode)
    ]
    return statistics.median(found)


def _median(rows: list[Row], name: str, mode: str, value: str) -> float:
    found: list[float] = [getattr(row, value) for row in rows if (row.contender, row.mode) == (name, mode)]
    return statistics.median(found)


def _report_line(rows: list[Row], name: str, mode: str, yardstick: str) -> str:
    def cell(mine: float, measure: float) -> str:
        ratio = f"x{mine / measure:.1f}" if measure > 0 and name not in ("direct", "direct again") else ""
        return f"{mine:>9.0f} {ratio:>6}"

    cells = [
        cell(added(rows, name, mode, value), added(rows, yardstick, mode, value))
        for value in ("p50_us", "p99_us")
    ]
    cells.append(cell(_median(rows, name, mode, "cpu_us"), _median(rows, yardstick, mode, "cpu_us")))
    errors = sum(row.errors for row in rows if (row.contender, row.mode) == (name, mode))
    beside, speed = (_median(rows, name, mode, value) for value in ("beside_us", "per_s"))
    return f"{name:<14} {' '.join(cells)} {beside:>8.0f} {speed:>8.0f} {errors:>7}"


if __name__ == "__main__":
    main()
