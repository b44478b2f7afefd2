"""A gateway whose disk takes nothing for a while: does any request fail, and is anything lost without being counted?

    python -m benchmarks.disk_full [--seconds 30] [--rate 50] [--how full|failing]

`full`: the state directory is a small file system of its own (tmpfs; mounting it needs root) that something else fills.
`failing`: no file of the gateway can grow (`prlimit --fsize`; needs no rights), so that writes end with an error of another
kind. Clients ask all the time. Then there is room again; the gateway is not restarted. Exit code 1 when a
request failed, when the counters did not tell, or when an event that was kept did not reach the database.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.gateway_process import GatewayProcess, unaccounted
from benchmarks.kills import judge
from benchmarks.upstream import Connection

FILE_SYSTEM = "24m"
LOOK_EVERY_S = 0.1
RECOVERED_WITHIN_S = 30.0
_BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Where is my parcel?"}]}


@dataclass
class Seen:
    """What clients and control API said."""

    answered: list[str] = field(default_factory=list)
    """Ids of the answers."""
    failed: list[str] = field(default_factory=list)
    """Requests that were not answered with 200, in words."""
    troubles: set[str] = field(default_factory=set)
    """What the status said troubles the store."""
    most_spilled: int = 0
    memory_grown: int = 0
    """Bytes of resident memory, from the beginning of the trouble to its end."""
    wrong: list[str] = field(default_factory=list)
    """What is not as it should be, in words; empty when all is well."""
    recovered_s: float = 0.0
    """From the first free byte to the last event stored."""

    def look(self, events: dict[str, Any]) -> None:
        """Note one answer of the status."""
        if unaccounted(events):
            self.wrong.append(f"{unaccounted(events)} events are not accounted for in {events}")
        if events["trouble"]:
            self.troubles.add(events["trouble"])
        self.most_spilled = max(self.most_spilled, events["spilled"])


class FullDisk:
    """Fills the file system of `directory`, again and again, because whoever writes there also frees."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "something-else"

    def on(self) -> None:
        """Leave no free byte."""
        try:
            with self._path.open("ab", buffering=0) as file:
                # In the end byte by byte: a file system gives the last page in parts.
                for size in (1 << 16, 1):
                    try:
                        while True:
                            file.write(b"\0" * size)
                    except OSError as error:
                        if error.errno != errno.ENOSPC:
                            raise
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def off(self) -> None:
        """Make room."""
        self._path.unlink(missing_ok=True)


class FailingWrites:
    """No file of a process can be written beyond its first byte."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = resource.prlimit(pid, resource.RLIMIT_FSIZE)

    def on(self) -> None:
        """From now on."""
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (1, self._before[1]))

    def off(self) -> None:
        """No longer."""
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, self._before)


async def _ask(http: aiohttp.ClientSession, port: int, seen: Seen) -> None:
    try:
        async with http.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=_BODY) as answer:
            data = await answer.read()
            if answer.status == 200:
                seen.answered.append(answer.headers["x-kt-request-id"])
            else:
                seen.failed.append(f"{answer.status} {data[:200]!r}")
    except (aiohttp.ClientError, OSError) as error:
        seen.failed.append(repr(error))


async def _load(http: aiohttp.ClientSession, port: int, rate: float, seen: Seen) -> None:
    """`rate` requests a second, until cancelled; then those under way are waited for."""
    async with asyncio.TaskGroup() as group:
        try:
            while True:
                group.create_task(_ask(http, port, seen))
                await asyncio.sleep(1 / rate)
        except asyncio.CancelledError:
            return


async def run(directory: Path, how: str, seconds: float, rate: float) -> Seen:
    """The whole trial. `directory/state` is where the disk fills up."""
    seen = Seen()
    vendor = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    gateway = GatewayProcess(directory, vendor.sockets[0].getsockname()[1])
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        await gateway.start()
        try:
            await gateway.serving()
            fault = FullDisk(gateway.state) if how == "full" else FailingWrites(gateway.pid)
            load = asyncio.create_task(_load(http, gateway.data, rate, seen))
            await _until_stored(gateway, http, 10)
            await _suffer(gateway, http, fault, seconds, seen)
            load.cancel()
            await asyncio.gather(load, return_exceptions=True)
            await _recover(gateway, http, seen)
        finally:
            code = await gateway.end(signal.SIGTERM)
            vendor.close()
    if code:
        seen.wrong.append(f"the orderly end had exit code {code}")
    _compare(gateway.state, seen)
    return seen


async def _until_stored(gateway: GatewayProcess, http: aiohttp.ClientSession, number: int) -> None:
    while (await gateway.events(http))["stored"] < number:
        await asyncio.sleep(LOOK_EVERY_S)


async def _suffer(
    gateway: GatewayProcess,
    http: aiohttp.ClientSession,
    fault: FullDisk | FailingWrites,
    seconds: float,
    seen: Seen,
) -> None:
    """The disk takes nothing for `seconds`; a moment more under load when it does again."""
    before, until = _resident(gateway.pid), time.monotonic() + seconds
    stored = 0
    try:
        while time.monotonic() < until:
            fault.on()
            events = await gateway.events(http)
            seen.look(events)
            stored = events["stored"]
            await asyncio.sleep(LOOK_EVERY_S)
        seen.memory_grown = _resident(gateway.pid) - before
    finally:
        fault.off()
    if not seen.troubles:
        seen.wrong.append("the status never said that the disk takes nothing")
    if stored + seen.most_spilled < len(seen.answered) - rate_slack(len(seen.answered)):
        seen.wrong.append(
            f"{len(seen.answered)} answers, but the counters tell of {stored} + {seen.most_spilled}"
        )


def rate_slack(answers: int) -> int:
    """Answers that may come between two looks at the counters."""
    return max(20, answers // 10)


async def _recover(gateway: GatewayProcess, http: aiohttp.ClientSession, seen: Seen) -> None:
    """Wait until nothing is spilled and the trouble is over."""
    began = time.monotonic()
    while True:
        events = await gateway.events(http)
        seen.look(events)
        if not events["spilled"] and not events["trouble"]:
            break
        if time.monotonic() - began > RECOVERED_WITHIN_S:
            seen.wrong.append(f"it did not recover: {events}")
            break
        await asyncio.sleep(LOOK_EVERY_S)
    seen.recovered_s = time.monotonic() - began
    if events["dropped"]:
        seen.wrong.append(f"dropped, though memory had room: {events['dropped']}")


def _compare(state: Path, seen: Seen) -> None:
    verdict = judge(state, seen.answered, [])
    if not verdict.fine:
        seen.wrong.append(str(verdict))
    aside = [path.name for path in state.glob("*corrupt*")]
    if aside:
        seen.wrong.append(f"a sound database was put aside: {', '.join(aside)}")
    if seen.failed:
        seen.wrong.append(f"{len(seen.failed)} requests failed, the first one with {seen.failed[0]}")


def _resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def small_file_system(directory: Path) -> Iterator[None]:
    """A tmpfs of FILE_SYSTEM bytes at `directory`. PermissionError where that cannot be had."""
    directory.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={FILE_SYSTEM},mode=0700", "none", str(directory)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise PermissionError(f"a small file system cannot be mounted: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(directory)], check=True)


def main() -> int:
    """Run it; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=50.0, help="requests per second")
    parser.add_argument("--how", choices=("full", "failing"), default="full")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ktui-disk-") as made:
        directory = Path(made)
        if given.how == "full":
            with small_file_system(directory / "state"):
                seen = asyncio.run(run(directory, given.how, given.seconds, given.rate))
        else:
            seen = asyncio.run(run(directory, given.how, given.seconds, given.rate))
    sys.stdout.write(
        f"{given.how} for {given.seconds:g} s: {len(seen.answered):,} answers, {len(seen.failed)} failed; at most "
        f"{seen.most_spilled:,} events waited, memory grew by {seen.memory_grown / 2**20:.1f} MiB, all stored "
        f"{seen.recovered_s:.1f} s after there was room\n"
    )
    for text in sorted(seen.troubles):
        sys.stdout.write(f"it said: {text}\n")
    for text in seen.wrong:
        sys.stdout.write(f"WRONG: {text}\n")
    return 1 if seen.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
