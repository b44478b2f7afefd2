"""The child process: what it is asked, what it answers, and every way it can end."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from proxy.base.worker import Worker, WorkerError
from proxy.control.jobs import DraftError, clean_plan, portable
from proxy.events.errors import StoreError
from proxy.events.recorded_requests import read_requests
from proxy.policy.lint import Surroundings

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def worker() -> AsyncIterator[Worker]:
    made = Worker()
    yield made
    await made.close()


async def test_jobs_run_in_one_other_process(worker: Worker) -> None:
    assert worker.pid is None
    pids = await asyncio.gather(*(worker.run(os.getpid) for _ in range(5)))
    assert set(pids) == {worker.pid}
    assert worker.pid != os.getpid()


async def test_what_a_job_raises_comes_back(worker: Worker, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no event store"):
        await worker.run(read_requests, tmp_path / "events.db", 1)
    with pytest.raises(DraftError) as refused:
        await worker.run(clean_plan, "policies: 5", portable(Surroundings({}, date(2026, 6, 1))))
    assert [item.code for item in refused.value.diagnostics] == ["wrong-type"]
    with pytest.raises(WorkerError, match="ValueError: math domain error"):
        await worker.run(math.sqrt, -1)
    assert await worker.run(math.sqrt, 4) == 2


async def test_a_crash_is_one_clear_error_and_the_next_job_runs(worker: Worker) -> None:
    first = await worker.run(os.getpid)
    with pytest.raises(WorkerError, match=r"ended \(exit code 3\); the next try starts a new one"):
        await worker.run(os._exit, 3)
    assert await worker.run(os.getpid) != first


async def test_a_job_that_takes_too_long_is_ended(worker: Worker) -> None:
    await worker.run(os.getpid)
    with pytest.raises(WorkerError, match=r"not done within 0\.2 s"):
        await worker.run(time.sleep, 30, within_s=0.2)
    assert await worker.run(math.sqrt, 4) == 2


async def test_a_caller_that_leaves_does_not_mix_up_the_answers(worker: Worker) -> None:
    await worker.run(os.getpid)
    slow = asyncio.create_task(worker.run(time.sleep, 0.2))
    await asyncio.sleep(0)
    slow.cancel()
    with pytest.raises(asyncio.CancelledError):
        await slow
    assert await worker.run(math.sqrt, 9) == 3


async def test_too_many_jobs_are_refused(worker: Worker) -> None:
    jobs = [asyncio.create_task(worker.run(math.sqrt, 4)) for _ in range(40)]
    done = await asyncio.gather(*jobs, return_exceptions=True)
    assert done.count(2.0) == 16
    refused = [item for item in done if isinstance(item, WorkerError)]
    assert len(refused) == 24
    assert "try again" in str(refused[0])


async def test_closing_ends_a_job_under_way() -> None:
    worker = Worker()
    pid = await worker.run(os.getpid)
    job = asyncio.create_task(worker.run(time.sleep, 30))
    await asyncio.sleep(0.05)
    began = time.monotonic()
    await worker.close()
    assert time.monotonic() - began < 5
    with pytest.raises(WorkerError):
        await job
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    with pytest.raises(WorkerError, match="stopping"):
        await worker.run(os.getpid)


async def test_a_job_that_prints_does_not_speak_to_the_parent(worker: Worker) -> None:
    assert await worker.run(print, "hello") is None
    assert await worker.run(math.sqrt, 4) == 2


PARENT = """
import asyncio, os, signal
from proxy.base.worker import Worker

async def main():
    worker = Worker()
    print(await worker.run(os.getpid), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


def lives(pid: int) -> bool:
    """Whether the process still runs; one that ended and was not waited for does not."""
    state = Path(f"/proc/{pid}/stat")
    if state.parent.parent.joinpath("self").exists():
        try:
            return state.read_text().rpartition(")")[2].split()[0] not in "ZX"
        except (FileNotFoundError, ProcessLookupError):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_the_child_does_not_outlive_a_gateway_that_is_killed() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    assert await parent.wait() == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while lives(pid):
        assert time.monotonic() < deadline, "the child outlived its parent"
        await asyncio.sleep(0.02)
