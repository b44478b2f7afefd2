"""Rows of the event table in another order. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ktui.answers import EventRow
from ktui.column_registry import BY_ID


@dataclass(frozen=True)
class Order:
    """By one column."""

    column: str = "time"
    other_way: bool = False
    """Against what comes first for this column: the largest figure, the first name."""

    @property
    def by_time(self) -> bool:
        """The order in which requests were stored: the newest at the bottom."""
        return self.column == "time" and not self.other_way

    @property
    def grows_down(self) -> bool:
        """Whether values grow from the top row to the bottom row."""
        return _grows_down(self.column) != self.other_way

    @property
    def words(self) -> str:
        """`latency, largest first`."""
        title = BY_ID[self.column].title
        if self.column == "time":
            return "time, newest first" if self.other_way else "time"
        if _grows_down(self.column):
            return f"{title}, {'last' if self.other_way else 'first'} name first"
        return f"{title}, {'smallest' if self.other_way else 'largest'} first"


def next_order(now: Order, columns: Sequence[str]) -> Order:
    """By the next of `columns`; after the last one by the first."""
    if now.column not in columns:
        return Order(columns[0])
    return Order(columns[(columns.index(now.column) + 1) % len(columns)])


def picked(now: Order, column: str) -> Order:
    """A column was pointed at: by it, or the other way when it is sorted by already."""
    return Order(column, not now.other_way if column == now.column else False)


class SortedRows:
    """The rows that were in memory when it was made, in another order; a RowView that stands still."""

    def __init__(self, rows: Iterable[EventRow], order: Order) -> None:
        self.order = order
        self._rows = in_order(rows, order)
        self._places = {row.seq: index for index, row in enumerate(self._rows)}

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> EventRow:
        return self._rows[index]

    def place_of(self, seq: int) -> int:
        """Index of the row of that `seq`; of one that is not here the first; -1 without rows."""
        return self._places.get(seq, 0 if self._rows else -1)


def in_order(rows: Iterable[EventRow], order: Order) -> list[EventRow]:
    """`rows` by `order`; what has no value stands last, equal ones in the order they were stored."""
    key = BY_ID[order.column].key
    known: list[tuple[float | str, EventRow]] = []
    unknown: list[EventRow] = []
    for row in sorted(rows, key=lambda row: row.seq):
        value = key(row)
        if value is None or value != value:
            unknown.append(row)
        else:
            known.append((value.casefold() if isinstance(value, str) else value, row))
    known.sort(key=lambda pair: pair[0], reverse=not order.grows_down)
    return [row for _, row in known] + unknown


def _grows_down(column: str) -> bool:
    """Names from the first, time as it is stored, figures from the largest."""
    kind = BY_ID[column]
    return column == "time" or not (kind.right or column in ("status", "stream"))
