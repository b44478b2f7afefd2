"""EventRing: the newest requests, oldest first, each once, never more than its limit."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from ktui.answers import EventRow

LIMIT = 10_000


class EventRing:
    """A bounded list ordered by `seq`. Rows that came before are ignored."""

    def __init__(self, limit: int = LIMIT) -> None:
        self.limit = limit
        self.rows: list[EventRow] = []
        self._ids: set[str] = set()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> EventRow:
        return self.rows[index]

    def add(self, fresh: Iterable[EventRow]) -> tuple[int, int]:
        """Adds rows; returns how many were new and how many fell out at the old end."""
        batch: dict[str, EventRow] = {}
        for row in fresh:
            if row.id not in self._ids:
                batch[row.id] = row
        new = sorted(batch.values(), key=lambda row: row.seq)
        if not new:
            return 0, 0
        late = bool(self.rows) and new[0].seq < self.rows[-1].seq
        self.rows += new
        self._ids |= batch.keys()
        if late:
            self.rows.sort(key=lambda row: row.seq)
        dropped = max(len(self.rows) - self.limit, 0)
        if dropped:
            self._ids.difference_update(row.id for row in islice(self.rows, dropped))
            del self.rows[:dropped]
        return len(new), dropped

    def index_of(self, event_id: str) -> int | None:
        """Place of a request; searched from the newest."""
        if event_id not in self._ids:
            return None
        for index in range(len(self.rows) - 1, -1, -1):
            if self.rows[index].id == event_id:
                return index
        return None
