"""How a split turns out: the distinct units seen in each arm, lately."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass

WINDOW_MS = 15 * 60_000
MAX_UNITS = 20_000
"""Units remembered per split; beyond it, every second one is watched, then every fourth, ..."""


@dataclass(frozen=True, slots=True)
class ArmObserved:
    """One arm of a split, as observed."""

    tag: str
    units: int
    """Distinct units (an estimate once more than MAX_UNITS were seen)."""
    share: float | None
    """Percent of all units of the split; None when there are none."""
    requests: int
    """Requests since the weights were last changed."""


@dataclass(frozen=True, slots=True)
class SplitObserved:
    """The arms of a split, as observed since `since_ms`."""

    split: str
    since_ms: int | None
    """The later of the last change of weights and 15 minutes ago; None before anything was seen."""
    arms: dict[str, ArmObserved]


class SplitWatch:
    """Counts distinct units per arm over a sliding window in bounded memory."""

    def __init__(self, split: str, max_units: int = MAX_UNITS) -> None:
        self._split = split
        self._max_units = max_units
        self._seen: OrderedDict[tuple[str, str], int] = OrderedDict()
        """(unit digest, tag) -> arrival of its last request, about in order of that."""
        self._requests: Counter[str] = Counter()
        self._changed_ms: int | None = None
        self._first_ms: int | None = None
        self._mask = 0
        """A unit is watched when these low bits of its digest are 0."""

    def weights_changed(self, at_ms: int) -> None:
        """Begin anew: what was decided before `at_ms` says nothing about the weights since."""
        self._changed_ms = at_ms
        self._first_ms = None
        self._seen.clear()
        self._requests.clear()
        self._mask = 0

    def observe(self, tag: str, unit_digest: str, arrival_ms: int) -> None:
        """Count a request that was assigned to arm `tag`."""
        if self._changed_ms is not None and arrival_ms < self._changed_ms:
            return
        if self._first_ms is None or arrival_ms < self._first_ms:
            self._first_ms = arrival_ms
        self._requests[tag] += 1
        if _low_bits(unit_digest) & self._mask:
            return
        unit = (unit_digest, tag)
        known = self._seen.get(unit)
        if known is None:
            self._seen[unit] = arrival_ms
            if len(self._seen) > self._max_units:
                self._make_room(arrival_ms)
        elif arrival_ms > known:
            self._seen[unit] = arrival_ms
            self._seen.move_to_end(unit)

    def _make_room(self, now_ms: int) -> None:
        self._expire(now_ms)
        while len(self._seen) > self._max_units and self._mask < 0xFFFFFF:
            self._mask = self._mask << 1 | 1
            self._seen = OrderedDict(
                (unit, last) for unit, last in self._seen.items() if not _low_bits(unit[0]) & self._mask
            )
        while len(self._seen) > self._max_units:
            self._seen.popitem(last=False)

    def _expire(self, now_ms: int) -> None:
        oldest = now_ms - WINDOW_MS
        while self._seen and next(iter(self._seen.values())) < oldest:
            self._seen.popitem(last=False)

    def observed(self, now_ms: int) -> SplitObserved:
        """The arms as of `now_ms`."""
        self._expire(now_ms)
        oldest = now_ms - WINDOW_MS
        # Late rows stand behind newer ones, so the front being young does not make the rest so.
        counts = Counter(tag for (_, tag), last in self._seen.items() if last >= oldest)
        total = counts.total()
        factor = self._mask + 1
        arms = {
            tag: ArmObserved(
                tag, counts[tag] * factor, 100 * counts[tag] / total if total else None, self._requests[tag]
            )
            for tag in self._requests
        }
        start = self._changed_ms if self._changed_ms is not None else self._first_ms
        return SplitObserved(self._split, None if start is None else max(start, oldest), arms)


def _low_bits(unit_digest: str) -> int:
    try:
        return int(unit_digest[-6:], 16)
    except ValueError:
        return hash(unit_digest) & 0xFFFFFF
