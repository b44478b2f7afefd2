"""`kt events stats`: counts, errors, latency, tokens and cost by group."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from proxy.base.sanitise import sanitise
from proxy.base.times import now_ms, parse_moment, rfc3339
from proxy.cli.exits import UsageError, exits, say
from proxy.cli.places import default_state_dir, environment, find_gateway

By = Literal["all", "model", "target", "variant", "phase", "key", "decision", "policy", "user"]
_COLUMNS = (
    ("group", 28), ("requests", 10), ("errors", 8), ("error %", 8), ("p50 ms", 9), ("p95 ms", 9),
    ("in tokens", 12), ("out tokens", 12), ("cost $", 14), ("unpriced", 9),
)  # fmt: skip


def stats(
    since: Annotated[
        str, typer.Option(help="A span such as 1h or 7d, or an RFC 3339 time; whole minutes.")
    ] = "1h",
    until: Annotated[str | None, typer.Option(help="End of the window, the same way; exclusive.")] = None,
    by: Annotated[By, typer.Option(help="What to group by.")] = "all",
    filter_text: Annotated[
        str | None, typer.Option("--filter", help="Only events it holds for; read from the store itself.")
    ] = None,
    format: Annotated[Literal["table", "json"], typer.Option(help="How to write them.")] = "table",
    api: Annotated[str | None, typer.Option(help="Address of the control API (KT_API_URL).")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="State directory of the gateway.")] = None,
) -> None:
    """Figures of a window by group. Counts and sums are exact, quantiles at most 1 % off."""
    with exits():
        env = environment()
        state = state_dir or default_state_dir(env)
        now = now_ms()
        window = _moment(since, "--since", now), None if until is None else _moment(until, "--until", now)
        if window[1] is not None and window[1] <= window[0]:
            raise UsageError("--until must be later than --since")
        gateway = None if filter_text else find_gateway(api, state, env)
        if gateway is None:
            groups = asyncio.run(_from_store(state, window, by, filter_text, now))
        else:
            from proxy.cli.api import Api

            parameters = {"group_by": by, "since": rfc3339(window[0])}
            if window[1] is not None:
                parameters["until"] = rfc3339(window[1])
            groups = Api(gateway).get("/v1/metrics/summary", parameters)["groups"]
        if format == "json":
            say(json.dumps(groups))
            return
        _say_table(groups)


def _moment(text: str, option: str, now: int) -> int:
    try:
        return parse_moment(text, now)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option}: {error}") from None


async def _from_store(
    state: Path, window: tuple[int, int | None], by: By, filter_text: str | None, now: int
) -> list[dict[str, Any]]:
    from proxy.cli.events_command import read_filter
    from proxy.control.metrics_routes import groups_json
    from proxy.events.rollups.cells import MINUTE_MS
    from proxy.events.rollups.read import Wanted
    from proxy.events.sqlite_reader import EventReader
    from proxy.events.store import EventQuery

    since = window[0] // MINUTE_MS * MINUTE_MS
    until = None if window[1] is None else -(-window[1] // MINUTE_MS) * MINUTE_MS
    where = read_filter(filter_text)
    reader = EventReader(state / "events.db")
    try:
        if where is not None:
            query = EventQuery(since_ms=since, until_ms=until, where=where)
            return groups_json(await reader.figures(query, by))
        found = await reader.rollups(Wanted(by, since, until))
        return groups_json({value: cell for (_, value), cell in found.cells.items()})
    finally:
        await reader.close()


def _say_table(groups: list[dict[str, Any]]) -> None:
    say(" ".join(name.ljust(width) if name == "group" else name.rjust(width) for name, width in _COLUMNS))
    for group in groups:
        rate, latency = group["error_rate"], group["latency_ms"]
        cells = (
            f"{group['requests']:,}",
            f"{group['errors']:,}",
            "–" if rate is None else f"{rate * 100:.2f}",
            *("–" if latency[q] is None else f"{latency[q]:,.0f}" for q in ("p50", "p95")),
            f"{group['input_tokens']:,}",
            f"{group['output_tokens']:,}",
            group["cost"] or "–",
            f"{group['unpriced']:,}",
        )
        name = sanitise(group["group"], _COLUMNS[0][1])
        numbers = (text.rjust(width) for text, (_, width) in zip(cells, _COLUMNS[1:], strict=True))
        say(" ".join((name.ljust(_COLUMNS[0][1]), *numbers)))
