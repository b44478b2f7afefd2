"""`kt events explain`: why one recorded request went where it went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import quote

import typer

from proxy.cli.exits import ProblemError, UsageError, emit, exits, say
from proxy.cli.places import default_state_dir, environment, find_gateway


def explain(
    id: Annotated[str, typer.Argument(help="Id of the event: x-kt-request-id of the answer.")],
    format: Annotated[Literal["text", "json"], typer.Option(help="How to say it.")] = "text",
    api: Annotated[str | None, typer.Option(help="Address of the control API (KT_API_URL).")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="State directory of the gateway.")] = None,
) -> None:
    """Why a request went where it went, under the version that ran. Reads the stores itself when no gateway answers."""
    with exits():
        env = environment()
        state = state_dir or default_state_dir(env)
        gateway = find_gateway(api, state, env)
        if gateway is not None:
            from proxy.cli.api import Api

            answer = Api(gateway).get(f"/v1/events/{quote(id, safe='')}/explain")
        else:
            answer = _offline(state, id)
        if format == "json":
            emit(json.dumps(answer, indent=2) + "\n")
        else:
            say(answer["text"])


def _offline(state: Path, event_id: str) -> dict[str, Any]:
    from proxy.control.explain_jobs import explain_event
    from proxy.events.errors import StoreError

    if not (state / "events.db").exists():
        raise UsageError(
            f"no gateway runs and there is no event store in {state}; name one with --state-dir or --api"
        )
    try:
        answer = explain_event(state, event_id)
    except StoreError as error:
        raise ProblemError(str(error)) from None
    if answer is None:
        raise ProblemError(f"there is no event {event_id} in {state}")
    return answer
