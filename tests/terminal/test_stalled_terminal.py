"""Nobody reads the terminal for ten seconds: requests do not notice, and a signal still ends everything."""

from __future__ import annotations

import http.client
import os
import re
import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pty_support import Terminal, command_line, descendants

Launch = Callable[..., Terminal]

STALL_S = 10.0
PAUSE_S = 0.02


def address(terminal: Terminal) -> tuple[str, int]:
    """Where the header says the gateway listens."""
    terminal.wait_for(lambda text: "● serving" in text, 20)
    found = re.search(r"(127\.0\.0\.1):(\d+)", terminal.text())
    assert found is not None
    return found[1], int(found[2])


def latencies(where: tuple[str, int], seconds: float) -> list[float]:
    """Milliseconds of requests that the gateway answers by itself: decided, recorded, refused by policy."""
    body = b'{"model":"o1-pro","messages":[{"role":"user","content":"hello"}]}'
    connection = http.client.HTTPConnection(*where, timeout=5)
    measured = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        began = time.perf_counter()
        connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        measured.append((time.perf_counter() - began) * 1_000)
        assert answer.status == 403
        time.sleep(PAUSE_S)
    connection.close()
    return measured


@pytest.mark.parametrize("gateway", ["thread", "process"])
def test_requests_keep_their_latency(launch: Launch, gateway: str) -> None:
    terminal = launch("demo", "--gateway", gateway)
    where = address(terminal)
    terminal.wait_for(lambda text: "✓ 200" in text, 20)
    before = latencies(where, 4)
    drawn = len(terminal.raw)
    terminal.stall()
    stalled = latencies(where, STALL_S)
    assert len(terminal.raw) - drawn <= 65_536  # What was being read when it stopped.
    assert len(stalled) > STALL_S / PAUSE_S / 4
    p95_before, p95_stalled = (statistics.quantiles(values, n=20)[-1] for values in (before, stalled))
    assert p95_stalled < max(3 * p95_before, 50)
    assert max(stalled) < 1_000

    terminal.resume()
    terminal.wait_for(lambda text: "● serving" in text and "o1-pro" in text, 10)
    terminal.type("q")
    assert terminal.exit_code(6) == 0
    assert terminal.modes_now() == terminal.modes_before


def test_a_signal_ends_it_though_nobody_reads(launch: Launch, home: Path) -> None:
    terminal = launch("demo")
    address(terminal)
    terminal.stall()
    time.sleep(STALL_S)  # Long enough that the screen is stuck in a write.
    children = descendants(terminal.process.pid)
    os.kill(terminal.process.pid, signal.SIGTERM)
    assert terminal.exit_code(10) == 128 + signal.SIGTERM
    assert [command_line(pid) for pid in children if command_line(pid)] == []
    assert list((home / "tmp").iterdir()) == []
    assert terminal.modes_now() == terminal.modes_before
