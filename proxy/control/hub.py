"""One reader of what happens, many screens: the messages of GET /v1/stream."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import msgspec

from proxy.events.event import Event
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.wire_form import event_json

FLUSH_S = 0.25
STATUS_S = 1.0
QUIET_S = 10.0
"""After so long without a message a comment is sent, so that the reader knows the connection lives."""
_MOST_WAITING = 64
"""Messages kept for a reader that does not take them; beyond it the oldest are dropped (lists have them)."""
_MOST_EVENTS = 2_000
"""Events of one message; in a burst the oldest beyond it are left to the lists."""

logger = logging.getLogger(__name__)


def sse(kind: str, data: bytes, number: int | None = None) -> bytes:
    """One message of a server-sent event stream; `data` has no line ends."""
    head = f"id: {number}\nevent: {kind}\n" if number is not None else f"event: {kind}\n"
    return head.encode() + b"data: " + data + b"\n\n"


class Reader:
    """What one client still has to be sent."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._news = asyncio.Event()
        self._ended = False

    def put(self, message: bytes) -> None:
        """Queue one message."""
        self._waiting.append(message)
        self._news.set()

    def end(self) -> None:
        """No more messages come."""
        self._ended = True
        self._news.set()

    async def messages(self) -> AsyncIterator[bytes]:
        """Until the end; a comment when nothing happened for a while."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
            if self._ended:
                return
            self._news.clear()
            try:
                await asyncio.wait_for(self._news.wait(), QUIET_S)
            except TimeoutError:
                yield b": quiet\n\n"


class Hub:
    """Collects events and changes, encodes each message once, and hands it to every reader.

    It works only while somebody reads.
    """

    def __init__(self, store: SqliteEventStore, status: Callable[[], dict[str, Any]]) -> None:
        self._store = store
        self._status = status
        self._readers: set[Reader] = set()
        self._events: deque[Event] = deque(maxlen=_MOST_EVENTS)
        self._last_status = b""
        self._status_due = 0.0
        self._task: asyncio.Task[None] | None = None
        self._end_listening: Callable[[], None] | None = None
        self.closing = asyncio.Event()
        """Set when every stream is to end."""

    def open(self) -> Reader:
        """A new reader; its first message is the status. Give it back with `close_reader`."""
        reader = Reader()
        if self.closing.is_set():
            reader.end()
            return reader
        reader.put(sse("status", msgspec.json.encode(self._status())))
        self._readers.add(reader)
        if self._task is None:
            self._end_listening = self._store.subscribe(self._take)
            self._task = asyncio.create_task(self._run(), name="control-stream")
        return reader

    def close_reader(self, reader: Reader) -> None:
        """The client has gone."""
        self._readers.discard(reader)
        if not self._readers:
            self._rest()

    def config_changed(self, message: dict[str, Any]) -> None:
        """Something was applied, or the file changed: say so at once, and the status with the next look."""
        self._status_due = 0.0
        self._tell(sse("config", msgspec.json.encode(message)))

    def close(self) -> None:
        """End every stream."""
        self.closing.set()
        for reader in self._readers:
            reader.end()
        self._rest()

    def _rest(self) -> None:
        if self._end_listening is not None:
            self._end_listening()
            self._end_listening = None
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._events.clear()

    def _take(self, events: Sequence[Event]) -> None:
        self._events.extend(events)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            try:
                self._flush()
            except Exception:
                logger.exception("a message of the stream could not be made")

    def _flush(self) -> None:
        if self._events:
            events = list(self._events)
            self._events.clear()
            bodies = [event_json(event, unknown_null=True) for event in events]
            self._tell(sse("events", msgspec.json.encode(bodies), events[-1].seq))
        now = asyncio.get_running_loop().time()
        if now >= self._status_due:
            self._status_due = now + STATUS_S
            encoded = msgspec.json.encode(self._status())
            if encoded != self._last_status:
                self._last_status = encoded
                self._tell(sse("status", encoded))

    def _tell(self, message: bytes) -> None:
        for reader in self._readers:
            reader.put(message)
