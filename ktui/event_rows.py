"""EventRows: the requests in memory, in the order they were stored. Pure.

Two stretches without holes: the newest requests (`tail`), and before them a `window` of older pages. Between
the two there may be a gap that is not in memory; then the window alone is on show. What is far from the
cursor is let go and read again when it is needed, so memory stays bounded however far the reader goes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Literal, Protocol

from ktui.answers import EventRow

TAIL = 10_000
WINDOW = 4_000
"""Rows of older pages kept beside the newest."""

Edge = Literal["open", "loading", "end", "stopped", "failed"]
"""What is beyond an end of the list: more to load, more on its way, nothing; a load that was stopped or failed."""


class RowView(Protocol):
    """Rows as a table paints them, in any order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> EventRow: ...

    def place_of(self, seq: int) -> int:
        """Index of the row of that `seq`, or of the one nearest to where it would stand; -1 without rows."""


class EventRows:
    """Rows ordered by `seq`, each once. The cursor is a `seq`: it stays on its request whatever arrives."""

    def __init__(self, limit: int = TAIL, window_limit: int = WINDOW) -> None:
        self.limit = limit
        self.window_limit = window_limit
        self.window: list[EventRow] = []
        self.tail: list[EventRow] = []
        self.gap = False
        """Whether requests between window and tail are not in memory."""
        self.older: Edge = "open"
        self.newer: Edge = "end"
        self.paged = False
        """Whether older requests than the first rows were ever known to exist."""
        self.trouble = ""
        """Why a page could not be loaded, as one sentence."""
        self.following = True
        self.new_below = 0
        self.cursor_seq: int | None = None
        self._waiting: list[EventRow] = []
        self._missed = False

    # -- the rows on show

    def __len__(self) -> int:
        return len(self.window) + (0 if self.gap else len(self.tail))

    def __getitem__(self, index: int) -> EventRow:
        older = len(self.window)
        return self.window[index] if index < older else self.tail[index - older]

    @property
    def first_seq(self) -> int | None:
        """`seq` of the oldest row on show."""
        return self[0].seq if len(self) else None

    @property
    def last_seq(self) -> int | None:
        """`seq` of the newest row on show."""
        return self[len(self) - 1].seq if len(self) else None

    @property
    def newest_seq(self) -> int | None:
        """`seq` of the newest row in memory, on show or not."""
        return self.tail[-1].seq if self.tail else self.window[-1].seq if self.window else None

    def place_of(self, seq: int) -> int:
        """Index of the first row at or after `seq`; the last one when there is none; -1 without rows."""
        place = _place(self.window, seq)
        if place == len(self.window) and not self.gap:
            place += _place(self.tail, seq)
        return min(place, len(self) - 1)

    def index_of(self, seq: int) -> int | None:
        """Index of the row of exactly that `seq`."""
        place = self.place_of(seq)
        return place if place >= 0 and self[place].seq == seq else None

    @property
    def cursor(self) -> int:
        """Index of the row under the cursor; -1 without rows."""
        return -1 if self.cursor_seq is None else self.place_of(self.cursor_seq)

    def point(self, index: int) -> None:
        """Puts the cursor on a row on show."""
        if len(self):
            self.cursor_seq = self[min(max(index, 0), len(self) - 1)].seq

    # -- what happens now

    def offer(self, rows: Iterable[EventRow]) -> None:
        """Keeps what has arrived until `take`."""
        self._waiting += rows
        if len(self._waiting) > 2 * self.limit:
            del self._waiting[: -self.limit]
            self._missed = True

    def missed(self) -> None:
        """What is offered from now on does not join on to what came before."""
        self._waiting.clear()
        self._missed = True

    @property
    def waiting(self) -> int:
        """Rows that were offered and not yet taken."""
        return len(self._waiting)

    def take(self) -> int:
        """Shows what was offered; returns how many rows were new."""
        waiting, self._waiting = self._waiting, []
        missed, self._missed = self._missed, False
        if missed:
            self.restart()
        return self.arrive(waiting) if waiting else 0

    def arrive(self, rows: Iterable[EventRow]) -> int:
        """Adds rows at the newest end; returns how many were new.

        A row before all others is not taken: what lies between is not known.
        """
        known = self.tail if self.gap and self.tail else self.window or self.tail
        floor = -1 if not known else known[-1].seq if self.gap and not self.tail else known[0].seq
        fresh = [row for row in rows if row.seq > floor]
        new = 0
        if self.window and not self.gap:
            split = self.window[-1].seq
            new = _merge(self.window, [row for row in fresh if row.seq <= split])
            fresh = [row for row in fresh if row.seq > split]
        new += _merge(self.tail, fresh)
        self._shed_tail()
        if self.following:
            self.to_newest()
        else:
            self.new_below += new
        return new

    def restart(self) -> None:
        """Requests were missed: what comes next does not join on to the tail."""
        if self.following or self.gap:
            if self.following:
                self.window, self.gap, self.newer = [], False, "end"
                self.older, self.paged = "open", True
            self.tail = []
            return
        self.window += self.tail
        self.tail, self.gap, self.newer = [], True, "open"
        self._shed_window()

    def follow(self) -> None:
        """Back to the newest, and along with it."""
        self.following, self.new_below = True, 0
        self.to_newest()

    def stop(self) -> None:
        """The picture stands; what arrives is counted."""
        if self.following:
            self.following, self.new_below = False, 0

    def to_newest(self) -> None:
        """The cursor on the newest row in memory."""
        if self.gap:
            self.window, self.gap, self.newer = [], False, "end"
            self.older, self.paged = "open", True
        if len(self):
            self.cursor_seq = self[len(self) - 1].seq

    # -- pages from the store

    def extend_older(self, rows: Sequence[EventRow], before: int | None, *, ended: bool) -> bool:
        """Adds a page that was asked for before the `seq` that was the oldest; None: it was the newest page.

        False when the list has changed since. `ended`: nothing is before this page.
        """
        if before is not None and before != self.first_seq:
            return False
        self.older = "end" if ended else "open"
        self.paged = self.paged or not ended
        _merge(self.window, rows)
        if self.following or self.cursor_seq is None:
            self.point(len(self) - 1)
        self._shed_window()
        return True

    def extend_newer(self, rows: Sequence[EventRow], after: int | None, *, ended: bool) -> bool:
        """Adds a page that was asked for after the `seq` that was the newest on show.

        False when the list has changed since. `ended`: what is newer than this page has arrived, or will.
        """
        if not self.gap or after != self.last_seq:
            return False
        _merge(self.window, rows)
        self._join(ended)
        self._shed_window()
        return True

    def jump(
        self, rows: Sequence[EventRow], cursor_seq: int, *, oldest_known: bool, newest_known: bool
    ) -> None:
        """Shows a page around another place, oldest first, with the cursor on `cursor_seq`."""
        self.stop()
        self.window = sorted(rows, key=_seq)
        self.gap, self.newer = True, "open"
        self.older, self.paged, self.trouble = "end" if oldest_known else "open", True, ""
        self.cursor_seq = cursor_seq
        self._join(newest_known)
        self._shed_window()

    def _join(self, ended: bool) -> None:
        """Closes the gap when the window reaches the tail."""
        self.newer = "open"
        if self.tail and self.window and self.window[0].seq > self.tail[-1].seq:
            # The page is newer than what the stream has told: it will tell the rest, and join on here.
            self.tail, ended = [], True
        start = self.tail[0].seq if self.tail else None
        reached = start is not None and bool(self.window) and self.window[-1].seq >= start
        if not (ended or reached):
            return
        if start is not None:
            place = _place(self.window, start)
            _merge(self.tail, self.window[place:])
            del self.window[place:]
        self.gap, self.newer = False, "end"
        self._shed_tail()

    # -- bounds

    def _shed_tail(self) -> None:
        """What the tail has too many goes over to the window, or away when the reader is with the newest."""
        excess = len(self.tail) - self.limit
        if excess <= 0:
            return
        if not self.gap and not self.following:
            self.window += self.tail[:excess]
            del self.tail[:excess]
            self._shed_window()
            return
        del self.tail[:excess]
        if not self.gap:
            self.window, self.older, self.paged = [], "open", True

    def _shed_window(self) -> None:
        """Lets go what is farthest from the cursor."""
        excess = len(self.window) - self.window_limit
        if excess <= 0:
            return
        place = len(self) - 1 if self.cursor_seq is None else self.place_of(self.cursor_seq)
        from_old = min(max(place - self.window_limit // 2, 0), excess)
        if from_old:
            del self.window[:from_old]
            self.older, self.paged = "open", True
        if from_old < excess:
            del self.window[from_old - excess :]
            self.gap, self.newer = True, "open"


def _seq(row: EventRow) -> int:
    return row.seq


def _place(rows: Sequence[EventRow], seq: int) -> int:
    return bisect_left(rows, seq, key=_seq)


def _merge(into: list[EventRow], rows: Iterable[EventRow]) -> int:
    """Adds what is not there yet and keeps the order; returns how many were added."""
    fresh: dict[int, EventRow] = {}
    for row in rows:
        at = _place(into, row.seq)
        if at == len(into) or into[at].seq != row.seq:
            fresh[row.seq] = row
    if not fresh:
        return 0
    added = sorted(fresh.values(), key=_seq)
    late = bool(into) and added[0].seq < into[-1].seq
    into += added
    if late:
        into.sort(key=_seq)
    return len(added)
