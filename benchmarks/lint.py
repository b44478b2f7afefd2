"""How long lint takes: a policy of 200 lines, warm, against PyYAML's compose of the same text in the same run.

python -m benchmarks.lint
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import date

import yaml

from proxy.policy.document import parse
from proxy.policy.lint import Surroundings, lint

LINES = 200
GOAL_MS = 20.0
_HEAD = """\
providers:
  targets:
    - id: openai
      secret_key_ref: {env: OPENAI_API_KEY}
    - id: anthropic
      secret_key_ref: {env: ANTHROPIC_API_KEY}
policies:
"""
_FILTER = """\
  - name: filter-{number}
    type: model_filter
    description: "Requests of team {number} that call tools"
    conditions:
      header: {{x-team: team-{number}}}
      has_tools: true
    blocked_models: [gpt-4-turbo, "o1-*", claude-3-opus-{number}]
"""
_SPLIT = """\
  - name: split-{number}
    type: traffic_split
    conditions: {{header: {{x-team: team-{number}}}}}
    variants:
      - model: gpt-4o
        weight: 95
        tag: incumbent
      - model: gpt-4o-mini
        weight: 5
        tag: challenger
    rollout:
      phase: canary
      phases:
        - {{name: canary, weights: {{incumbent: 95, challenger: 5}}, duration: 3d}}
        - {{name: complete, weights: {{incumbent: 0, challenger: 100}}}}
"""


def policy_of(lines: int) -> str:
    """A clean policy of at most `lines` lines, splits and filters in turn."""
    text, number = _HEAD, 0
    while True:
        more = (_SPLIT if number % 2 else _FILTER).format(number=number)
        if (text + more).count("\n") > lines:
            return text
        text, number = text + more, number + 1


def median_ms(work: Callable[[], object], times: int) -> float:
    """Median milliseconds of CPU that `work` takes, after one run that does not count."""
    work()
    taken = []
    for _ in range(times):
        started = time.process_time()
        work()
        taken.append((time.process_time() - started) * 1_000)
    return statistics.median(taken)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--times", type=int, default=21)
    options = parser.parse_args()
    text = policy_of(options.lines)
    surroundings = Surroundings({"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "x"}, date(2026, 6, 1))
    result = lint(text, surroundings)
    took = median_ms(lambda: lint(text, surroundings), options.times)
    read = median_ms(lambda: parse(text), options.times)
    plain = median_ms(lambda: yaml.compose(text, Loader=yaml.SafeLoader), options.times)
    print(
        f"{text.count(chr(10))} lines, {len(result.diagnostics)} diagnostics, medians of {options.times} runs"
    )
    print(f"  lint                {took:7.2f} ms   (goal: under {GOAL_MS:.0f} ms for {LINES} lines)")
    print(f"    reading the text  {read:7.2f} ms")
    print(f"    everything else   {took - read:7.2f} ms")
    print(f"  PyYAML compose      {plain:7.2f} ms")
    return 0 if took < GOAL_MS or options.lines > LINES else 1


if __name__ == "__main__":
    raise SystemExit(main())
