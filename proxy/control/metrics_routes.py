"""Figures of traffic: the last hour from memory, longer windows from the roll-ups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.base.money import to_decimal_string
from proxy.base.times import parse_moment, parse_span
from proxy.control.hub import Hub
from proxy.control.markers import Markers
from proxy.control.moment import moment_of, now_of
from proxy.control.problems import ApiError, json_response
from proxy.events.errors import StoreError
from proxy.events.live_metrics import SETTLE_MS, Marker, Series, SeriesLine
from proxy.events.metrics import METRICS, Metric, Tally
from proxy.events.rollups.cells import COUNTS, DAY_MS, DIMENSIONS, HOUR_MS, MINUTE_MS, Cell
from proxy.events.rollups.read import Found, Wanted, tally

LIVE_MS = HOUR_MS
"""What is kept in memory."""
_LONGEST_MS = 400 * DAY_MS
MAX_POINTS = 1_500
MAX_LINES = 64
"""Of a chart; the groups with the most requests."""


class MetricsRoutes:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/v1/metrics/summary", self.summary, methods=["GET"]),
            Route("/v1/metrics/series", self.series, methods=["GET"]),
        ]

    async def summary(self, request: Request) -> Response:
        """Requests, errors, latency and cost: of the last moments, or by group over a window."""
        given = request.query_params
        window_ms = _span(given, "window", "60s")
        moment = moment_of(request, self._hub)
        if window_ms <= LIVE_MS and moment is None and not {"group_by", "since", "until"} & given.keys():
            return json_response(
                self._hub.metrics.summary(window_ms // 1_000, self._hub.clock_ms()).to_json()
            )
        now = now_of(request, self._hub)
        since = _moment(given, "since", now)
        until = _moment(given, "until", now)
        if moment is not None:
            until = moment if until is None else min(until, moment)
        since = now - window_ms if since is None else since
        if until is not None and until <= since:
            raise ApiError(400, "bad_parameter", "until must be later than since", "until")
        found = await self._read(Wanted(_group_by(given), since // MINUTE_MS * MINUTE_MS, until))
        return json_response(
            {
                "from": since // MINUTE_MS * 60,
                "to": None if until is None else -(-until // MINUTE_MS) * 60,
                "group_by": _group_by(given),
                "complete": found.complete,
                "groups": groups_json({value: cell for (_, value), cell in found.cells.items()}),
            }
        )

    async def series(self, request: Request) -> Response:
        """One metric along time."""
        given = request.query_params
        metric = given.get("metric", "")
        if metric not in METRICS:
            raise ApiError(400, "bad_parameter", f"metric must be one of {', '.join(METRICS)}", "metric")
        group_by, step_ms = _group_by(given), _span(given, "step", "10s")
        moment, clock = moment_of(request, self._hub), self._hub.clock_ms()
        first, end = _bounds(given, now_of(request, self._hub))
        if moment is None and clock - first <= LIVE_MS and group_by in ("all", "variant"):
            live = self._hub.metrics.series(
                metric,
                "variant" if group_by == "variant" else "all",
                (end - first) // 1_000,
                step_ms // 1_000,
                end,
                clock,
            )
            return json_response(live.to_json())
        smallest = HOUR_MS if group_by == "user" else MINUTE_MS
        step_ms = max(
            smallest,
            -(-step_ms // smallest) * smallest,
            -(-(end - first) // MAX_POINTS // smallest) * smallest,
        )
        until = None if end >= clock else end
        wanted = Wanted(group_by, first // step_ms * step_ms, until, step_ms, _sketches(metric))
        found = await self._read(wanted)
        markers = await Markers(self._hub).between(wanted.since_ms, end, step_ms)
        return json_response(_series(found, metric, wanted, end, clock, markers).to_json())

    async def _read(self, wanted: Wanted) -> Found:
        try:
            return await self._hub.store.rollups(wanted)
        except StoreError as error:
            raise ApiError(503, "store", str(error)) from None


def _bounds(given: Mapping[str, str], now: int) -> tuple[int, int]:
    """Where a chart begins and ends: `since` and `until`, else the `window` up to now."""
    window_ms = _span(given, "window", "15m")
    until = _moment(given, "until", now)
    end = now if until is None else min(until, now)
    since = _moment(given, "since", now)
    first = end - window_ms if since is None else since
    if not 1_000 <= end - first <= _LONGEST_MS:
        raise ApiError(400, "bad_parameter", "since must be 1s to 400d before until", "since")
    return first, end


def _series(found: Found, metric: str, wanted: Wanted, end: int, clock: int, markers: list[Marker]) -> Series:
    step_ms = wanted.step_ms or MINUTE_MS
    starts = list(range(wanted.since_ms, end + 1, step_ms))
    groups: dict[tuple[str | None, str], dict[int, Tally]] = defaultdict(dict)
    for (start, value), cell in found.cells.items():
        points = groups[named(wanted.dimension, value)]
        if start in points:
            points[start].merge(tally(cell))
        else:
            points[start] = tally(cell)
    largest = sorted(groups, key=lambda name: -sum(t.requests for t in groups[name].values()))[:MAX_LINES]
    lines = [
        _line(METRICS[metric], name, groups[name], starts, step_ms, end, clock)
        for name in sorted(largest, key=lambda name: (name[0] or "", name[1]))
    ]
    return Series(
        metric=metric,
        unit=METRICS[metric].unit,
        step_s=step_ms // 1_000,
        from_s=wanted.since_ms / 1_000,
        to_s=end / 1_000,
        times=[start // 1_000 for start in starts],
        series=lines,
        markers=markers,
    )


def _line(
    known: Metric,
    name: tuple[str | None, str],
    points: dict[int, Tally],
    starts: list[int],
    step_ms: int,
    end: int,
    clock: int,
) -> SeriesLine:
    def seconds(start: int, stop: int) -> float:
        return max(min(stop, end) - start, 1_000) / 1_000

    values = [
        known.value(points[start], seconds(start, start + step_ms)) if start in points else None
        for start in starts
    ]
    unsettled = known.settles and starts[-1] + step_ms > clock - SETTLE_MS
    if unsettled and any(value is not None for value in values[:-1]):
        values[-1] = None
    whole = Tally()
    for point in points.values():
        whole.merge(point, sketches=bool(known.sketch))
    return SeriesLine(name[1], name[0], values, known.value(whole, seconds(starts[0], end)), whole.requests)


def named(dimension: str, value: str) -> tuple[str | None, str]:
    """(split, name) of a group; the salts of a variant are one line."""
    if dimension in ("variant", "phase"):
        split, name, *_ = msgspec.json.decode(value)
        return split, name
    return None, value if dimension != "all" else "all"


def groups_json(cells: Mapping[str, Cell]) -> list[dict[str, Any]]:
    """The groups of a summary, most requests first."""
    groups = [group_json(value, cell) for value, cell in cells.items()]
    return sorted(groups, key=lambda group: (-group["requests"], group["group"]))


def group_json(value: str, cell: Cell) -> dict[str, Any]:
    """One group of a summary: exact counts and sums, and quantiles at most 1 % off."""
    counts = dict(zip(COUNTS, cell.counts, strict=True))
    cost_nanos = counts.pop("cost_nanos")
    latency, ttft = cell.sketches[0].quantiles((0.5, 0.95, 0.99)), cell.sketches[1].quantiles((0.5, 0.95))
    requests = counts["requests"]
    return {
        "group": value or "all",
        **counts,
        "cost": to_decimal_string(cost_nanos) if counts["priced"] else None,
        "error_rate": counts["errors"] / requests if requests else None,
        "latency_ms": dict(zip(("p50", "p95", "p99"), latency, strict=True)),
        "ttft_ms": dict(zip(("p50", "p95"), ttft, strict=True)),
    }


def _sketches(metric: str) -> tuple[str, ...]:
    sketch = METRICS[metric].sketch
    return (sketch,) if sketch else ()


def _group_by(given: Mapping[str, str]) -> str:
    group_by = given.get("group_by", "all")
    if group_by not in DIMENSIONS:
        raise ApiError(400, "bad_parameter", f"group_by must be one of {', '.join(DIMENSIONS)}", "group_by")
    return group_by


def _span(given: Mapping[str, str], name: str, default: str) -> int:
    span = parse_span(given.get(name, default))
    if span is None or not 1_000 <= span <= _LONGEST_MS:
        raise ApiError(
            400, "bad_parameter", f"{name} must be a span from 1s to 400d, such as {default}", name
        )
    return span


def _moment(given: Mapping[str, str], name: str, now: int) -> int | None:
    if name not in given:
        return None
    try:
        return parse_moment(given[name], now)
    except (ValueError, OverflowError) as error:
        raise ApiError(400, "bad_parameter", f"{name}: {error}", name) from None
