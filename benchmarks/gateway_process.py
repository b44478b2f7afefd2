"""`kt gateway run` as a process that can be ended in any way and started again over the same state directory."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.contenders import POLICY, environment, free_port, operator_token

ROOT = Path(__file__).parent.parent
SERVING_WITHIN_S = 30.0


class GatewayProcess:
    """`kt gateway run` over one state directory, started as often as need be."""

    def __init__(self, directory: Path, vendor_port: int, state: Path | None = None, more: str = "") -> None:
        """`more`: further lines of the policy file."""
        self.state = state or directory / "state"
        self._log = directory / "gateway.log"
        self.policy = directory / "policy.yaml"
        self.policy.write_text(POLICY.format(port=vendor_port) + more)
        self.data, self.api = free_port(), free_port()
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process started last."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the process; it may not serve yet."""
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-c", "from proxy.cli.main import main; main()", "gateway", "run",
                "--policy-config", str(self.policy), "--listen", f"127.0.0.1:{self.data}",
                "--api-listen", f"127.0.0.1:{self.api}", "--state-dir", str(self.state),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environment(), cwd=ROOT,
            )  # fmt: skip

    async def serving(self) -> None:
        """Come back when it takes connections on both ports. SystemExit with its log when it does not come up."""
        assert self._process is not None
        until = time.monotonic() + SERVING_WITHIN_S
        while time.monotonic() < until and self._process.returncode is None:
            with suppress(OSError):
                for port in (self.data, self.api):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                return
            await asyncio.sleep(0.02)
        raise SystemExit(f"the gateway does not come up; its log ends:\n{self._log.read_text()[-2_000:]}")

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait for the end; the exit code."""
        assert self._process is not None
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        return await self._process.wait()

    async def events(self, http: aiohttp.ClientSession) -> dict[str, Any]:
        """What `/v1/status` says about events."""
        head = {"Authorization": f"Bearer {operator_token(self.state)}"}
        async with http.get(f"http://127.0.0.1:{self.api}/v1/status", headers=head) as answer:
            found: dict[str, Any] = (await answer.json())["events"]
        return found


def unaccounted(events: dict[str, Any]) -> int:
    """Events of `/v1/status` of which nobody knows what became: accepted - (stored + spilled + dropped)."""
    known = events["stored"] + events["spilled"] + sum(events["dropped"].values())
    return int(events["accepted"] - known)
