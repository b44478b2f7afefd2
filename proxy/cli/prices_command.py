"""`kt prices`: what models cost, which have no price, and what requests cost at prices that came later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from proxy.cli.exits import PROBLEMS, ProblemError, UsageError, emit, exits, say
from proxy.cli.places import default_state_dir, environment, find_gateway
from proxy.cli.reprice_command import reprice

app = typer.Typer(no_args_is_help=True, help="What models cost, and which have no price.")

Format = Annotated[Literal["table", "json"], typer.Option(help="How to write them.")]
FileOption = Annotated[
    Path | None, typer.Option(help="Prices as this policy file has them, without a gateway.")
]
ApiOption = Annotated[str | None, typer.Option(help="Address of the control API (KT_API_URL).")]
StateOption = Annotated[Path | None, typer.Option(help="State directory of the gateway.")]

_COLUMNS = ("model", "target", "input", "output", "cached_input", "cache_write", "source")


@app.command("show")
def show(
    model: Annotated[list[str] | None, typer.Argument(help="Only these models.")] = None,
    file: FileOption = None,
    format: Format = "table",
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Dollars per million tokens of every model that is served by name, and who says so."""
    with exits():
        prices = _prices(file, api, state_dir, "24h")["prices"]
        if model:
            prices = [row for row in prices if row["model"] in model]
            unknown = sorted(set(model) - {row["model"] for row in prices})
            if unknown:
                raise ProblemError(f"{', '.join(unknown)}: not a model that is served by name here")
        if format == "json":
            emit(json.dumps(prices, indent=2) + "\n")
        else:
            _say_table([_COLUMNS, *([_cell(row[name]) for name in _COLUMNS] for row in prices)])
            say("dollars per million tokens; - is not known, or costs what input costs")


@app.command("missing")
def missing(
    since: Annotated[str, typer.Option(help="A span such as 24h, or an RFC 3339 time.")] = "24h",
    file: FileOption = None,
    format: Format = "table",
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Models without a price, and how many requests had no cost for it: exit 1 when there are any."""
    with exits():
        found = _prices(file, api, state_dir, since)
        counts = {(row["target"], row["model"]): row["requests"] for row in found["unpriced"]}
        for row in found["prices"]:
            if row["source"] is None:
                counts.setdefault((row["target"], row["model"]), 0)
        rows = [{"target": key[0], "model": key[1], "requests": count} for key, count in counts.items()]
        if format == "json":
            emit(json.dumps(rows, indent=2) + "\n")
        elif rows:
            _say_table(
                [
                    ("model", "target", "requests without a cost"),
                    *((row["model"], row["target"] or "-", str(row["requests"])) for row in rows),
                ]
            )
            say("name a price: `prices: {MODEL: {input: .., output: ..}}`, or `price_as:` at the target")
        else:
            say("every model has a price")
    raise typer.Exit(PROBLEMS if rows else 0)


app.command("reprice")(reprice)


def _prices(file: Path | None, api: str | None, state_dir: Path | None, since: str) -> dict[str, Any]:
    env = environment()
    if file is not None:
        return {"prices": _prices_of_file(file, env), "unpriced": []}
    gateway = find_gateway(api, state_dir or default_state_dir(env), env)
    if gateway is None:
        raise UsageError("no gateway runs here; name a policy file with --file, or a gateway with --api")
    from proxy.cli.api import Api

    answer: dict[str, Any] = Api(gateway).get("/v1/prices", {"since": since})
    return answer


def _prices_of_file(path: Path, env: dict[str, str]) -> list[dict[str, Any]]:
    from proxy.cli.policy_snapshot import snapshot_of
    from proxy.service.data_plane_view import snapshot_prices

    return [item.to_json() for item in snapshot_prices(snapshot_of(path, env))]


def _cell(value: object) -> str:
    return "-" if value is None else str(value)


def _say_table(rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
