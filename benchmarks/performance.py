"""What one request costs, by its kind: whole and streamed, large, and translated between dialects.

    python -m benchmarks.performance [--rounds 5] [--seconds 4] [--write]

The gateway is kept on one core; client and upstream are on another. Each kind is measured at a constant rate for
the added time, and at saturation for the processor time, in a new order each round; what the gateway adds is the
median over the rounds of the difference to the upstream asked directly in the same round. `--write` puts the table
into docs/performance.md.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benchmarks import load
from benchmarks.contenders import Contender, Program, environment, free_port, nginx
from benchmarks.machine import cores, new_loop, pin
from benchmarks.upstream import FRAMES

_ROOT = Path(__file__).parent.parent
_RATE = 60.0
_CONNECTIONS = 8
_POPULATION = 500
_WARM_S = 0.5

POLICY = """\
providers:
  targets:
    - {{id: openai, base_url: "http://127.0.0.1:{port}", secret_key_ref: {{env: OPENAI_API_KEY}}}}
    - {{id: anthropic, base_url: "http://127.0.0.1:{port}", secret_key_ref: {{env: OPENAI_API_KEY}}}}
policies:
  - name: model-routing
    type: model_filter
    allowed_models: ["gpt-4o*", "claude-*"]
  - name: ab-test-models
    type: traffic_split
    conditions: {{model: gpt-4o}}
    variants:
      - {{model: gpt-4o, weight: 70, tag: variant-a}}
      - {{model: gpt-4o-mini, weight: 30, tag: variant-b}}
"""


@dataclass(frozen=True)
class Kind:
    """One kind of request. `asked`: the dialect of the client; `model` says which upstream answers."""

    name: str
    asked: Literal["openai", "anthropic"] = "openai"
    model: str = "gpt-4o"
    streamed: bool = False
    prompt_bytes: int = 960

    @property
    def spoken(self) -> Literal["openai", "anthropic"]:
        """The dialect of the upstream."""
        return "anthropic" if self.model.startswith("claude") else "openai"


KINDS = (
    Kind("chat, whole"),
    Kind("chat, streamed", streamed=True),
    Kind("chat, 100 KB prompt", prompt_bytes=100_000),
    Kind("messages, whole", "anthropic", "claude-sonnet-4-5"),
    Kind("messages, streamed", "anthropic", "claude-sonnet-4-5", streamed=True),
    Kind("chat to Anthropic, whole", model="claude-sonnet-4-5"),
    Kind("chat to Anthropic, streamed", model="claude-sonnet-4-5", streamed=True),
    Kind("messages to OpenAI, whole", "anthropic", "gpt-4o-mini"),
    Kind("messages to OpenAI, streamed", "anthropic", "gpt-4o-mini", streamed=True),
)


@dataclass(frozen=True)
class Row:
    """One kind at one contender in one round. Microseconds."""

    kind: str
    contender: str
    round: int
    p50: float
    p99: float
    first_p50: float
    cpu: float
    per_s: float
    errors: int


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--only", action="append", metavar="NAME", help="only kinds whose name has this")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    options = parser.parse_args()
    if sys.platform != "linux":
        raise SystemExit("this measures with /proc and with processes kept on a core: it runs on Linux")
    with tempfile.TemporaryDirectory(prefix="ktui-benchmark-") as directory:
        rows = _run(options, Path(directory))
    table = report(rows)
    print("\n" + table)
    if options.write:
        (_ROOT / "docs" / "performance.md").write_text(_document(table, options))


def _run(options: argparse.Namespace, directory: Path) -> list[Row]:
    core, other_core = cores()
    pin(os.getpid(), other_core)
    upstream = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.upstream"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=_ROOT,
    )
    started: list[Contender] = []
    try:
        assert upstream.stdout is not None
        port = int(upstream.stdout.readline())
        started.append(Contender("direct", ("127.0.0.1", port)))
        started.append(_gateway(port, directory, core))
        plain = nginx(port, directory, core)
        if plain is not None:
            started.append(plain)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(_measure_all(started, options))
    finally:
        for contender in reversed(started):
            contender.stop()
        upstream.communicate()


def _gateway(port: int, directory: Path, core: int) -> Contender:
    policy = directory / "policy.yaml"
    policy.write_text(POLICY.format(port=port))
    listen = free_port()
    command = [
        sys.executable, "-c", "from proxy.cli.main import main; main()", "gateway", "run", "--policy-config",
        str(policy), "--listen", f"127.0.0.1:{listen}", "--api-listen", f"127.0.0.1:{free_port()}",
        "--state-dir", str(directory / "state"),
    ]  # fmt: skip
    return Program("gateway", listen, command, directory, core, environment())


async def _measure_all(started: list[Contender], options: argparse.Namespace) -> list[Row]:
    order, rows = random.Random(11), []
    kinds = [kind for kind in KINDS if not options.only or any(part in kind.name for part in options.only)]
    for contender in started[1:]:
        contender.hold(True)
    for number in range(1, options.rounds + 1):
        for kind in order.sample(kinds, len(kinds)):
            for contender in order.sample(started, len(started)):
                rows.append(await _measure(contender, kind, number, options.seconds))
                print(f"{number:>2} {kind.name:<30} {contender.name:<8} {rows[-1]}", flush=True)
    return rows


async def _measure(contender: Contender, kind: Kind, number: int, seconds: float) -> Row:
    host, port = contender.address
    # Asked directly or through a plain proxy, the upstream is asked in its own dialect.
    dialect = kind.asked if contender.name == "gateway" else kind.spoken
    made = load.requests(
        f"{host}:{port}",
        _POPULATION,
        kind.streamed,
        number,
        model=kind.model,
        dialect=dialect,
        prompt_bytes=kind.prompt_bytes,
    )
    contender.hold(False)
    try:
        await load.constant_rate(contender.address, made, _RATE, _WARM_S)
        steady = await load.constant_rate(contender.address, made, _RATE, seconds)
        before, _ = contender.cpu()
        busy = await load.saturation(contender.address, made, _CONNECTIONS, seconds)
        after, _ = contender.cpu()
    finally:
        contender.hold(True)
    answers = max(1, len(busy.latencies_us))
    return Row(
        kind.name,
        contender.name,
        number,
        steady.percentile(0.50),
        steady.percentile(0.99),
        steady.first_percentile(0.50),
        (after - before) * 1e6 / answers,
        answers / busy.seconds,
        steady.errors + busy.errors,
    )


def report(rows: list[Row]) -> str:
    """The table, in Markdown: medians over the rounds."""
    lines = [
        "| request | added p50 | added p99 | added to first byte, p50 | CPU per request | of nginx | requests/s |",
        "|---|---|---|---|---|---|---|",
    ]
    measured = {row.kind for row in rows}
    for kind in (kind.name for kind in KINDS if kind.name in measured):
        cells = [f"{_added(rows, kind, value):.0f}" for value in ("p50", "p99", "first_p50")]
        cpu = _median(rows, kind, "gateway", "cpu")
        plain = _median(rows, kind, "nginx", "cpu")
        ratio = f"x{cpu / plain:.1f}" if plain else "-"
        cells += [f"{cpu:.0f}", ratio, f"{_median(rows, kind, 'gateway', 'per_s'):.0f}"]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    chunk = _per_chunk(rows)
    if chunk:
        lines += ["", f"CPU per streamed chunk ({FRAMES} a stream): " + "; ".join(chunk) + "."]
    errors = sum(row.errors for row in rows)
    lines += ["", f"Microseconds. {errors} errors in {len(rows)} measurements."]
    return "\n".join(lines) + "\n"


def _per_chunk(rows: list[Row]) -> list[str]:
    """What a frame costs: the difference of a stream and a whole answer, over its frames."""
    found = []
    for name in ("chat", "messages", "chat to Anthropic", "messages to OpenAI"):
        whole, streamed = (_median(rows, f"{name}, {way}", "gateway", "cpu") for way in ("whole", "streamed"))
        if whole and streamed:
            found.append(f"{name} {(streamed - whole) / FRAMES:.1f}")
    return found


def _median(rows: list[Row], kind: str, contender: str, value: str) -> float:
    found = [getattr(row, value) for row in rows if (row.kind, row.contender) == (kind, contender)]
    return statistics.median(found) if found else 0.0


def _added(rows: list[Row], kind: str, value: str) -> float:
    direct = {row.round: getattr(row, value) for row in rows if (row.kind, row.contender) == (kind, "direct")}
    return statistics.median(
        getattr(row, value) - direct[row.round]
        for row in rows
        if (row.kind, row.contender) == (kind, "gateway")
    )


def _document(table: str, options: argparse.Namespace) -> str:
    return f"""\
# Performance

Made by `python -m benchmarks.performance --rounds {options.rounds} --seconds {options.seconds:g} --write` on {time.strftime("%Y-%m-%d")}: {os.cpu_count()} virtual cores
({platform.machine()}), Python {platform.python_version()}. How it measures is said at the top of `benchmarks/performance.py`; with the screen attached,
and against other proxies, see [benchmarks.md](benchmarks.md).

The upstream answers at once, and writes all frames of a stream in one go: what is left is what the gateway adds. "To" is a translation between dialects; a plain proxy
cannot translate, so there nginx is measured on the dialect of the upstream.

{table}"""


if __name__ == "__main__":
    main()
