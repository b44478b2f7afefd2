"""A control API over a store that stands still, in a process of its own, and searches of it that are timed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.machine import cpu_s, new_loop, tree
from proxy.service.replay_service import Archive, ReplayService

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class Search:
    """One search, in milliseconds from the request."""

    told_ms: float
    """Its first message: rows, or how far it is."""
    rows_ms: float | None
    """Its first rows; None when there are none."""
    done_ms: float
    gap_ms: float
    """The longest time without a message: how long a search may go on that was left."""
    found: int
    searched: int
    gateway_s: float
    """Processor time of the process that serves the API."""

    @property
    def rows_per_s(self) -> float:
        """Rows looked at."""
        return self.searched / self.done_ms * 1e3


class Asked:
    """The served store."""

    def __init__(self, http: aiohttp.ClientSession, base: str, pid: int) -> None:
        self._http = http
        self._base = base
        self._pid = pid

    async def search(self, **params: str | int) -> Search:
        """`GET /v1/events/search`, read to its end."""
        used = cpu_s([self._pid])
        began = last = time.perf_counter()
        told = rows = None
        gap, kind, end = 0.0, "", {"found": 0, "searched": 0}
        async with self._http.get(f"{self._base}/v1/events/search", params=params) as answer:
            assert answer.status == 200, await answer.text()
            async for line in answer.content:
                if line.startswith(b"event: "):
                    kind = line[7:].decode().strip()
                    now = time.perf_counter()
                    gap, last = max(gap, now - last), now
                    told = told or now - began
                    rows = rows or (now - began if kind == "rows" else None)
                elif line.startswith(b"data: ") and kind in ("done", "failed"):
                    end = json.loads(line[6:])
        assert kind == "done", end
        return Search(
            (told or 0.0) * 1e3,
            None if rows is None else rows * 1e3,
            (time.perf_counter() - began) * 1e3,
            gap * 1e3,
            end["found"],
            end["searched"],
            cpu_s([self._pid]) - used,
        )

    async def page_ms(self, **params: str | int) -> float:
        """`GET /v1/events`, read to its end."""
        began = time.perf_counter()
        async with self._http.get(f"{self._base}/v1/events", params=params) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()
        return (time.perf_counter() - began) * 1e3

    def resident(self) -> tuple[float, float]:
        """MiB of the serving process, and of those it started."""
        first, *others = (_resident(pid) for pid in tree(self._pid))
        return first, sum(others)


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@asynccontextmanager
async def asked(path: Path) -> AsyncIterator[Asked]:
    """The store at `path`, served."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.asking", str(path.absolute()),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
    )  # fmt: skip
    assert child.stdin is not None and child.stdout is not None
    try:
        line: dict[str, Any] = json.loads(await child.stdout.readline())
        head = {"Authorization": f"Bearer {line['token']}"}
        # Rows of a page come as one line.
        async with aiohttp.ClientSession(headers=head, read_bufsize=1 << 24) as http:
            yield Asked(http, line["base"], child.pid)
    finally:
        child.stdin.close()
        await child.wait()


async def _serve(path: Path) -> None:
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "events.db").symlink_to(path)
        service = ReplayService(Archive(Path(place), Path(place) / "versions", "benchmark"), {})
        base = await service.start()
        sys.stdout.write(json.dumps({"base": base, "token": service.token.reveal()}) + "\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)
        await service.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_serve(Path(sys.argv[1])))
