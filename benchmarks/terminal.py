"""Bytes that `ktui attach` writes to a terminal: a pty of 80x24, truecolor, over a gateway in this process.

First nothing happens; then RATE requests a second of ordinary traffic are stored, following, and under a
filter that keeps one in ten. Counted are all bytes that the program writes, seconds after it was drawn.

python -m benchmarks.terminal [--seconds 15]
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import os
import pty
import random
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from benchmarks.contenders import POLICY, environment
from benchmarks.store import make
from proxy.base.times import now_ms
from proxy.service.gateway_service import GatewayService
from proxy.service.options import ServiceOptions

RATE = 100
SIZE = (80, 24)
BUSY_GOAL = 20_000
"""Bytes a second that a busy screen may take; an idle one takes none."""
SETTLED_S = 4.0


class Pty:
    """A program in a pty; everything that it writes is counted and thrown away."""

    def __init__(self, argv: list[str], env: dict[str, str], size: tuple[int, int] = SIZE) -> None:
        self.written = 0
        self.last = b""
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self._process = subprocess.Popen(
            argv, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
        )
        os.close(slave)
        asyncio.get_running_loop().add_reader(self._master, self._read)

    @property
    def pid(self) -> int:
        """The program's process."""
        return self._process.pid

    def _read(self) -> None:
        try:
            data = os.read(self._master, 1 << 16)
        except OSError:
            asyncio.get_running_loop().remove_reader(self._master)
            return
        self.written += len(data)
        self.last = (self.last + data)[-200_000:]

    def type(self, keys: str) -> None:
        """Presses keys."""
        os.write(self._master, keys.encode())

    async def close(self) -> None:
        """Quits the program; ends it when it does not."""
        self.type("\x11")
        for _ in range(50):
            if self._process.poll() is not None:
                return
            await asyncio.sleep(0.1)
        self._process.terminate()


async def count(screen: Pty, seconds: float) -> float:
    """Bytes a second from now on."""
    before, began = screen.written, time.monotonic()
    await asyncio.sleep(seconds)
    return (screen.written - before) / (time.monotonic() - began)


async def traffic(service: GatewayService) -> None:
    """Stores RATE requests a second."""
    source, index, due = random.Random(1), 0, time.monotonic()
    while True:
        due += 1 / RATE
        await asyncio.sleep(max(due - time.monotonic(), 0))
        event = make(index, 1, source)
        event.timestamp_ms = now_ms() - int(event.latency_ms)
        service.hub.store.append(event)
        index += 1


async def run(seconds: float) -> bool:
    """Measures and reports; whether all goals are met."""
    with tempfile.TemporaryDirectory() as place:
        policy, state = Path(place) / "policy.yaml", Path(place) / "state"
        policy.write_text(POLICY.format(port=9))
        service = GatewayService(
            ServiceOptions(
                policy_path=policy, state_dir=state, listen="127.0.0.1:0", api_listen="127.0.0.1:0", env=environment()
            )
        )  # fmt: skip
        api = (await service.start()).api
        env = environment() | {
            "TERM": "xterm-256color", "COLORTERM": "truecolor", "LANG": "C.UTF-8", "HOME": place,
            "KT_API_TOKEN": service.token.reveal(), "PATH": os.environ["PATH"],
        }  # fmt: skip
        screen = Pty([sys.executable, "-m", "ktui", "attach", f"http://{api}"], env)
        try:
            return await measure(screen, service, seconds)
        finally:
            await screen.close()
            await service.stop(drain_s=0.2)


async def measure(screen: Pty, service: GatewayService, seconds: float) -> bool:
    """Idle, busy, busy under a filter."""
    until = time.monotonic() + 20
    while b"serving" not in screen.last and time.monotonic() < until:
        await asyncio.sleep(0.1)
    if b"serving" not in screen.last:
        raise SystemExit(f"the screen was not drawn: {screen.last[-400:]!r}")
    await asyncio.sleep(SETTLED_S)
    idle = await count(screen, seconds)
    report("nothing happens", idle, 0)
    sending = asyncio.create_task(traffic(service))
    await asyncio.sleep(SETTLED_S)
    busy = await count(screen, seconds)
    report(f"following, {RATE} requests/s", busy, BUSY_GOAL)
    screen.type("k")
    await asyncio.sleep(SETTLED_S)
    paused = await count(screen, seconds)
    report("the same, follow off", paused, BUSY_GOAL)
    screen.type("/")
    await asyncio.sleep(0.5)
    screen.type("variant:b\r")
    await asyncio.sleep(SETTLED_S)
    filtered = await count(screen, seconds)
    report("the same, under variant:b", filtered, BUSY_GOAL)
    sending.cancel()
    return idle == 0 and max(busy, paused, filtered) <= BUSY_GOAL


def report(what: str, rate: float, goal: int) -> None:
    """One line of the report."""
    verdict = "ok" if rate <= goal else "TOO MUCH"
    sys.stdout.write(f"{what:34} {rate:9,.0f} bytes/s   at most {goal:,}: {verdict}\n")
    sys.stdout.flush()


def main() -> None:
    """Reads the options and runs; exit code 1 when a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15.0)
    sys.exit(0 if asyncio.run(run(parser.parse_args().seconds)) else 1)


if __name__ == "__main__":
    main()
