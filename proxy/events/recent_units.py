"""Which kinds of unit recent requests carried, so that a split can be told that its unit never comes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from proxy.events.event import Event

KEPT = 1_000
"""Requests looked back on."""
ENOUGH = 50
"""Requests that must have been asked for a kind before its absence means anything."""
_ALWAYS_ASKED = ("safety_identifier", "user", "conversation", "header:x-kt-unit", "key")
"""Kinds every request is asked for; a header only when a running split names it."""


class RecentUnits:
    """Counts over the last `KEPT` decided requests. Bounded memory."""

    def __init__(self) -> None:
        self._requests: deque[tuple[frozenset[str], frozenset[str]]] = deque(maxlen=KEPT)

    def observe_all(self, events: Iterable[Event]) -> None:
        """Count several; fits as a listener of a store."""
        for event in events:
            units = event.facts.get("units")
            if not isinstance(units, dict):
                continue
            carried = {kind for kind, digest in units.items() if digest is not None}
            if event.key is not None:
                carried.add("key")
            self._requests.append((frozenset({*_ALWAYS_ASKED, *units}), frozenset(carried)))

    def counts(self) -> dict[str, int]:
        """Requests that carried each kind, 0 included; kinds too few requests were asked for are left out."""
        asked: Counter[str] = Counter()
        carried: Counter[str] = Counter()
        for kinds, found in self._requests:
            asked.update(kinds)
            carried.update(found)
        return {kind: carried[kind] for kind, requests in asked.items() if requests >= ENOUGH}
