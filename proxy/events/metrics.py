"""What is measured over a set of events, and every metric that can be asked of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec

from proxy.base.money import NANOS_PER_DOLLAR
from proxy.events.event import Event
from proxy.events.sketch import Sketch, bucket_of

Group = tuple[str, str] | None
"""(split, tag), or None for all requests."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """What one event adds, worked out once however many groups it belongs to."""

    error: bool
    unpriced: bool
    cost_nanos: int | None
    upstream: bool
    latency_bucket: int | None
    ttft: bool
    ttft_bucket: int | None


def sample_of(event: Event) -> Sample:
    """The sample of `event`. Times of requests that never went upstream say nothing about a model."""
    upstream = event.attempts > 0
    ttft = event.ttft_ms
    return Sample(
        event.outcome not in ("ok", "blocked"),
        event.cost_status == "unpriced",
        event.cost_nanos,
        upstream,
        bucket_of(event.latency_ms) if upstream else None,
        ttft is not None,
        None if ttft is None else bucket_of(ttft),
    )


class Tally:
    """Counts, sums and sketches over some events; adding and merging are exact."""

    __slots__ = ("cost_nanos", "errors", "latency", "priced", "requests", "ttft", "unpriced")

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        """Outcomes other than ok and blocked."""
        self.priced = 0
        self.unpriced = 0
        self.cost_nanos = 0
        self.latency = Sketch()
        """Milliseconds, of requests that went upstream."""
        self.ttft = Sketch()
        """Milliseconds to the first content token, of streams."""

    def add(self, sample: Sample) -> None:
        """Count one event."""
        self.requests += 1
        self.errors += sample.error
        self.unpriced += sample.unpriced
        if sample.cost_nanos is not None:
            self.priced += 1
            self.cost_nanos += sample.cost_nanos
        if sample.upstream:
            self.latency.add_bucket(sample.latency_bucket)
        if sample.ttft:
            self.ttft.add_bucket(sample.ttft_bucket)

    def merge(self, other: Tally, *, sketches: bool = True) -> None:
        """Take in what `other` has counted; without `sketches` the quantiles are left as they are."""
        self.requests += other.requests
        self.errors += other.errors
        self.priced += other.priced
        self.unpriced += other.unpriced
        self.cost_nanos += other.cost_nanos
        if sketches:
            self.latency.merge(other.latency)
            self.ttft.merge(other.ttft)


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a set of events: its unit, and how it is read off a tally (None: no data)."""

    name: str
    unit: str
    title: str
    value: Callable[[Tally], float | None]
    sketched: bool = False
    """Whether it is read off a sketch (merging those is what costs)."""
    settles: bool = True
    """Whether quick answers come in before slow ones, so that a moment still under way would flatter it."""


def _cost_per_1k(tally: Tally) -> float | None:
    return tally.cost_nanos / tally.priced * 1_000 / NANOS_PER_DOLLAR if tally.priced else None


def _error_rate(tally: Tally) -> float | None:
    return tally.errors / tally.requests if tally.requests else None


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            "latency_p50", "ms", "Latency, median", lambda tally: tally.latency.quantile(0.5), sketched=True
        ),
        Metric(
            "latency_p95",
            "ms",
            "Latency, 95th percentile",
            lambda tally: tally.latency.quantile(0.95),
            sketched=True,
        ),
        Metric(
            "latency_p99",
            "ms",
            "Latency, 99th percentile",
            lambda tally: tally.latency.quantile(0.99),
            sketched=True,
        ),
        Metric(
            "ttft_p50",
            "ms",
            "Time to first token, median",
            lambda tally: tally.ttft.quantile(0.5),
            sketched=True,
        ),
        Metric(
            "ttft_p95",
            "ms",
            "Time to first token, 95th percentile",
            lambda tally: tally.ttft.quantile(0.95),
            sketched=True,
        ),
        Metric("cost_per_1k", "$", "Cost of 1,000 priced requests", _cost_per_1k),
        Metric("requests", "requests", "Requests", lambda tally: float(tally.requests), settles=False),
        Metric(
            "errors", "requests", "Requests that failed", lambda tally: float(tally.errors), settles=False
        ),
        Metric("error_rate", "ratio", "Share of requests that failed", _error_rate),
        Metric("unpriced", "requests", "Requests without a known price", lambda tally: float(tally.unpriced)),
    )
}
"""Every metric by name."""
