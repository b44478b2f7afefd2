"""Traffic counted for monitoring systems: sums since the start, which never go down.

Fed with what the store has stored, so the counts are those of the events, and no request waits for them.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from proxy.events import totals_families as of
from proxy.events.event import Event
from proxy.events.totals_families import FAMILIES, Family, operation_name, provider_name

Kind = Literal["model", "provider", "target", "variant", "policy", "error", "result"]
OTHER = "_OTHER"
"""Label value of what has none of its own; the fallback that OpenTelemetry names for `error.type`."""
NONE = "none"
MAX_STRANGERS = 100
"""Values of a label that the policy file does not name and that get a series of their own."""
MAX_SERIES = 4_000
"""Label sets of one metric; further ones are counted in one whose labels are all OTHER."""


@dataclass(slots=True)
class Histogram:
    """How often a value fell into each bucket (the last has no bound), and the sum of the values."""

    counts: list[int]
    sum: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    @property
    def count(self) -> int:
        """Values seen."""
        return sum(self.counts)


Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """Every figure at one moment."""

    counters: Mapping[Family, Mapping[Labels, int]]
    histograms: Mapping[Family, Mapping[Labels, Histogram]]


class Names:
    """Which values of one label get a series of their own: those the policy file names, and a few others."""

    def __init__(self) -> None:
        self._known: set[str] = {OTHER, NONE}
        self._strangers: set[str] = set()

    def know(self, names: Iterable[str]) -> None:
        """The policy file names these."""
        self._known.update(names)

    def of(self, name: str | None, *, vouched: bool = True) -> str:
        """The label value for `name`. `vouched`: it is more than what a client made up."""
        if name is None:
            return NONE
        if name in self._known or name in self._strangers:
            return name
        if not vouched or len(self._strangers) >= MAX_STRANGERS:
            return OTHER
        self._strangers.add(name)
        return name


class TrafficTotals:
    """The figures. All methods on one event loop."""

    def __init__(self) -> None:
        self._counters: dict[Family, dict[Labels, int]] = {
            family: {} for family in FAMILIES if family.kind == "counter"
        }
        self._histograms: dict[Family, dict[Labels, Histogram]] = {
            family: {} for family in FAMILIES if family.kind == "histogram"
        }
        self._names: dict[Kind, Names] = {
            "model": Names(), "provider": Names(), "target": Names(),
            "variant": Names(), "policy": Names(), "error": Names(), "result": Names(),
        }  # fmt: skip

    def know(self, kind: Kind, names: Iterable[str]) -> None:
        """Names that the policy file uses: each has its own series from its first request on."""
        self._names[kind].know(names)

    def copy(self) -> Copy:
        """What was counted until now; it stays as it is."""
        return Copy(
            {family: dict(cells) for family, cells in self._counters.items()},
            {
                family: {labels: replace(cell, counts=list(cell.counts)) for labels, cell in cells.items()}
                for family, cells in self._histograms.items()
            },
        )

    def observe_all(self, events: Sequence[Event]) -> None:
        """Count stored events, each once."""
        for event in events:
            self._observe(event)

    def _observe(self, event: Event) -> None:
        names = self._names
        # A client may ask for any model; an answer shows that there is such a one.
        model = names["model"].of(event.model, vouched=event.attempts > 0 and event.status < 400)
        target = names["target"].of(event.target)
        place = (model, names["provider"].of(event.provider), target)
        arm = (*place, names["variant"].of(event.ab_tag))
        self._add(of.REQUESTS, (event.endpoint, *arm, event.decision, event.outcome), 1)
        error = names["error"].of(event.error) if event.error is not None else ""
        if error:
            self._add(of.ERRORS, (*place, error), 1)
        for policy in event.policies_triggered:
            self._add(of.POLICIES, (names["policy"].of(policy),), 1)
        if not event.attempts:
            return
        self._count_attempts(event, target)
        self._count_use(event, arm)
        self._measure(event, model, error)

    def _count_attempts(self, event: Event, target: str) -> None:
        if not event.attempt_log:
            self._add(of.ATTEMPTS, (target, "answered"), event.attempts)
            return
        for entry in event.attempt_log:
            made_at = self._names["target"].of(str(entry.get("target")))
            reason = entry.get("reason")
            result = self._names["result"].of("answered" if reason is None else str(reason))
            self._add(of.ATTEMPTS, (made_at, result), 1)

    def _count_use(self, event: Event, arm: Labels) -> None:
        counted = (
            ("input", event.input_tokens),
            ("output", event.output_tokens),
            ("cached", event.cached_tokens),
            ("cache_write", event.cache_write_tokens),
            ("reasoning", event.reasoning_tokens),
        )
        for kind, number in counted:
            if number:
                self._add(of.TOKENS, (*arm, kind), number)
        if event.cost_nanos is not None:
            self._add(of.COST, (*arm, event.cost_status), event.cost_nanos)
        if event.cost_status == "unpriced":
            self._add(of.UNPRICED, arm[:3], 1)

    def _measure(self, event: Event, model: str, error: str) -> None:
        who = (operation_name(event.endpoint), provider_name(event.provider), model)
        if event.input_tokens is not None:
            self._see(of.TOKEN_USAGE, (*who, "input"), event.input_tokens)
        if event.output_tokens is not None:
            self._see(of.TOKEN_USAGE, (*who, "output"), event.output_tokens)
        self._see(of.DURATION, (*who, error), event.latency_ms / 1e3)
        if event.overhead_us is not None:
            self._see(of.OVERHEAD, (), event.overhead_us / 1e6)
        if event.ttft_ms is None or event.outcome != "ok":
            return
        self._see(of.FIRST_TOKEN, who, event.ttft_ms / 1e3)
        if event.output_tokens is not None and event.output_tokens > 1:
            rest_ms = max(0.0, event.latency_ms - event.ttft_ms)
            self._see(of.PER_TOKEN, who, rest_ms / 1e3 / (event.output_tokens - 1))

    def _add(self, family: Family, labels: Labels, number: int) -> None:
        cells = self._counters[family]
        if labels not in cells and len(cells) >= MAX_SERIES:
            labels = (OTHER,) * len(labels)
        cells[labels] = cells.get(labels, 0) + max(0, number)

    def _see(self, family: Family, labels: Labels, value: float) -> None:
        cells = self._histograms[family]
        cell = cells.get(labels)
        if cell is None:
            if len(cells) >= MAX_SERIES // 4:
                labels = (OTHER,) * len(labels)
            cell = cells.setdefault(labels, Histogram([0] * (len(family.bounds) + 1)))
        cell.counts[bisect_left(family.bounds, value)] += 1
        cell.sum += value
        if value < cell.low:
            cell.low = value
        if value > cell.high:
            cell.high = value
