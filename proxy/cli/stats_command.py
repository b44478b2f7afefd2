"""`kt events stats`: counts, errors, latency, tokens and cost by group."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from proxy.base.sanitise import sanitise
from proxy.base.times import now_ms, rfc3339
from proxy.cli.event_options import (
    ApiOption,
    Form,
    FormOption,
    StateOption,
    no_store,
    read_filter,
    read_moment,
)
from proxy.cli.exits import ProblemError, UsageError, emit_rows, exits, say
from proxy.cli.places import default_state_dir, environment, find_gateway
from proxy.events.wire_form import Number, csv_cell

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
    format: FormOption = "table",
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Figures of a window by group. Counts and sums are exact, quantiles at most 1 % off."""
    with exits():
        env = environment()
        state = state_dir or default_state_dir(env)
        now = now_ms()
        window = (
            read_moment("--since", since, now),
            None if until is None else read_moment("--until", until, now),
        )
        read_filter(filter_text)
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
        _write(groups, format)


def _write(groups: list[dict[str, Any]], form: Form) -> None:
    if form == "json":
        emit_rows(json.dumps(groups) + "\n")
    elif form == "jsonl":
        emit_rows("".join(json.dumps(group) + "\n" for group in groups))
    elif form == "csv":
        emit_rows(_csv(groups))
    else:
        _say_table(groups)


def _csv(groups: list[dict[str, Any]]) -> str:
    """Quantiles as `latency_ms_p50` and so on; an empty cell where nothing is known."""
    rows = [_flat(group) for group in groups]
    names = list(dict.fromkeys(name for row in rows for name in row)) or ["group"]
    lines = [",".join(names)]
    for row in rows:
        cells = (Number(row[name]) if name == "cost" and row.get(name) else row.get(name) for name in names)
        lines.append(",".join(csv_cell(cell) for cell in cells))
    return "".join(f"{line}\r\n" for line in lines)


def _flat(record: dict[str, Any], before: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{before}{name}_")
        else:
            flat[before + name] = value
    return flat


async def _from_store(
    state: Path, window: tuple[int, int | None], by: By, filter_text: str | None, now: int
) -> list[dict[str, Any]]:
    from proxy.control.metrics_routes import groups_json
    from proxy.events.errors import StoreError
    from proxy.events.rollups.cells import MINUTE_MS
    from proxy.events.rollups.read import Wanted
    from proxy.events.sqlite_reader import EventReader
    from proxy.events.store import EventQuery

    since = window[0] // MINUTE_MS * MINUTE_MS
    until = None if window[1] is None else -(-window[1] // MINUTE_MS) * MINUTE_MS
    where = read_filter(filter_text)
    if not (state / "events.db").exists():
        raise no_store(state)
    reader = EventReader(state / "events.db")
    try:
        if where is not None:
            query = EventQuery(since_ms=since, until_ms=until, where=where)
            return groups_json(await reader.figures(query, by))
        found = await reader.rollups(Wanted(by, since, until))
        return groups_json({value: cell for (_, value), cell in found.cells.items()})
    except StoreError as error:
        raise ProblemError(str(error)) from None
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
