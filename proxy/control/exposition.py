"""The gateway's figures in the formats that Prometheus reads.

Names of traffic are made in `proxy.events.totals_families`, those of the gateway itself here; the table in the
documents is made of both.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from proxy.control.hub import Hub
from proxy.events.totals import Copy, Histogram, Labels
from proxy.events.totals_families import FAMILIES, Family

Sample = tuple[Labels, float]


@dataclass(frozen=True, slots=True)
class Own:
    """One metric of the gateway itself. `name`: without `_total`."""

    name: str
    kind: Literal["gauge", "counter"]
    doc: str
    labels: tuple[str, ...] = ()


UP = Own("ktui_gateway_state", "gauge", "1 for the state the gateway is in.", ("state",))
BUILD = Own("ktui_build_info", "gauge", "Always 1; the labels tell the versions.", ("version", "python"))
IN_FLIGHT = Own("ktui_requests_in_flight", "gauge", "Requests being answered now.")
UNRECORDED = Own(
    "ktui_refusals_unrecorded", "counter",
    "Refusals of a flood that got no event, by error: they are not in ktui_requests_total.", ("error",),
)  # fmt: skip
AVAILABLE = Own("ktui_target_available", "gauge", "Whether a target can be used.", ("target", "provider"))
BREAKER = Own(
    "ktui_target_breaker", "gauge", "1 for the state a target's circuit breaker is in.", ("target", "state")
)
POLICY = Own("ktui_policy_info", "gauge", "Always 1; the labels tell the policy version that runs.", ("number", "hash"))  # fmt: skip
APPLIED = Own(
    "ktui_policy_applied_timestamp_seconds", "gauge", "When the policy version that runs was applied."
)
FILE_SAME = Own("ktui_policy_file_same", "gauge", "1 while the policy file is what runs; 0 when it is not, for whatever reason.")  # fmt: skip
SHARE = Own("ktui_split_share", "gauge", "Configured share of a variant, 0 to 1.", ("split", "variant"))
ACCEPTED = Own("ktui_events_accepted", "counter", "Events accepted: stored + spilled + dropped.")
STORED = Own("ktui_events_stored", "counter", "Events stored. Equals the sum of ktui_requests_total.")
SPILLED = Own("ktui_events_spilled", "gauge", "Events accepted that wait for the store.")
DROPPED = Own("ktui_events_dropped", "counter", "Events lost, by reason.", ("reason",))
FORGOTTEN = Own(
    "ktui_events_forgotten",
    "counter",
    "Events that retention took away, by limit; with `bodies`, bodies that it took while their events stayed.",
    ("reason",),
)
KEPT = Own("ktui_events_kept", "gauge", "Events in the store.")
STORE_FAILING = Own("ktui_store_failing", "gauge", "1 while the store takes no events.")
STORE_BYTES = Own("ktui_store_bytes", "gauge", "Size of the event store's files.")
LAG = Own("ktui_rollups_lag_events", "gauge", "Stored events that are not in the roll-ups yet.")
EXPORTED = Own("ktui_otel_exported", "counter", "Requests whose spans were exported with OpenTelemetry.")
EXPORT_DROPPED = Own(
    "ktui_otel_dropped", "counter", "Requests whose spans were not exported, by reason.", ("reason",)
)
UNSAMPLED = Own("ktui_otel_unsampled", "counter", "Requests that sampling kept from being exported.")
ALERT_FIRING = Own("ktui_alert_firing", "gauge", "1 while the alert of the policy file fires.", ("alert",))
ALERT_REQUESTS = Own(
    "ktui_alert_requests", "gauge", "Requests that match the alert and ended within its window.", ("alert",)
)
OWN = (
    UP, BUILD, IN_FLIGHT, UNRECORDED, AVAILABLE, BREAKER, POLICY, APPLIED, FILE_SAME, SHARE, ACCEPTED, STORED,
    SPILLED, DROPPED, FORGOTTEN, KEPT, STORE_FAILING, STORE_BYTES, LAG, EXPORTED, EXPORT_DROPPED, UNSAMPLED,
    ALERT_FIRING, ALERT_REQUESTS,
)  # fmt: skip
BREAKER_STATES = ("closed", "half-open", "open")
STATES = ("starting", "serving", "not_ready", "draining", "stopped")
DROP_REASONS = ("disk-full", "disk-error", "journal-damaged", "invalid", "duplicate", "closed")
"""Shown as 0 from the start, so that the first loss is seen as a rise."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that is exposed, at one moment."""

    traffic: Copy
    own: dict[Own, list[Sample]]


async def figures(hub: Hub) -> Figures:
    """What is true now. Raises StoreError when the store cannot be read."""
    lag = await hub.store.not_rolled_up()
    own: dict[Own, list[Sample]] = {
        **_gateway(hub), **_targets(hub), **_policy(hub), **_events(hub), **_export(hub), **_alerts(hub),
        LAG: [((), float(lag))],
    }  # fmt: skip
    return Figures(hub.totals.copy(), own)


def render(found: Figures, accept: str) -> tuple[bytes, str]:
    """`found` as text and its content type: OpenMetrics for a client that accepts it, else the plain format."""
    registry = CollectorRegistry()
    registry.register(_Collector(found))
    ProcessCollector(registry=registry)
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Collector(Collector):
    def __init__(self, found: Figures) -> None:
        self._found = found

    def collect(self) -> Iterator[Metric]:
        traffic, own = self._found.traffic, self._found.own
        for family in FAMILIES:
            if family.kind == "counter":
                yield _counter(family, traffic.counters[family].items())
            else:
                yield _histogram(family, traffic.histograms[family].items())
        for metric in OWN:
            kind = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
            made = kind(metric.name, metric.doc, labels=metric.labels)
            for labels, value in own.get(metric, ()):
                made.add_metric(labels, value)
            yield made


def _counter(family: Family, cells: Iterable[tuple[Labels, int]]) -> CounterMetricFamily:
    made = CounterMetricFamily(family.prometheus, family.doc, labels=family.prometheus_labels)
    for labels, number in cells:
        # One division at the end: whole numbers add up exactly, fractions do not.
        made.add_metric(labels, number / family.scale if family.scale > 1 else number)
    return made


def _histogram(family: Family, cells: Iterable[tuple[Labels, Histogram]]) -> HistogramMetricFamily:
    made = HistogramMetricFamily(family.prometheus, family.doc, labels=family.prometheus_labels)
    # The library has no types for it.
    bounds = [*(str(floatToGoString(bound)) for bound in family.bounds), "+Inf"]  # type: ignore[no-untyped-call]
    for labels, cell in cells:
        below, buckets = 0, []
        for bound, count in zip(bounds, cell.counts, strict=True):
            below += count
            buckets.append((bound, float(below)))
        made.add_metric(labels, buckets, cell.sum)
    return made


def _gateway(hub: Hub) -> dict[Own, list[Sample]]:
    info, plane = hub.info, hub.data_plane
    return {
        UP: _one_of(STATES, info.state),
        BUILD: [((info.version, platform.python_version()), 1.0)],
        IN_FLIGHT: [((), float(plane.in_flight()))],
        UNRECORDED: [((error,), float(number)) for error, number in plane.unrecorded().items()],
    }


def _targets(hub: Hub) -> dict[Own, list[Sample]]:
    targets = hub.data_plane.targets()
    return {
        AVAILABLE: [((target.id, target.provider), float(target.available)) for target in targets],
        BREAKER: [
            ((target.id, *state), value)
            for target in targets
            for state, value in _one_of(BREAKER_STATES, target.breaker)
        ],
    }


def _policy(hub: Hub) -> dict[Own, list[Sample]]:
    running = hub.config.running
    same: dict[Own, list[Sample]] = {FILE_SAME: [((), float(hub.config.file.condition == "same"))]}
    if running is None:
        return same
    return {
        **same,
        POLICY: [((str(running.number), running.hash), 1.0)],
        APPLIED: [((), running.applied_at_ms / 1e3)],
        SHARE: [
            ((split.name, arm.tag), float(arm.share) / 100)
            for split in running.plan.splits
            for arm in split.arms
        ],
    }


def _events(hub: Hub) -> dict[Own, list[Sample]]:
    counters = hub.store.counters()
    dropped = {**dict.fromkeys(DROP_REASONS, 0), **counters.dropped}
    return {
        ACCEPTED: [((), float(counters.accepted))],
        STORED: [((), float(counters.stored))],
        SPILLED: [((), float(counters.spilled))],
        DROPPED: [((reason,), float(number)) for reason, number in dropped.items()],
        FORGOTTEN: [((reason,), float(number)) for reason, number in hub.store.forgotten.items()],
        KEPT: [((), float(hub.store.total()))],
        STORE_FAILING: [((), float(hub.store.trouble is not None))],
        STORE_BYTES: [((), float(_bytes_of(hub)))],
    }


def _bytes_of(hub: Hub) -> int:
    return sum(path.stat().st_size for path in hub.state_dir.glob("events.db*") if path.is_file())


def _alerts(hub: Hub) -> dict[Own, list[Sample]]:
    states = hub.alerts.states()
    if not states:
        return {}
    return {
        ALERT_FIRING: [((state.rule.name,), float(state.since_ms is not None)) for state in states],
        ALERT_REQUESTS: [((state.rule.name,), float(state.requests)) for state in states],
    }


def _export(hub: Hub) -> dict[Own, list[Sample]]:
    state = hub.export.state() if hub.export is not None else None
    if state is None or not state.on:
        return {}
    return {
        EXPORTED: [((), float(state.exported))],
        UNSAMPLED: [((), float(state.unsampled))],
        EXPORT_DROPPED: [((reason,), float(number)) for reason, number in state.dropped.items()],
    }


def _one_of(states: tuple[str, ...], current: str) -> list[Sample]:
    return [((state,), float(state == current)) for state in states]
