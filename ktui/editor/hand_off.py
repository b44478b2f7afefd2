"""Handing the draft to $VISUAL or $EDITOR: the editor gets the terminal, everything else goes on."""

from __future__ import annotations

import asyncio
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 1 << 20
"""Size of a draft that is taken back; no larger policy file is read anywhere."""
_AGAIN_S = 0.05


class HandOffError(Exception):
    """The draft could not be handed over; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class HandOff:
    """What came back."""

    text: str | None
    """The text as the editor left it; None when it is not to be taken."""
    reason: str = ""
    """Why it is not taken: half a sentence."""


def editor_of(env: Mapping[str, str]) -> list[str]:
    """The command line of the reader's editor. HandOffError when there is none that can be run."""
    name = next((word for word in ("VISUAL", "EDITOR") if env.get(word, "").strip()), None)
    if name is None:
        raise HandOffError("neither $VISUAL nor $EDITOR is set; start ktui with EDITOR=nano, for example")
    try:
        command = shlex.split(env[name])
    except ValueError:
        raise HandOffError(f"${name} has a quote that is not closed") from None
    if not command or shutil.which(command[0], path=env.get("PATH")) is None:
        raise HandOffError(f"${name} names a program that is not there or cannot be run")
    return command


async def hand_off(command: Sequence[str], text: str, name: str) -> HandOff:
    """Runs the editor on a private copy of `text` and waits for it; the terminal must be free by now."""
    return await asyncio.to_thread(_edit, list(command), text, name)


def _edit(command: list[str], text: str, name: str) -> HandOff:
    folder = Path(tempfile.mkdtemp(prefix="ktui-"))
    try:
        path = folder / _file_name(name)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8", "surrogatepass"))
        try:
            code = _run_in_foreground([*command, str(path)])
        except OSError as error:
            return HandOff(None, f"the editor did not start: {error.strerror or 'unknown reason'}")
        if code != 0:
            how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
            return HandOff(None, f"the editor {how}")
        return _read_back(path)
    except OSError as error:
        return HandOff(None, f"the copy could not be written: {error.strerror or 'unknown reason'}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _file_name(name: str) -> str:
    stem = "".join(c for c in Path(name).stem[:60] if c.isascii() and (c.isalnum() or c in "-_")) or "policy"
    return f"{stem}.yaml"


def _read_back(path: Path) -> HandOff:
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        return HandOff(None, f"its file cannot be read any more: {error.strerror or 'unknown reason'}")
    if len(data) > MOST_BYTES:
        return HandOff(None, "what it left is larger than 1 MiB")
    try:
        return HandOff(data.decode("utf-8"))
    except UnicodeDecodeError:
        return HandOff(None, "what it left is not UTF-8")


def _run_in_foreground(argv: list[str]) -> int:
    """Runs a program with the terminal as its own job and returns its exit code, negative for a signal.

    As a job of its own it alone gets ctrl+c, and ctrl+z cannot stop this process and the requests with it:
    an editor that stops itself is woken again, for there is no shell here to go back to.
    """
    try:
        terminal: int | None = os.open("/dev/tty", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        terminal = None
    # Taking the terminal back from the background would stop this process.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
    try:
        process = subprocess.Popen(argv, process_group=0)
        return _wait(process, terminal)
    finally:
        if terminal is not None:
            with suppress(OSError):
                os.tcsetpgrp(terminal, os.getpgrp())
            os.close(terminal)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(process: subprocess.Popen[bytes], terminal: int | None) -> int:
    while True:
        if terminal is not None:
            with suppress(OSError):
                os.tcsetpgrp(terminal, process.pid)
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        if not os.WIFSTOPPED(status):
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode
        time.sleep(_AGAIN_S)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGCONT)
