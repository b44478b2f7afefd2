"""When the roll-ups are brought up to date, and where the counting is done."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from pathlib import Path

from proxy.base.sanitise import sanitise
from proxy.base.worker import Worker, WorkerError
from proxy.events.errors import StoreError
from proxy.events.rollups.counting import AT_MOST, Counted, count
from proxy.events.sqlite_writer import FOLDED_HERE, Writer

EVERY_S = 2.0
"""Between two rounds, while events keep coming."""
FEW = 100
"""So many events are counted here: it takes less than asking another process."""
_AWAY_S = 60.0

logger = logging.getLogger(__name__)


class Folding:
    """Folds what `writer` stores, a little after it was stored; until then readers count it themselves.

    Many events are counted by `worker` (here when it is None), so that no request waits for that.
    """

    def __init__(self, path: Path, writer: Writer, worker: Worker | None) -> None:
        self._path = path
        self._writer = writer
        self._worker = worker
        self._due_at = 0.0
        self._folded_seq: int | None = None
        """The mark, as far as it is known."""
        self._away: asyncio.Task[Counted | None] | None = None
        self._amended = 0

    @property
    def due_at(self) -> float:
        """When `step` has something to do again, in seconds of the monotonic clock."""
        return self._due_at

    def close(self) -> None:
        """What is being counted is let go; it is counted again some day."""
        if self._away is not None:
            self._away.cancel()

    async def step(self, wake: asyncio.Event) -> None:
        """Do what is due. `wake` is set when there is more to do at once."""
        if self._away is not None and not self._away.done():
            return
        now = time.monotonic()
        if self._away is None and now < self._due_at:
            return
        try:
            folded, at_most = await self._some()
        except (sqlite3.Error, StoreError, WorkerError) as error:
            logger.warning("the roll-ups are behind: %s", sanitise(error, 200))
            folded, at_most = 0, 1
        if self._away is not None:
            self._away.add_done_callback(lambda _task: wake.set())
            self._due_at = now + EVERY_S
        elif folded == at_most:
            self._due_at = now
            wake.set()
        else:
            self._due_at = now + EVERY_S

    async def _some(self) -> tuple[int, int]:
        """How many events were folded, and how many would have been at most."""
        if self._away is not None:
            task, self._away = self._away, None
            return await self._take_in(task), AT_MOST
        if self._folded_seq is None:
            self._folded_seq = await self._writer.folded_seq()
        # Seqs have no holes but those of repeated ids: near enough to know whether few or many are waiting.
        if self._worker is None or self._writer.last_seq - self._folded_seq <= FEW:
            folded = await self._writer.fold_some()
            self._folded_seq = self._writer.last_seq if folded < FOLDED_HERE else None
            return folded, FOLDED_HERE
        self._amended = self._writer.amended
        work = self._worker.run(count, self._path, AT_MOST, within_s=_AWAY_S)
        self._away = asyncio.create_task(work, name="fold-count")
        return 0, 1

    async def _take_in(self, task: asyncio.Task[Counted | None]) -> int:
        counted = task.result()
        if counted is None:
            self._folded_seq = self._writer.last_seq
            return 0
        if self._amended != self._writer.amended:
            # An event that was just being counted is another by now.
            return AT_MOST
        folded = await self._writer.take_in(counted)
        self._folded_seq = counted.last_seq
        return folded
