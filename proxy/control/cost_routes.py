"""What was spent, by whom and on what; and what cheaper routing would have cost."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from proxy.base.money import to_decimal_string
from proxy.base.times import parse_span
from proxy.base.worker import WorkerError
from proxy.control.cost_advice import AdviceWanted, advice
from proxy.control.cost_calendar import HISTORY_MS, Moments, moments, project
from proxy.control.cost_figures import (
    CHART_POINTS,
    GROUPINGS,
    OVERLAPPING,
    TREND_POINTS,
    Spent,
    groups_of,
    measures,
    rows_json,
    step_for,
)
from proxy.control.hub import Hub
from proxy.control.jobs import DraftError, portable
from proxy.control.moment import moment_of, now_of
from proxy.control.problems import ApiError, json_response, refused_by_lint
from proxy.events.errors import StoreError
from proxy.events.rollups.cells import DAY_MS, HOUR_MS, MINUTE_MS
from proxy.events.rollups.read import Found, Wanted
from proxy.policy.conditions import zone_of

_SHORTEST_MS = MINUTE_MS
_LONGEST_MS = 400 * DAY_MS


class CostRoutes:
    """Handlers over one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route("/v1/cost", self.cost, methods=["GET"]),
            Route("/v1/cost/advice", self.advice, methods=["GET"]),
        ]

    async def cost(self, request: Request) -> Response:
        """Spend over a window by group, along time and by the calendar."""
        given = request.query_params
        dimension = given.get("group_by", "model")
        if dimension not in GROUPINGS:
            raise ApiError(
                400, "bad_parameter", f"group_by must be one of {', '.join(GROUPINGS)}", "group_by"
            )
        window_ms = _window(given.get("window", "7d"))
        now, until = now_of(request, self._hub), moment_of(request, self._hub)
        grain = HOUR_MS if dimension == "user" else MINUTE_MS
        since = (now - window_ms) // grain * grain
        chart_ms = step_for(window_ms, CHART_POINTS)
        trend_ms = step_for(window_ms, TREND_POINTS, grain)
        whole, parts, models = await asyncio.gather(
            self._read(Wanted("all", since, until, chart_ms, ())),
            self._read(Wanted(dimension, since, until, trend_ms, ())),
            self._read(Wanted("model", since, until, None, ())),
        )
        total = groups_of("all", whole.cells).get((None, "all"), Spent())
        starts = range(since // trend_ms * trend_ms, now + 1, trend_ms)
        overlap = dimension in OVERLAPPING
        return json_response(
            {
                "from": since // 1_000,
                "to": None if until is None else -(-until // MINUTE_MS) * 60,
                "window_s": window_ms // 1_000,
                "group_by": dimension,
                "complete": whole.complete and parts.complete,
                "overlap": overlap,
                "total": measures(total, total),
                "groups": rows_json(groups_of(dimension, parts.cells), total, starts, overlap=overlap),
                "spend": _along(total, since // chart_ms * chart_ms, now, chart_ms),
                "unpriced_models": _unpriced(models),
                "calendar": await self._calendar(now, until),
            }
        )

    async def _calendar(self, now: int, until: int | None) -> dict[str, Any]:
        running = self._hub.config.running
        name = running.policy_file.gateway.timezone if running is not None else "UTC"
        at: Moments = moments(now, zone_of(name))
        this_hour = now // HOUR_MS * HOUR_MS
        month, today, yesterday, hours = await asyncio.gather(
            self._sum(at.month, until),
            self._sum(at.today, until),
            self._sum(at.yesterday, at.yesterday_now),
            self._read(Wanted("all", this_hour - HISTORY_MS, until, HOUR_MS, ())),
        )
        points = groups_of("all", hours.cells).get((None, "all"), Spent()).points
        nanos = {start: spent["cost_nanos"] for start, spent in points.items()}
        first = await self._first(min(points, default=None))
        recorded = first is not None and first * 1_000 < at.yesterday_now
        return {
            "first": first,
            "timezone": name,
            "month": at.month // 1_000,
            "next_month": at.next_month // 1_000,
            "now": now // 1_000,
            "month_so_far": _dollars(month),
            "today": _dollars(today),
            "yesterday": _dollars(yesterday) if recorded else None,
            "unpriced": month["unpriced"],
            "projection": project(month["cost_nanos"], at, nanos).to_json(),
        }

    async def _first(self, hour_ms: int | None) -> int | None:
        """The first minute with a request in the hour at `hour_ms`, in seconds since 1970."""
        if hour_ms is None:
            return None
        found = await self._read(Wanted("all", hour_ms, hour_ms + HOUR_MS, MINUTE_MS, ()))
        return min((start for start, _ in found.cells), default=hour_ms) // 1_000

    async def advice(self, request: Request) -> Response:
        """What recorded requests would have cost elsewhere, by replaying drafts. Nothing is applied."""
        window_ms = _window(request.query_params.get("window", "7d"))
        running = self._hub.config.running
        if running is None:
            raise ApiError(409, "no_policy", "no policy runs, so there is nothing to advise on")
        now, until = now_of(request, self._hub), moment_of(request, self._hub)
        since = (now - window_ms) // MINUTE_MS * MINUTE_MS
        along = await self._read(Wanted("all", since, until, HOUR_MS, ()))
        spent = groups_of("all", along.cells).get((None, "all"), Spent())
        covered = now - max(min(spent.points, default=now), since)
        wanted = AdviceWanted(running.text, since, until, now, spent["cost_nanos"], covered)
        surroundings = portable(self._hub.config.surroundings())
        try:
            found = await self._hub.worker.run(
                advice, self._hub.state_dir / "events.db", wanted, surroundings
            )
        except DraftError as error:
            raise refused_by_lint(error.diagnostics) from None
        except StoreError as error:
            raise ApiError(503, "store", str(error)) from None
        except WorkerError as error:
            raise ApiError(503, "worker", str(error)) from None
        return json_response(found)

    async def _sum(self, since: int, until: int | None) -> Spent:
        if until is not None and until <= since:
            return Spent()
        found = await self._read(Wanted("all", since, until, None, ()))
        return groups_of("all", found.cells).get((None, "all"), Spent())

    async def _read(self, wanted: Wanted) -> Found:
        try:
            return await self._hub.store.rollups(wanted)
        except StoreError as error:
            raise ApiError(503, "store", str(error)) from None


def _window(text: str) -> int:
    span = parse_span(text)
    if span is None or not _SHORTEST_MS <= span <= _LONGEST_MS:
        raise ApiError(400, "bad_parameter", "window must be a span from 1m to 400d, such as 7d", "window")
    return span


def _along(total: Spent, first: int, now: int, step_ms: int) -> dict[str, Any]:
    starts = range(first, now + 1, step_ms)
    return {
        "step_s": step_ms // 1_000,
        "times": [start // 1_000 for start in starts],
        "values": [to_decimal_string(nanos) for nanos in total.along("cost_nanos", starts)],
        **{
            name: total.along(name, starts)
            for name in ("requests", "priced", "input_tokens", "output_tokens")
        },
    }


def _unpriced(models: Found) -> list[dict[str, Any]]:
    found = [(spent["unpriced"], name) for (_, name), spent in groups_of("model", models.cells).items()]
    return [
        {"model": name, "requests": number}
        for number, name in sorted(found, key=lambda item: (-item[0], item[1]))
        if number
    ]


def _dollars(spent: Spent) -> str | None:
    """None: requests were answered and the cost of none is known."""
    return to_decimal_string(spent["cost_nanos"]) if spent.known else None
