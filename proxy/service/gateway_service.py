"""Wires the rooms together and starts and stops them in order."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version as package_version

from proxy.base.sanitise import sanitise
from proxy.base.secret import Secret
from proxy.base.times import now_ms, parse_span, rfc3339
from proxy.base.worker import Worker
from proxy.config.manager import ConfigManager
from proxy.config.state import RunningVersion
from proxy.config.versions import VersionStore
from proxy.control.app import control_app
from proxy.control.auth import Token, load_tokens
from proxy.control.hub import GatewayInfo, Hub
from proxy.events.alerts import Alerts
from proxy.events.errors import StoreError
from proxy.events.filter.standing import fault_of
from proxy.events.live_metrics import LiveMetrics
from proxy.events.otel.child import Identity
from proxy.events.otel.export import CLOSE_WITHIN_S, NoExport, OtelExport
from proxy.events.otel.settings import read_settings, variables
from proxy.events.recent_units import RecentUnits
from proxy.events.retention import Limits
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.store import EventQuery
from proxy.events.totals import TrafficTotals
from proxy.gateway.app import DataPlane
from proxy.gateway.runtime import NamedKey, Runtime, build_snapshot
from proxy.gateway.server import Listener, ListenError
from proxy.policy.diagnostics import Diagnostic
from proxy.policy.lint import Surroundings
from proxy.policy.plan import SplitPlan
from proxy.policy.spec import bytes_of
from proxy.prices.known import price_known
from proxy.service.alert_log import AlertLog
from proxy.service.data_plane_view import RuntimeView, places
from proxy.service.options import ServiceOptions, is_loopback, join_address, split_address
from proxy.service.standing_alerts import StandingAlerts
from proxy.service.state_dir import RunRecord, StateDir
from proxy.upstream.aiohttp_transport import AiohttpTransport

WARM_MS = 15 * 60_000
_WARM_EVENTS = 50_000


class StartError(Exception):
    """The gateway cannot start; the text is one sentence. `diagnostics`: what is wrong with the policy file."""

    def __init__(self, message: str, diagnostics: tuple[Diagnostic, ...] = ()) -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where it listens, `host:port`. `new_client_key`: made just now, to be shown once."""

    listen: str
    api: str
    new_client_key: Secret | None = None


class GatewayService:
    """One gateway. `start` and `stop` on the event loop it serves on."""

    def __init__(self, options: ServiceOptions) -> None:
        self._options = options
        self._state = StateDir(options.state_dir)
        worker = Worker()
        self._store = SqliteEventStore(
            options.state_dir / "events.db", options.state_dir / "journal", worker=worker
        )
        self._versions = VersionStore(options.state_dir / "versions.db")
        self._transport = AiohttpTransport()
        self.metrics = LiveMetrics()
        self.alerts = Alerts()
        self._standing = StandingAlerts(self.alerts, self._store)
        self._alert_log = AlertLog(self.alerts)
        self._units = RecentUnits()
        self._totals = TrafficTotals()
        self.runtime = Runtime(recorder=self._store, transport=self._transport)
        self._data_plane = DataPlane(self.runtime)
        self.config = ConfigManager(
            options.policy_path.absolute(), self._versions, self._surroundings, self._version_applied
        )
        self.info = GatewayInfo(
            version=package_version("ktui"), pid=os.getpid(), started_ms=now_ms(), badges=options.badges
        )
        self._export = self._make_export()
        self.hub = Hub(
            self.info,
            self.config,
            self._store,
            self.metrics,
            RuntimeView(self.runtime, self._data_plane.sampler),
            state_dir=options.state_dir.absolute(),
            worker=worker,
            totals=self._totals,
            alerts=self.alerts,
            export=self._export,
        )
        self._tokens: tuple[Token, ...] = ()
        self._listeners: list[Listener] = []

    @property
    def token(self) -> Secret:
        """The operator's token of the control API."""
        return self._tokens[0].secret

    async def start(self) -> Addresses:
        """Serve. Raises StartError; then nothing is left running."""
        try:
            return await self._start()
        except (ValueError, StoreError, ListenError) as error:
            await self.stop(drain_s=0)
            raise StartError(str(error)) from None
        except (OSError, sqlite3.Error) as error:
            await self.stop(drain_s=0)
            reason = sanitise(getattr(error, "strerror", None) or error, 200)
            raise StartError(
                f"the state directory {self._options.state_dir} cannot be used: {reason}"
            ) from None
        except BaseException:
            await self.stop(drain_s=0)
            raise

    async def _start(self) -> Addresses:
        host, port = split_address(self._options.listen)
        api_host, api_port = split_address(self._options.api_listen)
        self._check_api_place(api_host)
        self._state.claim()
        env_token = self._options.api_token
        self._tokens = load_tokens(self._options.state_dir, env_token.reveal() if env_token else None)
        # What a crash left in the journal is stored at the start: it is counted like what comes after it.
        self._store.subscribe(self._totals.observe_all)
        self._start_export()
        await self._store.start()
        await self._warm()
        self._store.subscribe(self.metrics.observe_all)
        self._store.on_amended(self.metrics.amend_all)
        self._store.subscribe(self._units.observe_all)
        self._store.subscribe(self.alerts.observe_all)
        await self._versions.open()
        await self._start_config()
        new_key = self._hand_key(host)
        self.runtime.own_hosts = frozenset({host.lower()})
        self.info.listen = await self._listen(self._data_plane, host, port)
        control = control_app(self.hub, self._tokens, off_loopback=not is_loopback(api_host))
        self.info.api = await self._listen(control, api_host, api_port)
        self._say_ready()
        self._announce()
        self._alert_log.start()
        return Addresses(self.info.listen, self.info.api, new_key)

    async def stop(self, drain_s: float = 10.0) -> None:
        """Take no more, let what runs finish for `drain_s` seconds, write every event, let go of everything."""
        self.info.state = "draining"
        self.runtime.draining = True
        if self._listeners:
            await self._listeners[0].stop(drain_s)
        for listener in self._listeners[1:]:
            await listener.stop(0)
        self._listeners.clear()
        await self.hub.close()
        await self.config.stop()
        await self._transport.close()
        await self._standing.stop()
        await self._store.close()
        await self._alert_log.stop()
        if isinstance(self._export, OtelExport):
            await self._export.close(min(CLOSE_WITHIN_S, max(1.0, drain_s)))
        await self._versions.close()
        self.info.state = "stopped"
        self._state.withdraw(self.info.pid)
        self._state.release()

    # -- parts

    def _check_api_place(self, host: str) -> None:
        if not is_loopback(host) and not self._options.insecure_api and self._options.tls_cert is None:
            raise StartError(
                "the control API listens off loopback only with --tls-cert and --tls-key, or with --insecure"
            )

    async def _start_config(self) -> None:
        await self.config.start()
        self.config.subscribe(self._say_ready)
        if self.config.running is None and not self._options.allow_broken_start:
            file = self.config.file
            raise StartError(f"{self.config.path} cannot run: {file.reason}", tuple(file.diagnostics))

    def _make_export(self) -> OtelExport | NoExport:
        settings = read_settings(self._options.env)
        if settings is None:
            return NoExport("off: OTEL_EXPORTER_OTLP_ENDPOINT is not set")
        if isinstance(settings, str):
            self.info.notices.append(settings)
            return NoExport(settings)
        identity = Identity(package_version("ktui"), self.runtime.instance)
        return OtelExport(
            settings, variables(self._options.env), identity, self._totals, lambda: places(self.runtime)
        )

    def _start_export(self) -> None:
        if isinstance(self._export, OtelExport):
            self._store.subscribe(self._export.observe_all)
            self.runtime.traces = self._export
            self._export.start()

    async def _warm(self) -> None:
        query = EventQuery(since_ms=now_ms() - WARM_MS, limit=_WARM_EVENTS)
        events = [event async for event in self._store.query(query)]
        self.metrics.warm(events)
        self._units.observe_all(reversed(events))

    async def _listen(self, app: object, host: str, port: int) -> str:
        listener = Listener(app, host, port, tls_cert=self._options.tls_cert, tls_key=self._options.tls_key)
        bound_host, bound_port = await listener.start()
        self._listeners.append(listener)
        return join_address(bound_host, bound_port)

    def _hand_key(self, host: str) -> Secret | None:
        """Off loopback a key is required: the file's own, or one made for this state directory."""
        if is_loopback(host):
            return None
        snapshot = self.runtime.snapshot
        if snapshot is not None and snapshot.keys_required:
            return None
        key, made = self._state.client_key()
        self.runtime.handed_keys = (NamedKey("default", key),)
        return key if made else None

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            env=self._options.env,
            today=datetime.now(UTC).date(),
            path=self._options.policy_path,
            prices_known=price_known,
            filter_fault=fault_of,
            recent_units=self._units.counts(),
        )

    def _version_applied(self, version: RunningVersion) -> None:
        """Swap what the data plane runs with; the charts and observed shares learn of it."""
        before = self.config.running
        self.runtime.snapshot = build_snapshot(
            version.policy_file, version.plan, self._options.env, version.number
        )
        self._store.keep(_limits(version))
        self._name_totals(version)
        self._standing.apply(version.policy_file)
        now = now_ms()
        old = {split.name: _shares(split) for split in before.plan.splits} if before is not None else {}
        for split in version.plan.splits:
            if before is not None and old.get(split.name) != _shares(split):
                self.metrics.weights_changed(split.name, now)
        if before is not None:
            phases = {split.name: split.phase for split in before.plan.splits}
            begun = [s.phase for s in version.plan.splits if s.phase and s.phase != phases.get(s.name)]
            self.metrics.marker(now, " ".join((f"v{version.number}", *begun)))

    def _name_totals(self, version: RunningVersion) -> None:
        """What the file names has series of its own from its first request on."""
        snapshot, totals = self.runtime.snapshot, self._totals
        if snapshot is None:
            return
        totals.know("model", (name for name, _ in snapshot.models))
        totals.know("provider", (target.provider for target in snapshot.routes.targets))
        totals.know("target", (target.id for target in snapshot.routes.targets))
        totals.know("variant", (arm.tag for split in version.plan.splits for arm in split.arms))
        totals.know("policy", (policy.name for policy in version.policy_file.policies))

    def _say_ready(self) -> None:
        if self.info.state in ("draining", "stopped"):
            return
        running = self.config.running is not None
        self.info.state = "serving" if running else "not_ready"
        self.info.reason = None if running else f"no policy runs: {self.config.file.reason}"

    def _announce(self) -> None:
        certificate = self._options.tls_cert
        self._state.announce(
            RunRecord(
                pid=self.info.pid,
                listen=self.info.listen,
                api=self.info.api,
                policy=str(self.config.path),
                version=self.info.version,
                started=rfc3339(self.info.started_ms),
                certificate=str(certificate.absolute()) if certificate is not None else None,
            )
        )


def _limits(version: RunningVersion) -> Limits:
    """How much is kept of single events, as the file says."""
    events = version.policy_file.events
    limits = Limits()
    age_ms = parse_span(events.retention) if events.retention is not None else None
    if age_ms is not None:
        limits = replace(limits, age_ms=age_ms)
    size = bytes_of(events.max_size) if events.max_size is not None else None
    if size is not None:
        limits = replace(limits, size_bytes=size)
    bodies_ms = parse_span(events.kept_bodies.keep) if events.kept_bodies is not None else None
    return limits if bodies_ms is None else replace(limits, bodies_age_ms=bodies_ms)


def _shares(split: SplitPlan) -> tuple[object, ...]:
    return (split.salt, *((arm.tag, arm.model, arm.share) for arm in split.arms))
