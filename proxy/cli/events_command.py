"""`kt events`: list, follow, show, explain, count and purge events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from proxy.cli.event_options import (
    ApiOption,
    FieldsOption,
    FilterOption,
    FormOption,
    StateOption,
    UntilOption,
    read_fields,
    read_filter,
    read_moment,
)
from proxy.cli.exits import UsageError, end_at_an_interrupt, exits, say
from proxy.cli.explain_command import explain
from proxy.cli.places import default_state_dir, environment, find_gateway
from proxy.cli.purge_command import purge
from proxy.cli.show_command import show
from proxy.cli.stats_command import stats

if TYPE_CHECKING:
    from proxy.cli.api import Api

app = typer.Typer(no_args_is_help=True, help="List, follow, explain and purge events.")


@app.command("list")
def list_events(
    since: Annotated[str, typer.Option(help="A span such as 1h or 7d, or an RFC 3339 time.")] = "1h",
    until: UntilOption = None,
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    filter_text: FilterOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The newest so many.")] = None,
    order: Annotated[
        Literal["newest", "oldest"], typer.Option(help="What comes first, and what --limit keeps.")
    ] = "newest",
    fields: FieldsOption = None,
    format: FormOption = "table",
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Events of a window, newest first. Reads the store itself when no gateway answers."""
    with exits():
        from proxy.cli.event_source import Asked, event_source
        from proxy.cli.event_writing import write_events

        read_moment("--since", since)
        if until is not None:
            read_moment("--until", until)
        read_filter(filter_text)
        names = read_fields(fields)
        asked = Asked(since, until, model, filter_text, limit, order == "oldest", format in ("table", "csv"))
        write_events(event_source(api, state_dir).events(asked), format, names)


@app.command("tail")
def tail_events(
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    filter_text: FilterOption = None,
    since: Annotated[str | None, typer.Option(help="Begin with the events of this span.")] = None,
    fields: FieldsOption = None,
    format: FormOption = "table",
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Events as they happen, until ctrl+c."""
    with exits():
        from proxy.cli.event_writing import write_events

        if format == "json":
            raise UsageError("a tail has no end, so json cannot be written; use table, jsonl or csv")
        if since is not None:
            read_moment("--since", since)
        read_filter(filter_text)
        names = read_fields(fields)
        env = environment()
        gateway = find_gateway(api, state_dir or default_state_dir(env), env)
        if gateway is None:
            raise UsageError("no gateway runs here; start one, or name one with --api")
        from proxy.cli.api import Api

        parameters = {"unknown": "null", **({"model": model} if model else {})}
        parameters |= {"filter": filter_text} if filter_text else {}
        end_at_an_interrupt()
        write_events(_following(Api(gateway), parameters, since), format, names, at_once=True)


def _following(client: Api, parameters: dict[str, str], since: str | None) -> Iterator[dict[str, Any]]:
    start = dict(parameters)
    if since is not None:
        last = None
        earlier = {**parameters, "since": since, "format": "jsonl", "order": "oldest"}
        with client.stream("/v1/events", earlier) as answer:
            for text in answer.iter_lines():
                if text:
                    event = json.loads(text)
                    last = event["seq"]
                    yield event
        if last is not None:
            start["after_seq"] = str(last)
    with client.stream("/v1/events/stream", start, endless=True) as answer:
        for text in answer.iter_lines():
            if text.startswith("data: "):
                yield json.loads(text[6:])


app.command("show")(show)
app.command("explain")(explain)
app.command("stats")(stats)
app.command("purge")(purge)


@app.command("fields")
def list_fields() -> None:
    """What a filter can ask for, with an example of each."""
    with exits():
        from proxy.events.filter.fields import ALL

        width = max(len(field.example) for field in ALL)
        for field in ALL:
            names = f" (also {', '.join(field.aliases)})" if field.aliases else ""
            say(f"{field.example.ljust(width)}  {field.doc}{names}")
        say()
        say(
            "and, or, not, parentheses; has:FIELD; metadata.KEY:VALUE; -7d..-1d; other words: error texts and tags"
        )
