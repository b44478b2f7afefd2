"""The control API over a store that nothing is added to: for looking at what has been."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as package_version
from pathlib import Path

from proxy.base.secret import Secret
from proxy.base.times import now_ms
from proxy.config.manager import ConfigManager
from proxy.config.versions import VersionStore
from proxy.control.app import control_app
from proxy.control.auth import Token
from proxy.control.hub import GatewayInfo, Hub, TargetView
from proxy.events.archive import ArchivedStore
from proxy.events.filter.standing import fault_of
from proxy.events.live_metrics import LiveMetrics
from proxy.gateway.server import Listener
from proxy.policy.lint import Surroundings
from proxy.prices.known import price_known
from proxy.prices.late import LatePrices
from proxy.prices.listing import Priced
from proxy.service.options import join_address


@dataclass(frozen=True, slots=True)
class Archive:
    """What is looked at. `directory` holds events.db."""

    directory: Path
    versions: Path
    """The versions of `policy`: a copy that may be written to; it need not exist."""
    name: str
    """What it is called on the screen."""
    policy: Path = Path("policy.yaml")
    """The file whose versions ran."""


class _NoDataPlane:
    """Nothing is served."""

    def in_flight(self) -> int:
        """None ever are."""
        return 0

    def targets(self) -> Sequence[TargetView]:
        """None are used."""
        return ()

    def models(self) -> Sequence[str]:
        """None can be asked for."""
        return ()

    def prices(self) -> Sequence[Priced]:
        """None apply: events carry what they cost."""
        return ()

    def late_prices(self) -> LatePrices | None:
        """None apply."""
        return None

    def unrecorded(self) -> Mapping[str, int]:
        """None are refused."""
        return {}


class ReplayService:
    """Serves `archive` on a free port of loopback. `start` and `stop` on one event loop."""

    def __init__(
        self, archive: Archive, env: Mapping[str, str], clock_ms: Callable[[], int] = now_ms
    ) -> None:
        self.token = Secret(secrets.token_urlsafe(24))
        self._archive = archive
        self._env = env
        self._store = ArchivedStore(archive.directory / "events.db")
        self._versions = VersionStore(archive.versions)
        info = GatewayInfo(
            version=package_version("ktui"),
            pid=os.getpid(),
            started_ms=now_ms(),
            state="replay",
            reason=archive.name,
        )
        config = ConfigManager(archive.policy, self._versions, self._surroundings, lambda _version: None)
        self.hub = Hub(
            info, config, self._store, LiveMetrics(), _NoDataPlane(), state_dir=archive.directory.absolute(),
            clock_ms=clock_ms,
        )  # fmt: skip
        self._listener: Listener | None = None

    @property
    def last_timestamp_ms(self) -> int | None:
        """Arrival of the newest event; None when there is none."""
        return self._store.last_timestamp_ms

    async def start(self) -> str:
        """Serve; the base address of the control API. Raises StoreError and ListenError."""
        await self._store.start()
        await self._versions.open()
        # A viewer's token: what has been cannot be changed.
        app = control_app(self.hub, (Token("replay", "viewer", self.token),))
        self._listener = Listener(app, "127.0.0.1", 0)
        self.hub.info.api = join_address(*await self._listener.start())
        return f"http://{self.hub.info.api}"

    async def stop(self) -> None:
        """Let go of everything."""
        if self._listener is not None:
            await self._listener.stop(0)
        await self.hub.close()
        await self._store.close()
        await self._versions.close()

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            env=self._env,
            today=datetime.now(UTC).date(),
            path=self._archive.policy,
            prices_known=price_known,
            filter_fault=fault_of,
        )
