"""`kt events`: list and follow events."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from proxy.base.times import now_ms, parse_moment
from proxy.cli.exits import USAGE, UsageError, complain_lines, emit, exits, flush, say
from proxy.cli.explain_command import explain
from proxy.cli.places import default_state_dir, environment, find_gateway
from proxy.cli.stats_command import stats

if TYPE_CHECKING:
    from proxy.cli.api import Api
    from proxy.events.filter import Expression
    from proxy.events.store import EventQuery

app = typer.Typer(no_args_is_help=True, help="List, follow and explain events.")
app.command("explain")(explain)
app.command("stats")(stats)

Format = Literal["table", "json", "jsonl", "csv"]
ApiOption = Annotated[str | None, typer.Option(help="Address of the control API (KT_API_URL).")]
FilterOption = Annotated[
    str | None, typer.Option("--filter", help="Only events it holds for; kt events fields lists the fields.")
]
StateOption = Annotated[Path | None, typer.Option(help="State directory of the gateway.")]


@app.command("list")
def list_events(
    since: Annotated[str, typer.Option(help="A span such as 1h or 7d, or an RFC 3339 time.")] = "1h",
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    filter_text: FilterOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="The newest so many.")] = None,
    format: Annotated[Format, typer.Option(help="How to write them.")] = "table",
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Events of a window, newest first. Reads the store itself when no gateway answers."""
    with exits():
        env = environment()
        state = state_dir or default_state_dir(env)
        _check_moment(since)
        where = read_filter(filter_text)
        gateway = find_gateway(api, state, env)
        if gateway is None:
            _list_store(state, _query(since, model, where, limit), format)
            return
        parameters = {"since": since, "format": "jsonl" if format == "table" else format}
        parameters |= {"model": model} if model else {}
        parameters |= {"limit": str(limit)} if limit else {}
        parameters |= {"filter": filter_text} if filter_text else {}
        if format == "table":
            parameters["unknown"] = "null"
        from proxy.cli.api import Api

        with Api(gateway).stream("/v1/events", parameters) as answer:
            if format == "table":
                _say_table(json.loads(text) for text in answer.iter_lines() if text)
            else:
                for part in answer.iter_text():
                    emit(part)
        flush()


@app.command("tail")
def tail_events(
    model: Annotated[str | None, typer.Option(help="Only this model.")] = None,
    filter_text: FilterOption = None,
    since: Annotated[str | None, typer.Option(help="Begin with the events of this span.")] = None,
    format: Annotated[Format, typer.Option(help="How to write them.")] = "table",
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Events as they happen, until ctrl+c."""
    with exits():
        env = environment()
        if format == "csv" or format == "json":
            raise UsageError(f"a tail has no end, so {format} cannot be written; use table or jsonl")
        read_filter(filter_text)
        gateway = find_gateway(api, state_dir or default_state_dir(env), env)
        if gateway is None:
            raise UsageError("no gateway runs here; start one, or name one with --api")
        from proxy.cli.api import Api
        from proxy.cli.event_table import heading, line

        client = Api(gateway)
        if format == "table":
            say(heading())
            flush()
        parameters = {"unknown": "null", **({"model": model} if model else {})}
        parameters |= {"filter": filter_text} if filter_text else {}
        for event in _following(client, parameters, since):
            if format == "table":
                say(line(event))
            else:
                emit(json.dumps(event) + "\n")
            flush()


def _following(client: Api, parameters: dict[str, str], since: str | None) -> Iterator[dict[str, Any]]:
    start = dict(parameters)
    if since is not None:
        _check_moment(since)
        earlier = client.get("/v1/events", {**parameters, "since": since})
        yield from sorted(earlier, key=lambda event: int(event["seq"]))
        if earlier:
            start["after_seq"] = str(max(event["seq"] for event in earlier))
    with client.stream("/v1/events/stream", start, endless=True) as answer:
        for text in answer.iter_lines():
            if text.startswith("data: "):
                yield json.loads(text[6:])


def _check_moment(text: str) -> None:
    try:
        parse_moment(text, now_ms())
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--since: {error}") from None


def read_filter(text: str | None) -> Expression | None:
    """The filter, read. Raises UsageError that points at what is wrong in it."""
    if text is None:
        return None
    from proxy.events.filter import FilterError, parse

    try:
        return parse(text, now_ms())
    except FilterError as error:
        marks = " " * error.start + "^" * (error.end - error.start)
        complain_lines(f"--filter: {error}", f"  {text}", f"  {marks}")
        raise typer.Exit(USAGE) from None


def _query(since: str, model: str | None, where: Expression | None, limit: int | None) -> EventQuery:
    from proxy.events.store import EventQuery

    return EventQuery(since_ms=parse_moment(since, now_ms()), model=model, limit=limit, where=where)


def _list_store(state: Path, query: EventQuery, format: Format) -> None:
    path = state / "events.db"
    if not path.exists():
        raise UsageError(
            f"no gateway runs and there is no event store in {state}; name one with --state-dir or --api"
        )
    import asyncio

    asyncio.run(_write_store(path, query, format))


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


async def _write_store(path: Path, query: EventQuery, format: Format) -> None:
    from proxy.cli.event_table import heading, line
    from proxy.events.sqlite_reader import EventReader
    from proxy.events.wire_form import csv_header, csv_row, event_json

    reader = EventReader(path)
    try:
        if format == "csv":
            emit(csv_header())
            async for event in reader.query(query):
                emit(csv_row(event))
        elif format == "table":
            say(heading())
            async for event in reader.query(query):
                say(line(event_json(event, unknown_null=True)))
        elif format == "jsonl":
            async for event in reader.query(query):
                emit(json.dumps(event_json(event)) + "\n")
        else:
            separator = "["
            async for event in reader.query(query):
                emit(separator + json.dumps(event_json(event)))
                separator = ",\n"
            emit("[]\n" if separator == "[" else "]\n")
    finally:
        await reader.close()
    sys.stdout.flush()


def _say_table(events: Iterator[dict[str, Any]]) -> None:
    from proxy.cli.event_table import heading, line

    say(heading())
    for event in events:
        say(line(event))
