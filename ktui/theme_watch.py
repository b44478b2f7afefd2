"""Tells when a theme file was saved. Directories are watched, never files: editors save by renaming."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from watchfiles import awatch


async def watch_themes(dirs: list[Path], changed: Callable[[], None]) -> None:
    """Calls `changed` after each save of a `.yaml` file in `dirs`, until cancelled."""
    if not dirs:
        return
    async for changes in awatch(*dirs, recursive=False, debounce=300, step=100):
        if any(path.endswith(".yaml") for _kind, path in changes):
            changed()
