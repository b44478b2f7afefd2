"""What the control API shows and changes, handed in by the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from proxy.base.telemetry import Export
from proxy.base.times import now_ms
from proxy.base.worker import Worker
from proxy.config.manager import ConfigManager
from proxy.events.alerts import Alerts
from proxy.events.bodies import FoundBodies
from proxy.events.feedback import Feedback, Kept
from proxy.events.live_metrics import LiveMetrics
from proxy.events.purge import Amount, Purge, Purged
from proxy.events.repricing import Prices, Repriced, Repricing
from proxy.events.rollups.read import Found, Wanted
from proxy.events.sqlite_plan import Plan
from proxy.events.store import EventQuery, EventStore
from proxy.events.totals import TrafficTotals
from proxy.prices.late import LatePrices
from proxy.prices.listing import Priced


@dataclass(frozen=True, slots=True)
class TargetView:
    """A target as it may be shown: no secret, no header."""

    id: str
    provider: str
    base_url: str
    available: bool
    reason: str | None
    models: tuple[str, ...]
    breaker: str = "closed"
    """closed, open or half-open: whether requests go there while others serve the same model."""


class DataPlaneView(Protocol):
    """What the data plane tells of itself."""

    def in_flight(self) -> int:
        """Requests being answered now."""

    def targets(self) -> Sequence[TargetView]:
        """The targets of the running version, in file order."""

    def models(self) -> Sequence[str]:
        """The names a client may ask for."""

    def prices(self) -> Sequence[Priced]:
        """Every model that is served by name, at each of its targets, with its price."""

    def late_prices(self) -> LatePrices | None:
        """The prices of the running version, for what is recorded already."""

    def unrecorded(self) -> Mapping[str, int]:
        """Refusals of a flood that got no event, by error."""


@dataclass(slots=True)
class GatewayInfo:
    """Identity and life of this gateway. `state`: starting | serving | draining | not_ready | stopped."""

    version: str
    pid: int
    started_ms: int
    state: str = "starting"
    reason: str | None = None
    listen: str = ""
    api: str = ""
    badges: tuple[str, ...] = ()
    notices: list[str] = field(default_factory=list)


class CountedStore(EventStore, Protocol):
    """A store that also tells how many events it holds, and what troubles it."""

    def total(self) -> int:
        """Events kept."""

    async def count_between(self, spans: Sequence[tuple[int, int | None]]) -> list[int]:
        """How many events arrived in each span of milliseconds since 1970; an end of None is open."""

    async def unpriced(self, since_ms: int) -> list[tuple[str, str, int]]:
        """(target, model, requests) since then whose cost is not known."""

    async def way_of(self, query: EventQuery) -> tuple[int, int, Plan]:
        """Lowest and highest seq at which `query` can find anything, and the cheapest way through them."""

    async def not_rolled_up(self) -> int:
        """Stored events that are not in the roll-ups yet."""

    async def rollups(self, wanted: Wanted) -> Found:
        """Figures of a window by one dimension."""

    async def give_feedback(self, feedback: Feedback) -> Kept | None:
        """Keep it, and its score as its event's; None when there is no such event."""

    async def feedback_of(self, event_id: str) -> list[Feedback]:
        """What was said of one event, newest first."""

    async def count_purge(self, purge: Purge) -> Amount:
        """What it would remove."""

    async def purge(self, purge: Purge, within_s: float) -> Purged:
        """Remove for about `within_s` seconds."""

    async def reprice(
        self, repricing: Repricing, prices: Prices, within_s: float, *, dry_run: bool = False
    ) -> Repriced:
        """Give events other costs for about `within_s` seconds, or only tell what that would do."""

    async def bodies_of(self, event_id: str) -> FoundBodies | None:
        """The bodies of one event; None when there is no such event."""

    @property
    def last_timestamp_ms(self) -> int | None:
        """Arrival of the newest."""

    @property
    def trouble(self) -> str | None:
        """What keeps events from being stored, in one sentence."""

    @property
    def forgotten(self) -> Mapping[str, int]:
        """Events that retention took away since the store was opened, by reason."""


@dataclass(slots=True)
class Hub:
    """Everything the routes need."""

    info: GatewayInfo
    config: ConfigManager
    store: CountedStore
    metrics: LiveMetrics
    data_plane: DataPlaneView
    state_dir: Path = field(default_factory=Path)
    """Where the stores are, for work that reads them in another process."""
    worker: Worker = field(default_factory=Worker)
    searcher: Worker = field(default_factory=Worker)
    """For searches: none of them waits behind a long replay."""
    totals: TrafficTotals = field(default_factory=TrafficTotals)
    alerts: Alerts = field(default_factory=Alerts)
    export: Export | None = None
    """Of spans and metrics to a collector; None where there can be none."""
    clock_ms: Callable[[], int] = now_ms

    async def close(self) -> None:
        """End the processes that work for the routes."""
        await self.worker.close()
        await self.searcher.close()
