"""Feedback on its way to the writer's task, and the answers on their way back."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from proxy.events.codec import clean_text
from proxy.events.errors import StoreError
from proxy.events.feedback import COMMENT_LIMIT, LABEL_LIMIT, Feedback, Kept

WITHIN_S = 5.0
"""How long whoever gives feedback waits for the database."""
BATCH = 200
ROOM = 2_000
"""Feedback waiting at once; more is refused rather than held in memory."""

PATIENCE_S = 2.0
"""How long an event that is not in the database may still be on its way there."""

Write = Callable[[Sequence[Feedback]], Awaitable[list[Kept | None]]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    feedback: Feedback
    future: asyncio.Future[Kept | None]
    patient_until: float


class FeedbackQueue:
    """Used on one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()

    def put(self, feedback: Feedback) -> Awaitable[Kept | None]:
        """What becomes of it, to be awaited.

        Raises ValueError for a score that is none, StoreError when too many wait, or it is not written in time.
        """
        if len(self._waiting) >= ROOM:
            raise StoreError("too much feedback is waiting for the event store; try again later")
        future: asyncio.Future[Kept | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(storable(feedback), future, time.monotonic() + PATIENCE_S))
        return self._answer(future)

    async def _answer(self, future: asyncio.Future[Kept | None]) -> Kept | None:
        try:
            return await asyncio.wait_for(future, WITHIN_S)
        except TimeoutError:
            raise StoreError("the event store takes nothing at present; try again later") from None

    async def settle(self, write: Write, is_all_stored: bool) -> None:
        """Write what waits; when `write` raises, it goes on waiting.

        `is_all_stored`: no event is on its way to the database. Else an event that is not found may still come.
        """
        waiting = [item for item in self._waiting if not item.future.done()]
        self._waiting.clear()
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            try:
                kept = await write([item.feedback for item in batch])
            except BaseException:
                self._waiting.extendleft(reversed(waiting[start:]))
                raise
            for item, answer in zip(batch, kept, strict=True):
                if answer is None and not is_all_stored and time.monotonic() < item.patient_until:
                    self._waiting.append(item)
                elif not item.future.done():
                    item.future.set_result(answer)

    def refuse(self) -> None:
        """The store ends: nothing more is written."""
        while self._waiting:
            future = self._waiting.popleft().future
            if not future.done():
                future.set_exception(StoreError("the event store is closed"))


def storable(feedback: Feedback) -> Feedback:
    """`feedback` with texts that the database takes. Raises ValueError for a score outside 0 to 1."""
    score = feedback.score
    if score is not None and not 0 <= score <= 1:
        raise ValueError("a score is a number from 0 to 1")
    label, comment, key = feedback.label, feedback.comment, feedback.request_key
    return replace(
        feedback,
        event_id=clean_text(feedback.event_id),
        who=clean_text(feedback.who, LABEL_LIMIT),
        label=None if label is None else clean_text(label, LABEL_LIMIT),
        comment=None if comment is None else clean_text(comment, COMMENT_LIMIT),
        request_key=None if key is None else clean_text(key),
    )
