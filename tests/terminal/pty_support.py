"""A program under a pty, its screen kept by a terminal in memory."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pyte

REPOSITORY = Path(__file__).resolve().parents[2]


class Terminal:
    """Runs `argv` with a terminal of `size` (columns, rows). Read until `stall` is called."""

    def __init__(
        self, argv: Sequence[str], *, env: dict[str, str], cwd: Path, size: tuple[int, int] = (120, 40)
    ) -> None:
        columns, rows = size
        self.screen = pyte.Screen(columns, rows)
        self._stream = pyte.ByteStream(self.screen)
        self._lock = threading.Lock()
        self.raw = bytearray()
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.modes_before = termios.tcgetattr(self.slave)
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            list(argv),
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            cwd=cwd,
            env=env,
            preexec_fn=self._own_terminal,
        )
        self._reading = threading.Event()
        self._reading.set()
        self._closed = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @staticmethod
    def _own_terminal() -> None:
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def _read(self) -> None:
        while not self._closed:
            if not self._reading.wait(0.1):
                continue
            ready, _, _ = select.select([self.master], [], [], 0.05)
            if not ready or not self._reading.is_set():
                continue
            try:
                data = os.read(self.master, 65_536)
            except OSError:
                return
            with self._lock:
                self.raw += data
                # pyte does not know DECRQM and Kitty's keyboard sequences; they draw nothing.
                self._feed(data)

    def _feed(self, data: bytes) -> None:
        try:
            self._stream.feed(data)
        except (TypeError, IndexError, ValueError):
            self._stream = pyte.ByteStream(self.screen)

    # -- what a person does

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def stall(self) -> None:
        """Stop reading what the program draws."""
        self._reading.clear()

    def resume(self) -> None:
        """Read again."""
        self._reading.set()

    def rows(self) -> list[str]:
        """What stands on the screen."""
        with self._lock:
            return list(self.screen.display)

    def text(self) -> str:
        """The same as one text."""
        return "\n".join(self.rows())

    def wait_for(self, condition: Callable[[str], bool], within_s: float) -> float:
        """Seconds since the start when the screen first met `condition`; AssertionError with the screen if never."""
        until = time.monotonic() + within_s
        while time.monotonic() < until:
            if condition(self.text()):
                return time.monotonic() - self.started
            if self.process.poll() is not None:
                time.sleep(0.2)
                if condition(self.text()):
                    return time.monotonic() - self.started
                break
            time.sleep(0.02)
        raise AssertionError(
            f"not within {within_s} s (exit code {self.process.poll()}); the screen:\n{self.text()}"
        )

    def exit_code(self, within_s: float) -> int:
        """Wait for its end; subprocess.TimeoutExpired when it goes on."""
        return self.process.wait(within_s)

    def modes_now(self) -> list[object]:
        """Terminal modes, to be compared with `modes_before`."""
        return list(termios.tcgetattr(self.slave))

    def close(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        self._closed = True
        self._reading.set()
        self._reader.join(2)
        os.close(self.master)
        os.close(self.slave)


def descendants(pid: int) -> dict[int, str]:
    """Processes below `pid`, with their command lines (Linux)."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry.name)] = int(fields[1])
    found: dict[int, str] = {}
    todo = [pid]
    while todo:
        above = todo.pop()
        for child, parent in parents.items():
            if parent == above:
                todo.append(child)
                found[child] = command_line(child)
    return found


def command_line(pid: int) -> str:
    """The arguments of a process, empty when it has gone."""
    try:
        return (Path("/proc") / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def ktui_command(*arguments: str) -> list[str]:
    """`ktui` of this checkout."""
    return [sys.executable, "-m", "ktui", *arguments]


def clean_env(home: Path) -> dict[str, str]:
    """An environment of a person with nothing set up; temporary files go below `home`."""
    (home / "tmp").mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    }
