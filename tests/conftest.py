"""What every run of the tests says at its end."""

from __future__ import annotations

import os

import pytest

SUITES = ("KT_YAML_SUITE", "KT_LLMOCK")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for what was left out."""
    missing = [name for name in SUITES if not os.environ.get(name)]
    if missing:
        terminalreporter.write_line(
            f"left out: the suites of others in tests/conformance that {' and '.join(missing)} would name (.ci/run fetches them)"
        )
