"""The event store itself, for a command that changes it while no gateway has it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from proxy.cli.event_options import no_store
from proxy.cli.exits import ProblemError

if TYPE_CHECKING:
    from proxy.events.sqlite_store import SqliteEventStore

Result = TypeVar("Result")


class OwnStore:
    """A store that is open, and the loop its work is done on."""

    def __init__(self, loop: asyncio.Runner, store: SqliteEventStore) -> None:
        from proxy.events.errors import StoreError

        self.store = store
        self._loop = loop
        self._failure = StoreError

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """What `work` gives. Raises ProblemError where the store refuses."""
        try:
            return self._loop.run(work)
        except self._failure as error:
            raise ProblemError(str(error)) from None


@contextmanager
def own_store(state: Path) -> Iterator[OwnStore]:
    """The store of a state directory, whose lock is held meanwhile.

    Raises UsageError when there is none, ProblemError when it cannot be had.
    """
    if not (state / "events.db").exists():
        raise no_store(state)
    from proxy.events.sqlite_store import SqliteEventStore
    from proxy.service.state_dir import StateDir

    claimed = StateDir(state)
    try:
        claimed.claim()
    except ValueError as error:
        raise ProblemError(str(error)) from None
    try:
        with asyncio.Runner() as loop:
            own = OwnStore(loop, SqliteEventStore(state / "events.db", state / "journal"))
            own.run(own.store.start())
            try:
                yield own
            finally:
                loop.run(own.store.close())
    finally:
        claimed.release()
