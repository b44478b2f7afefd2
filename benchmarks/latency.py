"""What the gateway and its screen add to a request, beside nginx and Envoy, in one interleaved run.

    python benchmarks/latency.py                             # about 12 minutes
    python benchmarks/latency.py --rounds 1 --seconds 3      # a smoke run

Every subject is pinned to one core and stopped while another is measured; load generator and upstream have the other
cores. Linux only. The last table is also written, with every single measurement, to benchmarks/results/.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import subjects
from subjects import Subject

HERE = Path(__file__).parent
SETTLE_S = 1.0


@dataclass(frozen=True)
class Measurement:
    """One subject in one round. `added_*`: beyond the direct way of the same round."""

    round: int
    subject: str
    requests: int
    errors: int
    p50_us: float
    p99_us: float
    max_us: float
    added_p50_us: float
    added_p99_us: float
    cpu_us: float
    """Processor time per request at the constant rate, the whole program."""
    saturated_rps: float
    saturated_cpu_us: float
    """The same at saturation, where what a program costs without requests weighs little."""


def percentile(values: list[int], share: float) -> float:
    """Nearest rank."""
    ordered = sorted(values)
    return float(ordered[min(len(ordered) - 1, int(share * len(ordered)))]) if ordered else float("nan")


def load(address: str, cores: set[int], *arguments: str) -> dict[str, object]:
    """One run of the load generator."""

    def pin() -> None:
        os.sched_setaffinity(0, cores)

    command = [sys.executable, str(HERE / "load.py"), address, *arguments]
    done = subprocess.run(command, preexec_fn=pin, stdout=subprocess.PIPE, check=True)
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


@contextmanager
def upstream(cores: set[int]) -> Iterator[str]:
    """The fast vendor."""

    def pin() -> None:
        os.sched_setaffinity(0, cores)

    process = subprocess.Popen(
        [sys.executable, str(HERE / "upstream.py")],
        preexec_fn=pin,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    yield f"127.0.0.1:{int(process.stdout.readline())}"
    process.stdin.close()
    process.wait(5)


def measure(
    subject: Subject, number: int, options: argparse.Namespace, cores: set[int], base: Measurement | None
) -> Measurement:
    """Constant rate, then saturation."""
    subject.resume()
    time.sleep(SETTLE_S)
    seconds = ("--seconds", str(options.seconds))
    before = subject.cpu_s()
    steady = load(subject.address, cores, "--rate", str(options.rate), *seconds)
    between = subject.cpu_s()
    full = load(subject.address, cores, "--connections", str(options.connections), *seconds)
    after = subject.cpu_s()
    subject.pause()
    latencies: list[int] = steady["latencies_us"]  # type: ignore[assignment]
    p50, p99 = percentile(latencies, 0.50), percentile(latencies, 0.99)
    # The processor time also holds the warm-up, so it is divided by what was sent in all.
    share = 1 + 0.7 / options.seconds
    requests, full_requests = _number(steady, "requests"), _number(full, "requests")
    return Measurement(
        round=number,
        subject=subject.name,
        requests=requests,
        errors=_number(steady, "errors") + _number(full, "errors"),
        p50_us=p50,
        p99_us=p99,
        max_us=float(max(latencies, default=0)),
        added_p50_us=p50 - base.p50_us if base else 0.0,
        added_p99_us=p99 - base.p99_us if base else 0.0,
        cpu_us=(between - before) / max(1, requests * share) * 1e6,
        saturated_rps=full_requests / options.seconds,
        saturated_cpu_us=(after - between) / max(1, full_requests * share) * 1e6,
    )


def _number(answer: dict[str, object], name: str) -> int:
    value = answer[name]
    assert isinstance(value, int)
    return value


def start_all(stack: ExitStack, address: str, directory: Path, core: int, wanted: set[str]) -> list[Subject]:
    """Everything that is installed; what is not is said."""
    makers = {
        "nginx": lambda: subjects.nginx(address, directory, core),
        "envoy": lambda: subjects.envoy(address, directory, core),
        "gateway": lambda: subjects.headless(address, directory, core),
        "thread": lambda: subjects.with_screen("thread", address, directory, core),
        "process": lambda: subjects.with_screen("process", address, directory, core),
    }
    started = [Subject("direct", address, None)]
    for name, make in makers.items():
        if wanted and name not in wanted:
            continue
        subject = make()
        if subject is None:
            print(f"{name} is not installed: left out")
            continue
        stack.callback(subject.stop)
        # A screen that has drawn its first seconds, a gateway that has loaded its prices.
        time.sleep(SETTLE_S)
        subject.pause()
        started.append(subject)
    return started


def summary(found: list[Measurement]) -> list[dict[str, object]]:
    """Medians over the rounds, and ratios to nginx (to the gateway itself where there is no nginx)."""
    names = list(dict.fromkeys(item.subject for item in found))
    rows: dict[str, dict[str, float]] = {}
    for name in names:
        mine = [item for item in found if item.subject == name]
        rows[name] = {
            field: median(getattr(item, field) for item in mine)
            for field in ("added_p50_us", "added_p99_us", "cpu_us", "saturated_rps", "saturated_cpu_us")
        }
        rows[name]["errors"] = sum(item.errors for item in mine)
    yardstick = next((name for name in ("nginx", "gateway") if name in rows), None)
    table: list[dict[str, object]] = []
    for name, row in rows.items():
        ratios = {
            f"{field}_ratio": round(row[field] / rows[yardstick][field], 2)
            if yardstick and name != "direct" and rows[yardstick][field] > 0
            else ""
            for field in ("added_p50_us", "added_p99_us", "saturated_cpu_us")
        }
        table.append({"subject": name, **{key: round(value, 1) for key, value in row.items()}, **ratios})
    return table


def show(table: list[dict[str, object]]) -> None:
    """The summary as text."""
    heads = {
        "subject": "subject",
        "added_p50_us": "added p50 us",
        "added_p50_us_ratio": "ratio",
        "added_p99_us": "added p99 us",
        "added_p99_us_ratio": "ratio",
        "cpu_us": "CPU us, steady",
        "saturated_cpu_us": "CPU us, full",
        "saturated_cpu_us_ratio": "ratio",
        "saturated_rps": "requests/s",
        "errors": "errors",
    }
    print(" | ".join(f"{head:>{26 if key == 'subject' else 14}}" for key, head in heads.items()))
    for row in table:
        print(" | ".join(f"{row[key]!s:>{26 if key == 'subject' else 14}}" for key in heads))


def write(path: Path, found: list[Measurement], table: list[dict[str, object]]) -> None:
    """Two CSV files: every measurement, and the summary."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Measurement)])
        writer.writeheader()
        writer.writerows(asdict(item) for item in found)
    with path.with_name(f"{path.stem}-summary.csv").open("w", newline="") as file:
        summary_writer = csv.DictWriter(file, list(table[0]))
        summary_writer.writeheader()
        summary_writer.writerows(table)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second at the constant rate")
    parser.add_argument("--connections", type=int, default=16, help="at saturation")
    parser.add_argument("--core", type=int, default=0, help="where the subjects run")
    parser.add_argument(
        "--only", nargs="*", default=[], choices=["nginx", "envoy", "gateway", "thread", "process"]
    )
    parser.add_argument("--out", type=Path, default=HERE / "results")
    options = parser.parse_args()
    cores = os.sched_getaffinity(0) - {options.core}
    if not cores:
        raise SystemExit("one core is not enough: load and subject would take it from each other")
    found: list[Measurement] = []
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ktui-benchmark-")))
        address = stack.enter_context(upstream(cores))
        compared = start_all(stack, address, directory, options.core, set(options.only))
        for number in range(1, options.rounds + 1):
            base: Measurement | None = None
            for subject in compared:
                result = measure(subject, number, options, cores, base)
                base = base or result
                found.append(result)
                print(
                    f"round {number}  {subject.name:26} p50 {result.p50_us:7.0f} us  p99 {result.p99_us:7.0f} us  "
                    f"{result.saturated_rps:7.0f} requests/s  {result.errors} errors",
                    flush=True,
                )
    table = summary(found)
    show(table)
    path = options.out / f"latency-{datetime.now(UTC):%Y%m%d-%H%M%S}.csv"
    write(path, found, table)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
