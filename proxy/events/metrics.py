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
    latency_us: int
    input_tokens: int
    output_tokens: int
    quality_e6: int | None


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
        int(event.latency_ms * 1_000 + 0.5) if upstream else 0,
        event.input_tokens or 0,
        event.output_tokens or 0,
        None if event.quality_score is None else int(event.quality_score * 1_000_000 + 0.5),
    )


class Tally:
    """Counts, sums and sketches over some events; adding and merging are exact."""

    __slots__ = (
        "cost_nanos", "errors", "input_tokens", "latency", "latency_us", "output_tokens", "priced", "quality_e6",
        "requests", "scored", "ttft", "unpriced",
    )  # fmt: skip

    def __init__(self) -> None:
        self.requests = 0
        self.errors = 0
        """Outcomes other than ok and blocked."""
        self.priced = 0
        self.unpriced = 0
        self.cost_nanos = 0
        self.input_tokens = 0
        self.output_tokens = 0
        self.latency_us = 0
        """Of requests that went upstream, together."""
        self.scored = 0
        """With a quality score."""
        self.quality_e6 = 0
        """Of those scores the sum, in millionths."""
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
        self.input_tokens += sample.input_tokens
        self.output_tokens += sample.output_tokens
        self.latency_us += sample.latency_us
        if sample.quality_e6 is not None:
            self.scored += 1
            self.quality_e6 += sample.quality_e6
        if sample.upstream:
            self.latency.add_bucket(sample.latency_bucket)
        if sample.ttft:
            self.ttft.add_bucket(sample.ttft_bucket)

    def amend(self, counts: Mapping[str, int]) -> None:
        """An event that was counted has another cost or score now: differences by name."""
        self.priced += counts.get("priced", 0)
        self.unpriced += counts.get("unpriced", 0)
        self.cost_nanos += counts.get("cost_nanos", 0)
        self.scored += counts.get("scored", 0)
        self.quality_e6 += counts.get("quality_e6", 0)

    def merge(self, other: Tally, *, sketches: bool = True) -> None:
        """Take in what `other` has counted; without `sketches` the quantiles are left as they are."""
        self.requests += other.requests
        self.errors += other.errors
        self.priced += other.priced
        self.unpriced += other.unpriced
        self.cost_nanos += other.cost_nanos
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.latency_us += other.latency_us
        self.scored += other.scored
        self.quality_e6 += other.quality_e6
        if sketches:
            self.latency.merge(other.latency)
            self.ttft.merge(other.ttft)


Value = Callable[[Tally, float], float | None]
"""Reads a figure off a tally of so many seconds; None: no data."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A figure of a set of events."""

    name: str
    unit: str
    title: str
    doc: str
    value: Value
    sketch: str = ""
    """The sketch it is read off, `latency` or `ttft` (merging those is what costs); empty: none."""
    settles: bool = True
    """Whether quick answers come in before slow ones, so that a moment still under way would flatter it."""


def _quantile(sketch: str, percentile: int) -> Metric:
    what, doc = {
        "latency": (
            "Latency",
            "of requests that went upstream, from the first byte read to the last byte sent",
        ),
        "ttft": ("Time to first token", "of streams, from the first byte read to the first token sent"),
    }[sketch]
    return Metric(
        f"{sketch}_p{percentile}",
        "ms",
        f"{what} p{percentile}",
        f"{percentile}th percentile {doc}; at most 1 % off",
        lambda tally, _s: getattr(tally, sketch).quantile(percentile / 100),
        sketch=sketch,
    )


def _cost_per_1k(tally: Tally, _s: float) -> float | None:
    return tally.cost_nanos / tally.priced * 1_000 / NANOS_PER_DOLLAR if tally.priced else None


def _spend_per_min(tally: Tally, seconds: float) -> float | None:
    return tally.cost_nanos / NANOS_PER_DOLLAR * 60 / seconds if tally.priced else None


def _error_rate(tally: Tally, _s: float) -> float | None:
    return tally.errors / tally.requests if tally.requests else None


def _output_speed(tally: Tally, _s: float) -> float | None:
    return tally.output_tokens * 1e6 / tally.latency_us if tally.output_tokens and tally.latency_us else None


def _quality(tally: Tally, _s: float) -> float | None:
    return tally.quality_e6 / tally.scored / 1e6 if tally.scored else None


METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        *(_quantile("latency", percentile) for percentile in (50, 90, 95, 99)),
        *(_quantile("ttft", percentile) for percentile in (50, 95, 99)),
        Metric(
            "cost_per_1k", "$", "Cost per 1,000 requests", "mean cost of a priced request, times 1,000", _cost_per_1k
        ),
        Metric(
            "spend_per_min", "$/min", "Spend per minute", "cost of priced requests, per minute", _spend_per_min,
            settles=False,
        ),
        Metric(
            "requests", "requests", "Requests", "requests of each step", lambda tally, _s: float(tally.requests),
            settles=False,
        ),
        Metric(
            "requests_per_s", "req/s", "Requests per second", "requests per second",
            lambda tally, seconds: tally.requests / seconds, settles=False,
        ),
        Metric(
            "errors", "requests", "Errors", "requests whose outcome is neither ok nor blocked",
            lambda tally, _s: float(tally.errors), settles=False,
        ),
        Metric("error_rate", "ratio", "Error rate", "errors divided by requests", _error_rate),
        Metric(
            "unpriced", "requests", "Unpriced requests", "requests without a known price",
            lambda tally, _s: float(tally.unpriced),
        ),
        Metric(
            "tokens_per_s", "tokens/s", "Output tokens per second", "output tokens of all requests, per second",
            lambda tally, seconds: tally.output_tokens / seconds if tally.output_tokens else None, settles=False,
        ),
        Metric(
            "output_speed", "tokens/s", "Output speed of a request",
            "output tokens divided by the time spent on requests that went upstream, failed ones too",
            _output_speed,
        ),
        Metric("quality", "score", "Quality", "mean of the quality scores, 0 to 1", _quality),
    )
}  # fmt: skip
"""Every metric by name."""
