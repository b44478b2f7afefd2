"""A child process of ours: JSON lines over its pipes, a log file for what it says, and an end that is certain.

The child ends when its stdin closes, so it cannot outlive us, however we end.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ktui.child import run_child; run_child(sys.argv[2])"
)
_MOST_BYTES = 1 << 20


class ChildError(Exception):
    """The child did not do its part; the text is one sentence."""


class Child:
    """Runs the coroutine function `main` of `module` in a new process. All methods may be called from any thread,
    one at a time. Secrets go through `send`, never through the command line."""

    def __init__(self, name: str, module: str, log: Path) -> None:
        self._name = name
        self._module = module
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""

    @property
    def pid(self) -> int | None:
        """Its process, while it runs."""
        running = self._process is not None and self._process.poll() is None
        return self._process.pid if running and self._process is not None else None

    def start(self) -> None:
        """Begin; returns before the child is ready."""
        descriptor = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        # -P and our own search path: a folder named `proxy` where the operator stands is not ours.
        command = [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path), self._module]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=descriptor,
                bufsize=0,
                # Keys of the terminal are for the screen: ctrl+c must not reach the child.
                start_new_session=True,
            )
        except OSError as error:
            raise ChildError(f"{self._name} cannot be started: {error.strerror}") from None
        finally:
            os.close(descriptor)

    def send(self, message: Mapping[str, Any]) -> None:
        """One JSON line to the child. Raises ChildError when it has gone."""
        pipe = self._process.stdin if self._process is not None else None
        if pipe is None:
            raise ChildError(f"{self._name} is not running")
        try:
            pipe.write(json.dumps(message).encode() + b"\n")
        except (OSError, ValueError):
            raise self._gone() from None

    def receive(self, within_s: float) -> dict[str, Any]:
        """The next JSON line of the child. Raises ChildError when it says `error`, has gone or is silent."""
        pipe = self._process.stdout if self._process is not None else None
        if pipe is None:
            raise ChildError(f"{self._name} is not running")
        until = time.monotonic() + within_s
        while b"\n" not in self._pending:
            ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
            if not ready:
                raise ChildError(f"{self._name} did not answer within {within_s:g} s; see {self._log}")
            data = os.read(pipe.fileno(), 65_536)
            if not data or len(self._pending) > _MOST_BYTES:
                raise self._gone()
            self._pending += data
        line, _, self._pending = self._pending.partition(b"\n")
        message: dict[str, Any] = json.loads(line)
        if "error" in message:
            raise ChildError(str(message["error"]))
        return message

    def stop(self, within_s: float) -> None:
        """Ask it to end by closing its stdin; what is left after `within_s` seconds is ended by force."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        with suppress(OSError):
            process.stdin.close()
        try:
            process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def _gone(self) -> ChildError:
        return ChildError(f"{self._name} ended before it answered; see {self._log}")


class Parent:
    """The parent as the child sees it."""

    def __init__(self, reader: asyncio.StreamReader, out: int) -> None:
        self._reader = reader
        self._out = out

    async def receive(self) -> dict[str, Any] | None:
        """The parent's next message; None when it has gone or wants us to end."""
        line = await self._reader.readline()
        if not line.endswith(b"\n"):
            return None
        message: dict[str, Any] = json.loads(line)
        return message

    def send(self, message: Mapping[str, Any]) -> None:
        """One message to the parent; one that has gone misses it."""
        with suppress(OSError):
            os.write(self._out, json.dumps(message).encode() + b"\n")


Main = Callable[[Parent], Coroutine[Any, Any, None]]


def run_child(module: str) -> None:
    """Runs `main(parent)` of `module`, on uvloop where it exists."""
    main: Main = importlib.import_module(module).main
    # Whoever writes to stdout must not speak to the parent in our place.
    out = os.dup(1)
    os.dup2(2, 1)
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_with_parent(main, out))


async def _with_parent(main: Main, out: int) -> None:
    reader = asyncio.StreamReader(limit=_MOST_BYTES)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await main(Parent(reader, out))


def new_loop() -> asyncio.AbstractEventLoop:
    """An event loop of uvloop where it exists, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
