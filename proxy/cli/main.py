"""The commands of `kt`. Heavy imports happen inside the command that needs them."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli import (
    events_command,
    export_command,
    gateway_command,
    keys_command,
    policy_command,
    prices_command,
)
from proxy.cli.event_options import ApiOption, StateOption
from proxy.cli.exits import PROBLEMS, UsageError, emit, exits, say
from proxy.cli.places import default_state_dir, environment, find_gateway, read_token

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="An LLM gateway, its policy file and its events, without a screen.",
)
app.add_typer(gateway_command.app, name="gateway")
app.add_typer(policy_command.app, name="policy")
app.add_typer(events_command.app, name="events")
app.add_typer(export_command.app, name="export")
app.add_typer(keys_command.app, name="keys")
app.add_typer(prices_command.app, name="prices")


@app.command("doctor")
def doctor(
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """What runs, what differs from the file, and what is not enforced: exit 1 when something is wrong."""
    with exits():
        from proxy.cli.api import Api
        from proxy.cli.doctor_command import examine

        env = environment()
        gateway = find_gateway(api, state_dir or default_state_dir(env), env)
        if gateway is None:
            raise UsageError("no gateway runs here; start one with kt gateway run, or name one with --api")
        findings = list(examine(Api(gateway).get("/v1/status")))
        for finding in findings:
            say(str(finding))
    raise typer.Exit(PROBLEMS if any(finding.mark == "✗" for finding in findings) else 0)


@app.command("token")
def token(
    state_dir: Annotated[Path | None, typer.Option(help="State directory of the gateway.")] = None,
) -> None:
    """Write the operator's token of the control API, for curl."""
    with exits():
        env = environment()
        emit(read_token(state_dir or default_state_dir(env), env).reveal() + "\n")


@app.command("version")
def show_version() -> None:
    """Write the version."""
    with exits():
        from importlib.metadata import version

        say(version("ktui"))


def main() -> None:
    """Entry point of the console script."""
    # No plug-in of pydantic is ours; looking for them reads every installed package at every start.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    try:
        app()
    finally:
        # What is left goes with the process; looking for cycles in it first takes as long as a lint.
        gc.freeze()
