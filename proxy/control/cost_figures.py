"""What a group of requests cost, in every measure that is read off its counts. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from proxy.base.money import to_decimal_string
from proxy.control.metrics_routes import named
from proxy.events.rollups.cells import COUNTS, DAY_MS, HOUR_MS, MINUTE_MS, Cell

GROUPINGS = ("all", "model", "provider", "target", "variant", "key", "user", "policy")
"""What spend can be grouped by."""
OVERLAPPING = frozenset({"policy"})
"""A request can fire several policies: its cost stands under each of them, so shares would add up to more than all."""
CHART_POINTS = 60
TREND_POINTS = 12
_STEPS_MS = (
    *(minutes * MINUTE_MS for minutes in (1, 2, 5, 10, 15, 30)),
    *(hours * HOUR_MS for hours in (1, 2, 3, 6, 12)),
    *(days * DAY_MS for days in (1, 2, 4, 8, 16, 40)),
)
_PLACE = {name: index for index, name in enumerate(COUNTS)}

Group = tuple[str | None, str]
"""(split, name)."""


def step_for(window_ms: int, points: int, smallest_ms: int = MINUTE_MS) -> int:
    """The narrowest step that shows `window_ms` in at most `points` whole steps, in milliseconds."""
    fitting = (step for step in _STEPS_MS if step >= smallest_ms and window_ms <= step * points)
    return next(fitting, _STEPS_MS[-1])


@dataclass(slots=True)
class Spent:
    """The counts of one group, of the whole window and by the start of each point."""

    counts: list[int] = field(default_factory=lambda: [0] * len(COUNTS))
    points: dict[int, Spent] = field(default_factory=dict)

    def add(self, start_ms: int, cell: Cell) -> None:
        """Count what `cell` holds, as of the point that begins at `start_ms`."""
        self.counts = [mine + its for mine, its in zip(self.counts, cell.counts, strict=True)]
        point = self.points.setdefault(start_ms, Spent())
        point.counts = [mine + its for mine, its in zip(point.counts, cell.counts, strict=True)]

    def __getitem__(self, name: str) -> int:
        return self.counts[_PLACE[name]]

    def along(self, name: str, starts: Iterable[int]) -> list[int]:
        """One count at each of `starts`."""
        return [self.points[start][name] if start in self.points else 0 for start in starts]

    @property
    def known(self) -> bool:
        """Whether there is a sum: false when requests cost something and nobody knows what any of them cost."""
        return bool(self["priced"]) or not self["unpriced"]


def groups_of(dimension: str, cells: Mapping[tuple[int, str], Cell]) -> dict[Group, Spent]:
    """The cells of a read, together for each group; a variant is one line whatever its salt."""
    groups: dict[Group, Spent] = defaultdict(Spent)
    for (start, value), cell in cells.items():
        groups[named(dimension, value)].add(start, cell)
    return dict(groups)


def ratio(nanos: int, per: int, times: int = 1) -> str | None:
    """`times * nanos / per` as dollars, half-even to the nano-dollar; None when `per` is 0."""
    if per <= 0:
        return None
    whole, rest = divmod(nanos * times, per)
    whole += 2 * rest > per or (2 * rest == per and whole % 2)
    return to_decimal_string(whole)


def measures(spent: Spent, total: Spent | None) -> dict[str, Any]:
    """One row of the table, as the control API writes it. Money is in dollars, as decimal strings.

    `per_request` is over the requests whose cost is known, `per_1k_tokens` over input and output tokens, `per_success`
    over requests that ended ok. Tokens and successes of unpriced requests cannot be told apart from the others:
    with `at_least` those two are lower ends. `per_quality` is `per_request` divided by the mean score (0..1).
    `share` of the known sum of `total`; None when there is none or where groups overlap.
    """
    counts, known = spent, spent.known
    nanos = counts["cost_nanos"]
    succeeded = counts["requests"] - counts["errors"] - counts["blocked"]
    tokens = counts["input_tokens"] + counts["output_tokens"]
    scored, quality = counts["scored"], counts["quality_e6"]
    spending = known and bool(counts["priced"])
    return {
        "requests": counts["requests"],
        "succeeded": succeeded,
        "errors": counts["errors"],
        "blocked": counts["blocked"],
        "priced": counts["priced"],
        "unpriced": counts["unpriced"],
        "spend": to_decimal_string(nanos) if known else None,
        "estimated": counts["estimated"],
        "estimated_spend": to_decimal_string(counts["estimated_nanos"]),
        "share": nanos / total["cost_nanos"] if known and total is not None and total["cost_nanos"] else None,
        "per_request": ratio(nanos, counts["priced"]) if spending else None,
        "per_1k_tokens": ratio(nanos, tokens, 1_000) if spending else None,
        "per_success": ratio(nanos, succeeded) if spending else None,
        "per_quality": ratio(nanos * scored, counts["priced"] * quality, 1_000_000) if spending else None,
        "at_least": bool(counts["unpriced"]),
        "input_tokens": counts["input_tokens"],
        "output_tokens": counts["output_tokens"],
        "cached_tokens": counts["cached_tokens"],
        "output_per_input": (
            counts["output_tokens"] / counts["input_tokens"] if counts["input_tokens"] else None
        ),
        "scored": scored,
        "quality": quality / scored / 1_000_000 if scored else None,
    }


def rows_json(
    groups: Mapping[Group, Spent], total: Spent, starts: Sequence[int], *, overlap: bool
) -> list[dict[str, Any]]:
    """The rows of a table, the most expensive first, those without a known sum last."""
    ordered = sorted(
        groups.items(),
        key=lambda item: (not item[1].known, -item[1]["cost_nanos"], -item[1]["requests"], item[0][1]),
    )
    return [
        {
            "group": name or "none",
            "split": split,
            **measures(spent, None if overlap else total),
            "trend": [to_decimal_string(nanos) for nanos in spent.along("cost_nanos", starts)],
        }
        for (split, name), spent in ordered
    ]
