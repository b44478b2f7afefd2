"""How many requests each applied version met: those that arrived from its apply to the next one."""

from __future__ import annotations

from collections.abc import Sequence

from proxy.config.state import StoredVersion
from proxy.control.hub import Hub
from proxy.events.errors import StoreError

SETTLED_MS = 3_600_000
"""A span that ended this long ago is counted once: streams and what was spilled have arrived by then."""
COUNTED_ANEW_MS = 600_000
"""After this long also settled spans are counted again: old events are deleted in time."""


class VersionCounts:
    """Counts by the index of arrival, kept for spans that no longer grow."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._kept: dict[tuple[int, int | None], int] = {}
        self._kept_since_ms = 0

    async def of(self, versions: Sequence[StoredVersion]) -> dict[int, int]:
        """Requests by the version's number; nothing when the store cannot be read."""
        now = self._hub.clock_ms()
        if now - self._kept_since_ms > COUNTED_ANEW_MS:
            self._kept, self._kept_since_ms = {}, now
        all_spans = await self._hub.config.version_spans()
        spans = {item.number: all_spans[item.number] for item in versions if item.number in all_spans}
        wanted = [span for span in dict.fromkeys(spans.values()) if span not in self._kept]
        try:
            counted = dict(zip(wanted, await self._hub.store.count_between(wanted), strict=True))
        except StoreError:
            return {}
        known = self._kept | counted
        self._kept |= {
            span: number
            for span, number in counted.items()
            if span[1] is not None and span[1] < now - SETTLED_MS
        }
        return {number: known[span] for number, span in spans.items()}
