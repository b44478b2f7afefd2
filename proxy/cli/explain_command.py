"""`kt events explain`: why one recorded request went where it went."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from proxy.cli.event_options import ApiOption, StateOption, TextFormOption, no_store
from proxy.cli.exits import ProblemError, emit_rows, exits, say
from proxy.cli.places import default_state_dir, environment, find_gateway


def explain(
    id: Annotated[
        str, typer.Argument(help="Id of the event (x-kt-request-id of the answer), or its beginning.")
    ],
    format: TextFormOption = "text",
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Why a request went where it went, under the version that ran. Reads the stores itself when no gateway answers."""
    with exits():
        from proxy.cli.event_source import event_source, whole_id

        env = environment()
        state = state_dir or default_state_dir(env)
        event_id = whole_id(event_source(api, state_dir), id)
        gateway = find_gateway(api, state, env)
        if gateway is not None:
            from proxy.cli.api import Api

            answer = Api(gateway).get(f"/v1/events/{quote(event_id, safe='')}/explain")
        else:
            answer = _offline(state, event_id)
        if format == "text":
            say(answer["text"])
        else:
            emit_rows(json.dumps(answer, indent=2 if format == "json" else None) + "\n")


def _offline(state: Path, event_id: str) -> dict[str, Any]:
    from proxy.control.explain_jobs import explain_event
    from proxy.events.errors import StoreError

    if not (state / "events.db").exists():
        raise no_store(state)
    try:
        answer = explain_event(state, event_id)
    except StoreError as error:
        raise ProblemError(str(error)) from None
    if answer is None:
        raise ProblemError(f"there is no event {event_id} in {state}")
    return answer
