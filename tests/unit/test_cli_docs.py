"""docs/cli.md lists the commands and options there are, no more and no fewer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from proxy.cli.main import app

TEXT = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()


def commands(command: Any, name: str) -> Iterator[tuple[str, set[str]]]:
    """Every command with its options."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, {option for item in command.params for option in item.opts if option.startswith("--")}
        return
    for word, inner in below.items():
        yield from commands(inner, f"{name} {word}")


def documented() -> dict[str, set[str]]:
    """Every heading that is a command, with the options in the first column of its table."""
    parts = re.split(r"^## `(.*)`$", TEXT, flags=re.MULTILINE)
    found = {}
    for name, section in zip(parts[1::2], parts[2::2], strict=True):
        cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `--")]
        found[name] = {option for cell in cells for option in re.findall(r"`(--[a-z-]+)`", cell)}
    return found


def test_every_command_and_option_is_documented() -> None:
    there = dict(commands(typer.main.get_command(app), "kt"))
    ours = {name: options - {"--help"} for name, options in there.items()}
    assert len(ours) >= 7
    assert documented() == ours
