"""Which kinds of unit recent requests carried, so that a split can be told that its unit never comes."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable

from proxy.events.event import Event

KEPT = 1_000
"""Requests looked back on."""
ENOUGH = 50
"""Requests that must have been asked for a kind before its absence means anything."""
_ALWAYS_ASKED = frozenset({"safety_identifier", "user", "conversation", "header:x-kt-unit", "key"})
"""Kinds every request is asked for; a header only when a running split names it."""


class RecentUnits:
    """Counts over the last `KEPT` decided requests. Bounded memory."""

    def __init__(self) -> None:
        self._requests: deque[tuple[dict[str, str | None], bool]] = deque(maxlen=KEPT)

    def observe_all(self, events: Iterable[Event]) -> None:
        """Count several; fits as a listener of a store. Only remembers: the counting is done when asked."""
        for event in events:
            units = event.facts.get("units")
            if isinstance(units, dict):
                self._requests.append((units, event.key is not None))

    def counts(self) -> dict[str, int]:
        """Requests that carried each kind, 0 included; kinds too few requests were asked for are left out."""
        asked = dict.fromkeys(_ALWAYS_ASKED, len(self._requests))
        carried: Counter[str] = Counter()
        for units, has_key in self._requests:
            for kind, digest in units.items():
                if kind not in _ALWAYS_ASKED:
                    asked[kind] = asked.get(kind, 0) + 1
                if digest is not None:
                    carried[kind] += 1
            carried["key"] += has_key
        return {kind: carried[kind] for kind, requests in asked.items() if requests >= ENOUGH}
