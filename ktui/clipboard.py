"""Copying from the screen: through tmux, through the terminal (OSC 52), or into a file. Says which way it went."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ktui.paths import state_dir
from ktui.settings import SettingsFile
from proxy.base.sanitise import sanitise

NAME = "copied.txt"
OSC52_LARGEST = 74_000
"""Bytes: terminals cut or refuse sequences above 100,000 characters, and base64 makes 4 of 3."""
_TMUX_S = 2.0


class Terminal(Protocol):
    """What is asked of the application."""

    def copy_to_clipboard(self, text: str) -> None:
        """Sends OSC 52."""


@dataclass(frozen=True)
class Copied:
    """`words`: one sentence that is safe to show; `done` is False when no way worked."""

    words: str
    done: bool = True


def route(env: Mapping[str, str], size: int, wanted: str = "auto") -> str:
    """`tmux`, `osc52` or `file`. `size` in bytes. What is known not to hear OSC 52 gets a file."""
    if wanted != "auto":
        return wanted
    if env.get("TMUX"):
        return "tmux"
    deaf = env.get("TERM", "") in {"", "dumb", "linux"} or env.get("STY")
    if deaf or env.get("TERM_PROGRAM") == "Apple_Terminal" or size > OSC52_LARGEST:
        return "file"
    return "osc52"


async def copy(
    terminal: Terminal, text: str, what: str, env: Mapping[str, str], settings: SettingsFile | None = None
) -> Copied:
    """Copies `text`; `what` names it, as in `the JSON of 3 requests`, and must be safe to show."""
    wanted = settings.now.copy if settings is not None else "auto"
    size = len(text.encode("utf-8", "surrogatepass"))
    way, trouble = route(env, size, wanted), ""
    if way == "tmux":
        trouble = await _to_tmux(text)
        if not trouble:
            return Copied(
                f"copied {what} to tmux: prefix ] pastes; the terminal's clipboard has it if it may"
            )
        way = "file" if size > OSC52_LARGEST else "osc52"
    if way == "osc52":
        terminal.copy_to_clipboard(text)
        tail = f"; tmux refused: {trouble}" if trouble else ""
        return Copied(
            f"sent {what} to the terminal (OSC 52){tail}; if it pastes nothing, it refuses: "
            "copy: file in settings.yaml writes a file instead"
        )
    try:
        path = await asyncio.to_thread(_to_file, state_dir(env), text)
    except OSError as error:
        return Copied(f"not copied: no file could be written: {error.strerror}", done=False)
    return Copied(f"wrote {what} to {sanitise(path, 200)}")


async def _to_tmux(text: str) -> str:
    """The reason why it did not work, or ""."""
    program = shutil.which("tmux")
    if program is None:
        return "there is no tmux here"
    try:
        process = await asyncio.create_subprocess_exec(
            program, "load-buffer", "-w", "-",
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except OSError as error:
        return error.strerror or "it cannot be run"
    try:
        data = text.encode("utf-8", "replace")
        _, said = await asyncio.wait_for(process.communicate(data), _TMUX_S)
    except TimeoutError:
        process.kill()
        await process.wait()
        return f"no answer in {_TMUX_S:g} s"
    if process.returncode:
        return sanitise(said.decode("utf-8", "replace").strip() or f"exit {process.returncode}", 120)
    return ""


def _to_file(directory: Path, text: str) -> Path:
    """Readable only by its owner; the copy before is replaced. Raises OSError."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=directory, prefix=f".{NAME}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace", newline="") as file:
            file.write(text)
        return Path(name).replace(directory / NAME)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
