"""Work on the write connection that comes from elsewhere: one piece at a time, between two batches of events."""

from __future__ import annotations

import asyncio
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from proxy.base.sanitise import sanitise
from proxy.events.errors import StoreError
from proxy.events.sqlite_writer import Writer

WITHIN_S = 10.0
"""How long whoever asks waits for the database."""

Result = TypeVar("Result")
Work = Callable[[Writer], Awaitable[Result]]
"""Short, and in a transaction of its own: appended events wait behind it."""


@dataclass(frozen=True, slots=True)
class _Errand:
    work: Work[Any]
    future: asyncio.Future[Any]


class Errands:
    """Used on one event loop. `wake` gets the writer's task going."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._waiting: deque[_Errand] = deque()
        self._closed = False

    async def run(self, work: Work[Result]) -> Result:
        """What `work` gives. Raises StoreError when the database does not take it in time."""
        if self._closed:
            raise StoreError("the event store is closed")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Errand(work, future))
        self._wake()
        try:
            return await asyncio.wait_for(future, WITHIN_S)
        except TimeoutError:
            raise StoreError("the event store takes nothing at present; try again later") from None

    async def do_next(self, writer: Writer) -> None:
        """Do the oldest; called by the writer's task only."""
        while self._waiting and self._waiting[0].future.done():
            self._waiting.popleft()  # whoever asked has given up
        if not self._waiting:
            return
        errand = self._waiting.popleft()
        try:
            result = await errand.work(writer)
        except sqlite3.Error as error:
            if not errand.future.done():
                errand.future.set_exception(StoreError(f"the event store refused: {sanitise(error, 200)}"))
        else:
            if not errand.future.done():
                errand.future.set_result(result)
        if self._waiting:
            self._wake()

    def refuse(self) -> None:
        """The store ends: nothing more is done."""
        self._closed = True
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_exception(StoreError("the event store is closed"))
