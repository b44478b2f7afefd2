"""`kt events show`: everything that is known of one request."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from proxy.cli.event_options import ApiOption, FieldsOption, StateOption, TextFormOption, read_fields
from proxy.cli.exits import UsageError, emit_rows, exits, say


def show(
    id: Annotated[
        str, typer.Argument(help="Id of the event (x-kt-request-id of the answer), or its beginning.")
    ],
    body: Annotated[
        bool, typer.Option("--body", help="What was asked and answered too, word for word.")
    ] = False,
    fields: FieldsOption = None,
    format: TextFormOption = "text",
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Everything about one request: timing, tokens, money, policies, attempts, feedback. Reads the store itself when no gateway answers."""
    with exits():
        from proxy.cli.event_source import event_source, whole_id
        from proxy.cli.show_text import detail_lines

        names = read_fields(fields)
        if names is not None and body:
            raise UsageError("--fields chooses among the fields of the event; leave it out to see --body")
        source = event_source(api, state_dir)
        detail = source.detail(whole_id(source, id), body)
        if format == "text" and names is None:
            for line in detail_lines(detail):
                say(line)
            return
        record: dict[str, Any] = dict(detail.event)
        if names is not None:
            from proxy.events.pick import picker

            record = picker(names)(record)
        if body:
            record["bodies"] = detail.bodies
            record["no_bodies"] = detail.no_bodies
        if format == "text":
            from proxy.cli.event_options import value_of
            from proxy.cli.event_writing import cell

            for name in names or ():
                say(f"{name}: {cell(value_of(record, name))}")
        else:
            emit_rows(json.dumps(record, indent=2 if format == "json" else None) + "\n")
