"""What happened along the time axis of a chart: policy versions, and where a rollout phase begins."""

from __future__ import annotations

import msgspec

from proxy.control.hub import Hub
from proxy.events.errors import StoreError
from proxy.events.live_metrics import Marker
from proxy.events.rollups.read import Wanted

MOST = 200
"""Markers of one chart; the newest."""


class Markers:
    """Reads them off the versions and the roll-ups, so they are there after a restart too."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    async def between(self, since_ms: int, until_ms: int, step_ms: int) -> list[Marker]:
        """Those of a window, in order of time; a version that begins a phase is one marker with it."""
        versions = [
            (version.applied_at_ms, f"v{version.number}")
            for version in await self._hub.config.versions()
            if since_ms <= version.applied_at_ms <= until_ms
        ]
        phases = await self._phases(since_ms, until_ms, step_ms)
        found = []
        for at_ms, label in sorted(versions):
            begun = [name for start, name in phases.items() if start <= at_ms < start + step_ms]
            for start in [start for start in phases if start <= at_ms < start + step_ms]:
                del phases[start]
            found.append(Marker(at_ms / 1_000, " ".join((label, *begun))))
        found += [Marker(start / 1_000, name) for start, name in phases.items()]
        return sorted(found, key=lambda marker: marker.time)[-MOST:]

    async def _phases(self, since_ms: int, until_ms: int, step_ms: int) -> dict[int, str]:
        """Start of the first step with requests of a phase -> its name, for phases that begin in the window."""
        try:
            found = await self._hub.store.rollups(Wanted("phase", since_ms, until_ms, step_ms, ()))
        except StoreError:
            # The chart itself could be read; it is better without these than not at all.
            return {}
        firsts: dict[str, int] = {}
        for start, value in found.cells:
            firsts[value] = min(start, firsts.get(value, start))
        begun = min(firsts.values(), default=0)
        return {start: str(msgspec.json.decode(value)[1]) for value, start in firsts.items() if start > begun}
