"""Tells when the policy file may have changed: at once by the directory's events, at the latest by a stat poll."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import watchfiles

from proxy.config.files import Fingerprint, fingerprint

POLL_S = 0.5
STILL_S = 0.2
"""How long size and time of change must stand still before the file is read."""
SAVE_S = 2.0
"""A file that is written without end must not keep a gateway from starting."""

logger = logging.getLogger(__name__)


class FileWatcher:
    """Calls `changed` after each change of the file behind `path` has settled, with what it settled at. Editors
    rename, truncate and swap links; so the directory is watched, never the file, and a poll of inode, size, time
    and content stands behind it."""

    def __init__(self, path: Path, changed: Callable[[Fingerprint | None], Awaitable[None]]) -> None:
        self._path = path
        self._changed = changed
        self._wake = asyncio.Event()
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._seen: Fingerprint | None = fingerprint(path)

    async def wait_for_save(self) -> None:
        """Wait until a save that may be going on now has ended, for two seconds at most. Call it before `start`."""
        try:
            age_s = time.time() - self._path.stat().st_mtime
        except OSError:
            return
        if 0 <= age_s < STILL_S:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAVE_S):
                    await self._settled()
        self._seen = fingerprint(self._path)

    def start(self) -> None:
        """Begin."""
        self._tasks = [
            asyncio.create_task(self._notified(), name="policy-file-events"),
            asyncio.create_task(self._poll(), name="policy-file-poll"),
        ]

    async def stop(self) -> None:
        """End, and wait until it has ended."""
        self._stop.set()
        self._wake.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _notified(self) -> None:
        try:
            async for _ in watchfiles.awatch(
                self._path.parent,
                recursive=False,
                stop_event=self._stop,
                debounce=50,
                step=20,
                rust_timeout=1_000,
            ):
                self._wake.set()
        except (OSError, RuntimeError) as error:
            # The poll goes on; on some file systems it is the only thing that works.
            logger.info("no change notices for %s: %s", self._path.parent, error)

    async def _poll(self) -> None:
        while not self._stop.is_set():
            try:
                await asyncio.wait_for(self._wake.wait(), POLL_S)
            except TimeoutError:
                pass
            self._wake.clear()
            if fingerprint(self._path) == self._seen:
                continue
            self._seen = await self._settled()
            try:
                await self._changed(self._seen)
            except Exception:
                # One fault must not end the watching; the file is looked at again when it changes again.
                logger.exception("a change of %s could not be handled", self._path)

    async def _settled(self) -> Fingerprint | None:
        before = fingerprint(self._path)
        while True:
            await asyncio.sleep(STILL_S)
            now = fingerprint(self._path)
            if now == before:
                return now
            before = now
