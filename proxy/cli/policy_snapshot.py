"""What a policy file would run, without running it."""

from __future__ import annotations

from pathlib import Path

from proxy.cli.exits import ProblemError, UsageError
from proxy.cli.policy_texts import surroundings
from proxy.config.files import read
from proxy.gateway.runtime import Snapshot, build_snapshot
from proxy.policy.lint import lint
from proxy.policy.plan import compile_plan


def snapshot_of(path: Path, env: dict[str, str]) -> Snapshot:
    """The targets, prices and policies of the file at `path`. Raises UsageError and ProblemError."""
    reading = read(path)
    if reading.text is None:
        raise UsageError(f"{path}: {'there is no such file' if reading.missing else reading.problem}")
    result = lint(reading.text, surroundings(path))
    if result.policy_file is None:
        raise ProblemError(f"{path} has errors; kt policy lint --file {path} shows them")
    return build_snapshot(result.policy_file, compile_plan(result.policy_file, ""), env, 0)
