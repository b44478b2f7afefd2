"""`kt export`: events in a file, what was exported, and whether a file is still what it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from proxy.base.times import now_ms, parse_moment, rfc3339
from proxy.cli.event_options import ApiOption, FilterOption, StateOption, read_filter
from proxy.cli.exits import UsageError, emit, exits, say
from proxy.cli.places import default_state_dir, environment, find_gateway

app = typer.Typer(no_args_is_help=True, help="Write events to a file, list and verify such files.")

Form = Literal["json", "jsonl", "csv", "parquet"]


@app.command("create")
def create(
    type: Annotated[Literal["events"], typer.Option(help="What is exported.")] = "events",
    format: Annotated[Form, typer.Option(help="Of the file; parquet needs the extra `parquet`.")] = "jsonl",
    since: Annotated[str, typer.Option(help="A span such as 7d, or an RFC 3339 time.")] = "7d",
    until: Annotated[str | None, typer.Option(help="Where the window ends, exclusive; now.")] = None,
    filter_text: FilterOption = None,
    out: Annotated[Path | None, typer.Option(help="The file; events-TIME.FORMAT here.")] = None,
    description: Annotated[str, typer.Option(help="What it is for; kept in its manifest.")] = "",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an unfinished one.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Begin anew over what is there.")] = False,
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Write the events of a window to a file, newest first. Stopped half way, the same command goes on."""
    with exits():
        from proxy.cli.export_progress import amount
        from proxy.cli.export_run import choose, run
        from proxy.events.export import Request

        _check("--since", since)
        _check("--until", until)
        read_filter(filter_text)
        if resume and overwrite:
            raise UsageError("--resume goes on and --overwrite begins anew; give one of them")
        env = environment()
        state = (state_dir or default_state_dir(env)).absolute()
        gateway = find_gateway(api, state, env)
        named = api or env.get("KT_API_URL")
        origin = gateway.api if gateway is not None and named else str(state)
        asked = Request(type, format, since, until, filter_text, description, origin)
        path, request = choose(state, asked, out, resume)
        manifest = run(path, request, state, gateway, overwrite)
        say(f"{path}: {amount(manifest)}, sha256 {manifest.sha256}")


def _check(option: str, text: str | None) -> None:
    try:
        if text is not None:
            parse_moment(text, now_ms())
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option}: {error}") from None


@app.command("list")
def list_exports(
    format: Annotated[Literal["table", "json"], typer.Option(help="How to write them.")] = "table",
    state_dir: StateOption = None,
) -> None:
    """Exports made so far, finished and unfinished, oldest first."""
    with exits():
        from proxy.cli.export_index import entries

        found = list(entries(state_dir or default_state_dir(environment())))
        if format == "json":
            emit(json.dumps([_entry_json(entry) for entry in found], indent=2) + "\n")
            return
        for entry in found:
            for line in _entry_lines(entry):
                say(line)


def _entry_json(entry: Any) -> dict[str, Any]:
    manifest = entry.manifest
    about: dict[str, Any] = {"path": str(entry.path), "state": entry.state}
    if manifest is None:
        return about
    request = manifest.request
    return {
        **about,
        "type": request.type,
        "format": request.format,
        "since": request.since,
        "until": request.until,
        "filter": request.filter,
        "description": request.description,
        "asked": rfc3339(manifest.asked_ms),
        "rows": manifest.rows,
        "size": manifest.size,
        "sha256": manifest.sha256,
    }


def _entry_lines(entry: Any) -> list[str]:
    from proxy.cli.export_progress import amount

    manifest = entry.manifest
    if manifest is None:
        return [f"{entry.state:<10}  {entry.path}"]
    request = manifest.request
    lines = [
        f"{entry.state:<10}  {entry.path}",
        f"{'':<10}  {rfc3339(manifest.asked_ms)[:19]}Z, since {request.since}, {amount(manifest)}"
        f"{', sha256 ' + manifest.sha256 if manifest.sha256 else ''}",
    ]
    told = [request.description, f"filter: {request.filter}" if request.filter else ""]
    return lines + [f"{'':<10}  {text}" for text in told if text]


@app.command("verify")
def verify(file: Annotated[Path, typer.Argument(help="A file that kt export create wrote.")]) -> None:
    """Compare a file with the checksum in its manifest; exit 1 when it is not what it was."""
    with exits():
        from proxy.cli.export_progress import amount
        from proxy.cli.export_run import verify as verified

        path = file.absolute()
        manifest = verified(path)
        say(f"{path}: {amount(manifest)}, sha256 {manifest.sha256}, as it was written")
