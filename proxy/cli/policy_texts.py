"""Policy texts that a command is given: a file, stdin, or a version of the store."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.cli.exits import UsageError
from proxy.cli.places import environment

if TYPE_CHECKING:
    from proxy.policy.lint import Surroundings

STDIN = "stdin"


def read_text(path: Path) -> str:
    """The text of `path`; `-` is stdin. Raises UsageError when it cannot be read."""
    from proxy.config.files import MAX_BYTES, Reading, decoded, read

    if str(path) == "-":
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
        reading: Reading = decoded(data)
    elif _is_substitution(path):
        with path.open("rb") as pipe:
            reading = decoded(pipe.read(MAX_BYTES + 1))
    else:
        reading = read(path)
    if reading.text is None:
        why = "there is no such file" if reading.missing else reading.problem
        raise UsageError(f"{name_of(path)}: {why}")
    return reading.text


def _is_substitution(path: Path) -> bool:
    """Whether the shell wrote `<(command)`: a pipe that ends. A named pipe might never have a writer."""
    return str(path).startswith(("/dev/fd/", "/proc/self/fd/")) and path.is_fifo()


def name_of(path: Path) -> str:
    """What to call it."""
    return STDIN if str(path) == "-" else str(path)


def surroundings(path: Path) -> Surroundings:
    """What lint is told of this machine."""
    from proxy.policy.lint import Surroundings

    where = None if str(path) == "-" else path
    return Surroundings(
        env=environment(), today=datetime.now(UTC).date(), path=where, filter_fault=_filter_fault
    )


def _filter_fault(text: str) -> tuple[str, int, int] | None:
    # Most files have no alert: they need not wait for the language.
    from proxy.events.filter.standing import fault_of

    return fault_of(text)
