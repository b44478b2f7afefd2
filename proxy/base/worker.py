"""One child process for work that must not hold up the gateway's loop. Started on first use, restarted after a crash.

The child ends when its stdin closes, so it cannot outlive the gateway, however that ends. Jobs run one after the
other. Both sides are the same program and nobody else can reach the pipes, so they speak pickle.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import pickle
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import IO, Any

from proxy.base.sanitise import sanitise

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from proxy.base.worker import serve; serve()"
)
_MOST_WAITING = 16
_NICE = 5
"""Requests come first where the cores are few."""
_LENGTH = 8


class JobError(Exception):
    """What a job may raise to whoever asked for it; it must survive being pickled."""


class WorkerError(Exception):
    """A job was not done; the text is one sentence."""


class Worker:
    """Runs functions of importable modules in the child. `run` on any event loop; `close` once."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        # One thread: jobs cannot get between each other's question and answer.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="worker-pipe")
        self._waiting = 0
        self._closed = False

    @property
    def pid(self) -> int | None:
        """The child, while it runs."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    async def run(self, job: Callable[..., Any], *arguments: Any, within_s: float = 60.0) -> Any:
        """`job(*arguments)`, done by the child. Raises a JobError as the job does, and WorkerError."""
        if self._closed:
            raise WorkerError("the gateway is stopping")
        if self._waiting >= _MOST_WAITING:
            raise WorkerError(f"{_MOST_WAITING} jobs wait already; try again")
        message = pickle.dumps((job.__module__, job.__qualname__, arguments))
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            done, answer = await loop.run_in_executor(self._thread, self._exchange, message, within_s)
        finally:
            self._waiting -= 1
        if done:
            return answer
        raise answer

    async def close(self) -> None:
        """End the child; a job under way fails."""
        self._closed = True
        process = self._process
        if process is not None:
            process.kill()
        await asyncio.to_thread(self._thread.shutdown)
        self._let_go()

    def _exchange(self, message: bytes, within_s: float) -> tuple[bool, Any]:
        if self._closed:
            raise WorkerError("the gateway is stopping")
        until = time.monotonic() + within_s
        try:
            process = self._running()
            if self._closed:
                raise EOFError
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(len(message).to_bytes(_LENGTH, "big") + message)
            size = int.from_bytes(_read(process.stdout, _LENGTH, until), "big")
            answer: tuple[bool, Any] = pickle.loads(_read(process.stdout, size, until))
            return answer
        except TimeoutError:
            self._let_go()
            raise WorkerError(f"not done within {within_s:g} s") from None
        except (OSError, EOFError):
            code = self._let_go()
            raise WorkerError(
                f"the process that does this work ended (exit code {code}); the next try starts a new one"
            ) from None

    def _running(self) -> subprocess.Popen[bytes]:
        process = self._process
        if process is not None and process.poll() is None:
            return process
        self._let_go()
        # -P and our own search path: a folder named `proxy` where the operator stands is not ours.
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            # Keys of the terminal (ctrl+c) are for the gateway.
            start_new_session=True,
        )
        return process

    def _let_go(self) -> int | None:
        process, self._process = self._process, None
        if process is None:
            return None
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        return code


def _read(pipe: IO[bytes], size: int, until: float) -> bytes:
    parts = []
    while size:
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise TimeoutError
        part = os.read(pipe.fileno(), min(size, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def serve() -> None:
    """The child: jobs from stdin until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICE)
    # Whoever writes to stdout must not speak to the parent in our place.
    out = os.dup(1)
    os.dup2(2, 1)
    with os.fdopen(out, "wb") as answers:
        while len(head := sys.stdin.buffer.read(_LENGTH)) == _LENGTH:
            message = sys.stdin.buffer.read(int.from_bytes(head, "big"))
            answer = _answer(message)
            answers.write(len(answer).to_bytes(_LENGTH, "big") + answer)
            answers.flush()


def _answer(message: bytes) -> bytes:
    try:
        module, name, arguments = pickle.loads(message)
        job = getattr(importlib.import_module(module), name)
        return pickle.dumps((True, job(*arguments)))
    except JobError as error:
        return pickle.dumps((False, error))
    except Exception as error:  # noqa: BLE001 - a fault of one job must not end the child
        return pickle.dumps((False, WorkerError(f"{type(error).__name__}: {sanitise(error, 300)}")))
