"""A manager of a policy file in a temporary directory, and small policies that lint clean."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from proxy.config.manager import ConfigManager
from proxy.config.state import RunningVersion
from proxy.config.versions import VersionStore
from proxy.policy.lint import Surroundings

ENV = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "y"}
BROKEN = "policies:\n  - name: a\n    type: no_such_type\n"


def policy(a: float = 95, b: float = 5) -> str:
    """A split of two arms."""
    return (
        "policies:\n"
        "  - name: ab   # the owner's comment\n"
        "    type: traffic_split\n"
        "    variants:\n"
        f"      - {{model: gpt-4o, weight: {a:g}, tag: a}}\n"
        f"      - {{model: claude-x, weight: {b:g}, tag: b}}\n"
    )


@dataclass
class Managed:
    """A running manager and what it told."""

    manager: ConfigManager
    path: Path
    versions: VersionStore
    applied: list[RunningVersion] = field(default_factory=list)

    @property
    def running_text(self) -> str | None:
        """What runs."""
        return self.manager.running.text if self.manager.running is not None else None


@asynccontextmanager
async def managed(path: Path, state: Path, watch: bool = True) -> AsyncIterator[Managed]:
    """A manager over `path`, its versions in `state`; ended afterwards."""
    state.mkdir(exist_ok=True)
    versions = VersionStore(state / "versions.db")
    await versions.open()
    applied: list[RunningVersion] = []
    manager = ConfigManager(path, versions, lambda: Surroundings(ENV, date(2026, 1, 1), path), applied.append)
    managed = Managed(manager, path, versions, applied)
    try:
        await manager.start()
        if not watch:
            await manager.stop()
        yield managed
    finally:
        await manager.stop()
        await versions.close()


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> float:
    """Wait until `condition` holds; the seconds it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < within_s, "the condition did not come true in time"
        await asyncio.sleep(0.01)
    return time.monotonic() - began
