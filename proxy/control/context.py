"""What the routes of the control API work on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from proxy.config.manager import ConfigManager
from proxy.control.hub import Hub
from proxy.control.status import GatewayFacts, StatusInputs, StoreFacts, status_json
from proxy.control.tokens import Tokens
from proxy.events.live_metrics import LiveMetrics
from proxy.events.sqlite_store import SqliteEventStore
from proxy.gateway.runtime import Runtime

Life = Literal["starting", "serving", "draining", "stopped"]


@dataclass(slots=True)
class GatewayState:
    """What the service knows of itself; it keeps this up to date."""

    version: str
    pid: int
    started_ms: int
    listen: str = ""
    api: str = ""
    life: Life = "starting"


@dataclass(slots=True)
class Control:
    """One gateway, as its control API sees it."""

    gateway: GatewayState
    config: ConfigManager
    store: SqliteEventStore
    metrics: LiveMetrics
    runtime: Runtime
    tokens: Tokens
    badges: tuple[str, ...] = ()
    own_hosts: frozenset[str] = frozenset()
    """Host names requests may be addressed to, besides loopback names and addresses."""
    hub: Hub = field(init=False)

    def __post_init__(self) -> None:
        self.hub = Hub(self.store, self.status)

    def status(self) -> dict[str, Any]:
        """The body of GET /v1/status, as of now."""
        running, snapshot = self.config.running, self.runtime.snapshot
        splits = running.plan.splits if running is not None else ()
        store = self.store
        return status_json(
            StatusInputs(
                gateway=self._gateway(),
                path=self.config.path,
                running=running,
                file=self.config.file,
                summary=self.metrics.summary(),
                observed={split.name: self.metrics.split_observed(split.name) for split in splits},
                store=StoreFacts(
                    store.counters(), store.total(), store.last_timestamp_ms, store.trouble, store.notices
                ),
                targets=snapshot.routes.targets if snapshot is not None else (),
                badges=self.badges,
            )
        )

    @property
    def ready(self) -> bool:
        """Whether requests can be served."""
        return self.gateway.life == "serving" and self.runtime.snapshot is not None

    def allowed_hosts(self) -> frozenset[str]:
        """Names under which this API may be addressed."""
        snapshot = self.runtime.snapshot
        return self.own_hosts | (snapshot.allow_hosts if snapshot is not None else frozenset())

    def _gateway(self) -> GatewayFacts:
        state, reason = str(self.gateway.life), None
        if self.config.running is None and self.gateway.life == "serving":
            state, reason = "not_ready", f"no policy runs: {self.config.file.reason}"
        return GatewayFacts(
            state=state,
            reason=reason,
            listen=self.gateway.listen,
            api=self.gateway.api,
            pid=self.gateway.pid,
            started_ms=self.gateway.started_ms,
            version=self.gateway.version,
            in_flight=self.runtime.in_flight,
        )
