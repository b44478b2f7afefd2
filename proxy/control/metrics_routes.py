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
from proxy.control.moment import moment_of, now_of
from proxy.control.problems import ApiError, json_response
from proxy.events.errors import StoreError
from proxy.events.live_metrics import SETTLE_MS, Series, SeriesLine
from proxy.events.metrics import METRICS, Tally
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
        group_by = _group_by(given)
        window_ms, step_ms = _span(given, "window", "15m"), _span(given, "step", "10s")
        moment = moment_of(request, self._hub)
        now = now_of(request, self._hub)
        if window_ms <= LIVE_MS and moment is None and group_by in ("all", "variant"):
            live = self._hub.metrics.series(
                metric,
                "variant" if group_by == "variant" else "all",
                window_ms // 1_000,
                step_ms // 1_000,
                now,
            )
            return json_response(live.to_json())
        smallest = HOUR_MS if group_by == "user" else MINUTE_MS
        step_ms = max(
            smallest, -(-step_ms // smallest) * smallest, -(-window_ms // MAX_POINTS // smallest) * smallest
        )
        first = (now - window_ms) // step_ms * step_ms
        wanted = Wanted(group_by, first, moment, step_ms, _sketches(metric))
        return json_response(self._series(await self._read(wanted), metric, wanted, now).to_json())

    def _series(self, found: Found, metric: str, wanted: Wanted, now: int) -> Series:
        step_ms = wanted.step_ms or MINUTE_MS
        starts = list(range(wanted.since_ms, now + 1, step_ms))
        groups: dict[tuple[str | None, str], dict[int, Tally]] = defaultdict(dict)
        for (start, value), cell in found.cells.items():
            points = groups[named(wanted.dimension, value)]
            if start in points:
                points[start].merge(tally(cell))
            else:
                points[start] = tally(cell)
        known = METRICS[metric]
        lines = []
        largest = sorted(groups, key=lambda name: -sum(t.requests for t in groups[name].values()))[:MAX_LINES]
        for name in sorted(largest, key=lambda name: (name[0] or "", name[1])):
            points = groups[name]
            values = [known.value(points[start]) if start in points else None for start in starts]
            if (
                known.settles
                and starts[-1] + step_ms > now - SETTLE_MS
                and any(v is not None for v in values[:-1])
            ):
                values[-1] = None
            whole = Tally()
            for point in points.values():
                whole.merge(point, sketches=known.sketched)
            lines.append(SeriesLine(name[1], name[0], values, known.value(whole)))
        return Series(
            metric=metric,
            unit=known.unit,
            step_s=step_ms // 1_000,
            from_s=wanted.since_ms / 1_000,
            to_s=now / 1_000,
            times=[start // 1_000 for start in starts],
            series=lines,
            markers=self._hub.metrics.markers_between(wanted.since_ms / 1_000, now / 1_000),
        )

    async def _read(self, wanted: Wanted) -> Found:
        try:
            return await self._hub.store.rollups(wanted)
        except StoreError as error:
            raise ApiError(503, "store", str(error)) from None


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
    if not METRICS[metric].sketched:
        return ()
    return ("ttft",) if metric.startswith("ttft") else ("latency",)


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
