"""The last hour in memory: what the header and the charts show, without asking the database."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from proxy.base.money import to_decimal_string
from proxy.base.times import now_ms as wall_clock_ms
from proxy.events.event import Event
from proxy.events.metrics import METRICS, Group, Metric, Tally, sample_of
from proxy.events.observed import SplitObserved, SplitWatch
from proxy.events.rollups.amend import Amendment

BUCKET_S = 10
BUCKET_MS = BUCKET_S * 1_000
KEPT_BUCKETS = 360
"""One hour."""
RECENT_BUCKETS = 8
_MAX_GROUPS = 64
"""Arms in one bucket; a policy file with more is shown without the rest."""
_AHEAD_BUCKETS = 6
_MAX_MARKERS = 200
SETTLE_MS = 4_000
"""How long after its end a span of time is taken to have all but its slowest answers."""
_MIN_SPAN_MS = 2_000
"""A rate over less is noise."""

GroupBy = Literal["all", "variant"]


@dataclass(frozen=True, slots=True)
class Latency:
    """Quantiles in milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Summary:
    """Traffic over the last `window_s` seconds, by arrival."""

    window_s: int
    requests: int
    requests_per_s: float
    recent_per_s: list[float]
    """The last eight spans of ten seconds, oldest first."""
    error_rate: float | None
    latency_ms: Latency | None
    cost_per_min: str | None
    """Dollars; None when no request of the window has a price."""
    unpriced: int

    def to_json(self) -> dict[str, Any]:
        """The form the control API shows."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """One line of a chart; None where there is no data."""

    group: str
    split: str | None
    values: list[float | None]
    window_value: float | None
    """The metric over the whole window (not a mean of the points)."""
    requests: int
    """Of the window."""


@dataclass(frozen=True, slots=True)
class Marker:
    """Something that happened at a moment: a new version of the policy."""

    time: float
    label: str


@dataclass(frozen=True, slots=True)
class Series:
    """A metric over time. Times are seconds since 1970; a point is named by the start of its step."""

    metric: str
    unit: str
    step_s: int
    from_s: float
    to_s: float
    times: list[int]
    series: list[SeriesLine]
    markers: list[Marker]

    def to_json(self) -> dict[str, Any]:
        """The form the control API shows."""
        body = asdict(self)
        body["from"] = body.pop("from_s")
        body["to"] = body.pop("to_s")
        return body


def _leave_out_unsettled(values: list[float | None], starts: list[int], width: int, now: int) -> None:
    """Empty the last points while their slow answers are still to come; a line's only point stays."""
    for index in range(len(values) - 1, 0, -1):
        if (starts[index] + width) * BUCKET_MS <= now - SETTLE_MS:
            return
        if any(value is not None for value in values[:index]):
            values[index] = None


def _seconds(first: int, last: int, now: int) -> float:
    """Of the buckets from `first` to `last`, as far as they have passed."""
    end = min((last + 1) * BUCKET_MS, now)
    return max(end - first * BUCKET_MS, _MIN_SPAN_MS) / 1_000


class LiveMetrics:
    """Rolling ten-second tallies over one hour, for all requests and for each arm of each split.

    An event belongs to the bucket of its arrival: a long stream that ends late still counts where it began.
    """

    def __init__(self, clock_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._clock_ms = clock_ms
        self._buckets: dict[int, dict[Group, Tally]] = {}
        self._watches: dict[str, SplitWatch] = {}
        self._markers: deque[Marker] = deque(maxlen=_MAX_MARKERS)
        self._started_ms: int | None = None

    # -- taking in

    def observe(self, event: Event) -> None:
        """Count `event`; one older than an hour, or dated ahead of the clock, is left out."""
        index = event.timestamp_ms // BUCKET_MS
        current = self._clock_ms() // BUCKET_MS
        if not current - KEPT_BUCKETS < index <= current + _AHEAD_BUCKETS:
            return
        if self._started_ms is None or event.timestamp_ms < self._started_ms:
            self._started_ms = event.timestamp_ms
        bucket = self._buckets.get(index)
        if bucket is None:
            bucket = self._buckets[index] = {None: Tally()}
            self._forget_old(current)
        sample = sample_of(event)
        bucket[None].add(sample)
        if event.split is None or event.ab_tag is None:
            return
        group = (event.split, event.ab_tag)
        tally = bucket.get(group)
        if tally is None:
            if len(bucket) > _MAX_GROUPS:
                return
            tally = bucket[group] = Tally()
        tally.add(sample)
        if event.unit_digest is not None:
            self._watch(event.split).observe(event.ab_tag, event.unit_digest, event.timestamp_ms)

    def observe_all(self, events: Iterable[Event]) -> None:
        """Count several; fits as a listener of a store."""
        for event in events:
            self.observe(event)

    def amend_all(self, changed: Iterable[Amendment]) -> None:
        """Events that were counted are others now."""
        for one in changed:
            bucket = self._buckets.get(one.timestamp_ms // BUCKET_MS, {})
            groups: list[Group] = [None]
            if one.split is not None and one.tag is not None:
                groups.append((one.split, one.tag))
            for group in groups:
                if group in bucket:
                    bucket[group].amend(one.counts)

    def warm(self, events: Iterable[Event]) -> None:
        """Count what a store holds of the last hour, in any order, before traffic begins."""
        self.observe_all(sorted(events, key=lambda event: event.timestamp_ms))

    def weights_changed(self, split: str, at_ms: int) -> None:
        """The shares observed of `split` begin anew at `at_ms`."""
        self._watch(split).weights_changed(at_ms)

    def marker(self, time_ms: int, label: str) -> None:
        """Remember that something happened, to be drawn in charts."""
        self._markers.append(Marker(time_ms / 1_000, label))

    def markers_between(self, from_s: float, to_s: float) -> list[Marker]:
        """What happened from one moment to another, seconds since 1970."""
        return [marker for marker in self._markers if from_s <= marker.time <= to_s]

    def _watch(self, split: str) -> SplitWatch:
        watch = self._watches.get(split)
        if watch is None:
            if len(self._watches) >= _MAX_GROUPS:
                self._watches.pop(next(iter(self._watches)))
            watch = self._watches[split] = SplitWatch(split)
        return watch

    def _forget_old(self, current: int) -> None:
        if len(self._buckets) > KEPT_BUCKETS:
            for index in [index for index in self._buckets if index <= current - KEPT_BUCKETS]:
                del self._buckets[index]

    # -- giving out

    def summary(self, window_s: int = 60, now_ms: int | None = None) -> Summary:
        """Traffic over the last `window_s` seconds, in whole buckets of ten seconds and the one under way."""
        now = self._clock_ms() if now_ms is None else now_ms
        current = now // BUCKET_MS
        buckets = max(1, min(-(-window_s // BUCKET_S), KEPT_BUCKETS))
        first = current - buckets + 1
        tally = self._merged(None, first, current)
        span_s = self._span_ms(first * BUCKET_MS, now) / 1_000
        p50, p95, p99 = tally.latency.quantiles((0.5, 0.95, 0.99))
        per_minute = None
        if tally.priced:
            per_minute = to_decimal_string(round(tally.cost_nanos * 60 / span_s))
        return Summary(
            window_s=window_s,
            requests=tally.requests,
            requests_per_s=round(tally.requests / span_s, 3),
            recent_per_s=self._recent(now),
            error_rate=tally.errors / tally.requests if tally.requests else None,
            latency_ms=None if p50 is None or p95 is None or p99 is None else Latency(p50, p95, p99),
            cost_per_min=per_minute,
            unpriced=tally.unpriced,
        )

    def _span_ms(self, start_ms: int, now: int) -> int:
        """Milliseconds from `start_ms`, or from the first event if that was later, until `now`."""
        began = start_ms if self._started_ms is None else max(start_ms, self._started_ms)
        return max(now - began, _MIN_SPAN_MS)

    def _recent(self, now: int) -> list[float]:
        current = now // BUCKET_MS
        # A bucket that has only just begun would look like a slump.
        last = current if now % BUCKET_MS >= _MIN_SPAN_MS else current - 1
        rates = []
        for index in range(last - RECENT_BUCKETS + 1, last + 1):
            tally = self._buckets.get(index, {}).get(None)
            span_s = (now % BUCKET_MS) / 1_000 if index == current else BUCKET_S
            rates.append(round(tally.requests / span_s, 3) if tally else 0.0)
        return rates

    def series(
        self,
        metric: str,
        group_by: GroupBy = "all",
        window_s: int = 900,
        step_s: int = BUCKET_S,
        now_ms: int | None = None,
        settled_ms: int | None = None,
    ) -> Series:
        """`metric` over the last `window_s` seconds (at most an hour) in steps of `step_s` (rounded up to tens).

        `now_ms` is where the window ends; `settled_ms` the time it is, where that is later.

        Raises KeyError for a metric that is not in METRICS.
        """
        known = METRICS[metric]
        now = self._clock_ms() if now_ms is None else now_ms
        width = max(1, -(-step_s // BUCKET_S))
        steps = max(1, min(-(-window_s // (width * BUCKET_S)), KEPT_BUCKETS // width))
        # Steps start at multiples of their width since 1970, so points stay put from one call to the next.
        last = now // BUCKET_MS // width * width
        starts = [last - offset * width for offset in range(steps - 1, -1, -1)]
        end = now // BUCKET_MS
        lines = [
            self._line(known, group, starts, width, now) for group in self._groups(group_by, starts[0], end)
        ]
        if known.settles:
            for line in lines:
                _leave_out_unsettled(line.values, starts, width, settled_ms or now)
        from_s = starts[0] * BUCKET_S
        return Series(
            metric=metric,
            unit=known.unit,
            step_s=width * BUCKET_S,
            from_s=from_s,
            to_s=now / 1_000,
            times=[start * BUCKET_S for start in starts],
            series=lines,
            markers=self.markers_between(from_s, now / 1_000),
        )

    def _groups(self, group_by: GroupBy, first: int, last: int) -> Sequence[Group]:
        if group_by == "all":
            return [None]
        found = {
            group
            for index in range(first, last + 1)
            for group in self._buckets.get(index, ())
            if group is not None
        }
        return sorted(found)

    def _line(self, metric: Metric, group: Group, starts: list[int], width: int, now: int) -> SeriesLine:
        end = now // BUCKET_MS
        began = None if self._started_ms is None else self._started_ms // BUCKET_MS
        values: list[float | None] = []
        whole = Tally()
        for start in starts:
            stop = min(start + width - 1, end)
            if began is None or stop < began:
                values.append(None)
                continue
            # One bucket is its own tally: no copy is made of it.
            tally = self._buckets.get(start, {}).get(group) if stop == start else None
            tally = tally or self._merged(group, start, stop, sketches=bool(metric.sketch))
            values.append(metric.value(tally, _seconds(start, stop, now)))
            whole.merge(tally, sketches=bool(metric.sketch))
        window_value = None if began is None else metric.value(whole, _seconds(starts[0], end, now))
        if group is None:
            return SeriesLine("all", None, values, window_value, whole.requests)
        return SeriesLine(group[1], group[0], values, window_value, whole.requests)

    def _merged(self, group: Group, first: int, last: int, *, sketches: bool = True) -> Tally:
        merged = Tally()
        for index in range(first, last + 1):
            tally = self._buckets.get(index, {}).get(group)
            if tally is not None:
                merged.merge(tally, sketches=sketches)
        return merged

    def split_observed(self, split: str, now_ms: int | None = None) -> SplitObserved:
        """Distinct units and requests of each arm since the weights last changed, units at most 15 minutes back."""
        now = self._clock_ms() if now_ms is None else now_ms
        watch = self._watches.get(split)
        return SplitObserved(split, None, {}) if watch is None else watch.observed(now)
