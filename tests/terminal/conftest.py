"""A person's home and a terminal, for programs run under a pty."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pty_support import Terminal, clean_env, ktui_command

Launch = Callable[..., Terminal]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def launch(home: Path) -> Iterator[Launch]:
    """Runs `ktui` with these arguments in `home`; ended at the end of the test."""
    terminals: list[Terminal] = []

    def start(*arguments: str, size: tuple[int, int] = (120, 40), **env: str) -> Terminal:
        terminal = Terminal(ktui_command(*arguments), env=clean_env(home) | env, cwd=home, size=size)
        terminals.append(terminal)
        return terminal

    yield start
    for terminal in terminals:
        terminal.close()
