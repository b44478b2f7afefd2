"""Processes of a measurement: on which core they run, what processor time they took, how they stand still."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def cores() -> tuple[int, int]:
    """The core for what is measured, and the core for everything else. The same one where there is only one."""
    mine = sorted(os.sched_getaffinity(0))
    return mine[-1], mine[0]


def pin(pid: int, core: int) -> None:
    """Keep every thread of a process on `core`; threads and children made later stay there too."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):
            os.sched_setaffinity(int(task.name), {core})


def tree(pid: int) -> list[int]:
    """A process and all its descendants that live."""
    found = [pid]
    for one in found:
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with suppress(OSError):
                found.extend(int(child) for child in task.read_text().split())
    return found


def cpu_s(pids: list[int]) -> float:
    """Seconds of processor time these processes have taken, user and system."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            # The name, second field, may hold spaces; what follows its closing bracket does not.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def hold(pids: list[int], still: bool) -> None:
    """Stop processes where they are, or let them go on: who waits for its turn takes nothing from who has it."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP if still else signal.SIGCONT)


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop where it exists."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()
