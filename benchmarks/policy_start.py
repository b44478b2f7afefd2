"""What `kt policy lint` costs: the start of a process and what it imports, lint when warm, and a hostile mebibyte.

python -m benchmarks.policy_start [--runs 20] [--file FILE]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "sample_configs" / "ml-routing-config.yaml"
KT = "import sys; sys.argv[0] = 'kt'; from proxy.cli.main import main; main()"
LIMITS_MS = {"process": 250.0, "warm": 20.0, "hostile": 50.0}
MIB = 1 << 20


def processes(file: Path, runs: int) -> tuple[list[float], list[float]]:
    """Wall clock and CPU of `kt policy lint` as a process, in milliseconds, sorted."""
    command = [sys.executable, "-c", KT, "policy", "lint", "--file", str(file)]
    wall, cpu = [], []
    for _ in range(runs + 1):
        began = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, _, usage = os.wait4(child.pid, 0)
        wall.append((time.perf_counter() - began) * 1_000)
        cpu.append((usage.ru_utime + usage.ru_stime) * 1_000)
    # The first run reads the files from the disk.
    return sorted(wall[1:]), sorted(cpu[1:])


def imports(file: Path) -> list[tuple[str, int, int]]:
    """Modules the process imports: name, own microseconds, microseconds with what they import."""
    command = [sys.executable, "-X", "importtime", "-c", KT, "policy", "lint", "--file", str(file)]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stderr.splitlines()
    found = []
    for line in lines:
        own, _, rest = line.removeprefix("import time:").partition("|")
        whole, _, name = rest.partition("|")
        if line.startswith("import time:") and own.strip().isdigit():
            found.append((name.strip(), int(own), int(whole)))
    return found


def by_package(found: list[tuple[str, int, int]]) -> list[tuple[str, float, int]]:
    """Package, milliseconds of its own modules, how many."""
    sums: dict[str, tuple[float, int]] = {}
    for name, own, _ in found:
        head = ".".join(name.split(".")[: 2 if name.startswith("proxy.") else 1])
        spent, count = sums.get(head, (0.0, 0))
        sums[head] = (spent + own / 1_000, count + 1)
    return sorted(((name, *values) for name, values in sums.items()), key=lambda item: -item[1])


def hostile() -> dict[str, str]:
    """Texts of a mebibyte that were made to cost time."""
    return {
        "nested lists": "[" * MIB,
        "aliases": ("a0: &a [x, x]\n" + "b: [*a, *a]\n" * (MIB // 12))[:MIB],
        "keys": "".join(f"wieght{number}: 1\n" for number in range(MIB // 14))[:MIB],
        "one long word": "a: " + "x" * (MIB - 3),
        "items": "policies: [" + "a, " * (MIB // 3 - 4),
        "policies": ("policies:\n" + "  - {name: a, type: log}\n" * (MIB // 25))[:MIB],
        "empty lines": "\n" * MIB,
    }


def main() -> int:
    """Print the figures; 1 when one is above its limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--file", type=Path, default=SAMPLE)
    chosen = parser.parse_args()
    wall, cpu = processes(chosen.file, chosen.runs)
    print(f"kt policy lint, {chosen.runs} processes over {chosen.file.name}, load {os.getloadavg()[0]:.1f}")
    print(f"  wall clock  median {wall[len(wall) // 2]:6.1f} ms  least {wall[0]:6.1f} ms")
    print(f"  CPU         median {cpu[len(cpu) // 2]:6.1f} ms  least {cpu[0]:6.1f} ms")
    found = imports(chosen.file)
    print(f"\n{len(found)} modules (each a little dearer than without the measuring):")
    for name, spent, count in by_package(found)[:25]:
        print(f"  {spent:7.1f} ms  {count:4}  {name}")
    text = "policies:\n" + "".join(
        f"  - name: p{number}\n    type: model_filter\n    blocked_models: [x{number}, y]\n    conditions:\n"
        "      max_tokens_gt: 5\n"
        for number in range(40)
    )
    warm = lint_ms(text, 10)
    print(f"\nlint of {text.count(chr(10))} lines, warm: {warm:.1f} ms CPU")
    worst = 0.0
    for name, bad in hostile().items():
        cost = lint_ms(bad, 3)
        worst = max(worst, cost)
        print(f"1 MiB of {name}: {cost:.1f} ms CPU")
    # The least: what is above it is what else the machine had to do.
    measured = {"process": wall[0], "warm": warm, "hostile": worst}
    late = [name for name, value in measured.items() if value > LIMITS_MS[name]]
    print(f"\nabove its limit: {', '.join(late)}" if late else "\nall below their limits")
    return 1 if late else 0


def lint_ms(text: str, times: int) -> float:
    """Least CPU of linting `text`, in milliseconds."""
    from proxy.policy.lint import Surroundings, lint

    spent = []
    for _ in range(times):
        began = time.process_time()
        lint(text, Surroundings({}, date(2026, 6, 1)))
        spent.append((time.process_time() - began) * 1_000)
    return min(spent)


if __name__ == "__main__":
    sys.exit(main())
