"""`kt policy simulate`: a draft replayed over recorded requests."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from proxy.base.times import now_ms, parse_moment
from proxy.cli.exits import FINE, PROBLEMS, ProblemError, UsageError, complain_lines, emit, exits, say
from proxy.cli.places import default_state_dir, environment, find_gateway
from proxy.cli.policy_texts import name_of, read_text, surroundings

FailOn = Literal["none", "blocked", "changed"]
_SHOWN = 10
"""Rows of each list; JSON has them all."""


def simulate(
    file: Annotated[Path, typer.Option(help="The draft.")],
    since: Annotated[str | None, typer.Option(help="A span such as 24h, or an RFC 3339 time.")] = None,
    last: Annotated[int, typer.Option(min=1, max=100_000, help="The newest so many requests.")] = 10_000,
    format: Annotated[Literal["text", "json"], typer.Option(help="How to say it.")] = "text",
    fail_on: Annotated[
        FailOn, typer.Option(help="Exit 1 when requests would be newly blocked, or changed at all.")
    ] = "none",
    api: Annotated[str | None, typer.Option(help="Address of the control API (KT_API_URL).")] = None,
    state_dir: Annotated[Path | None, typer.Option(help="State directory of the gateway.")] = None,
) -> None:
    """What a draft would have done with the recorded requests. Reads the store itself when no gateway answers."""
    with exits():
        env = environment()
        state = state_dir or default_state_dir(env)
        text = read_text(file)
        _check_moment(since)
        _check_draft(text, file)
        gateway = find_gateway(api, state, env)
        if gateway is not None:
            from proxy.cli.api import Api

            wanted = {"text": text, "last": last, "since": since, "limit": 0 if format == "text" else 100}
            answer = Api(gateway).post("/v1/policy/impact", wanted)
        else:
            answer = _offline(text, file, state, since, last)
        if format == "json":
            emit(json.dumps(answer, indent=2) + "\n")
        else:
            say("\n".join(report(answer, str(file))))
        failed = {"none": 0, "blocked": answer["blocked"], "changed": answer["changed"]}[fail_on]
    raise typer.Exit(PROBLEMS if failed else FINE)


def _check_draft(text: str, file: Path) -> None:
    """Errors are shown at their places here, whether or not a gateway runs: they do not depend on it."""
    from proxy.cli.lint_formats import Report, text_lines
    from proxy.policy.lint import lint

    result = lint(text, surroundings(file))
    if not result.clean:
        errors = tuple(item for item in result.diagnostics if item.severity == "error")
        lines = text_lines(Report(name_of(file), text, errors), colour=False)
        complain_lines("the draft has errors, so nothing was replayed", *lines)
        raise typer.Exit(PROBLEMS)


def _check_moment(text: str | None) -> None:
    try:
        parse_moment(text or "1h", now_ms())
    except (ValueError, OverflowError) as error:
        raise UsageError(f"--since: {error}") from None


def _offline(text: str, file: Path, state: Path, since: str | None, last: int) -> dict[str, Any]:
    from proxy.control.jobs import ImpactWanted, impact
    from proxy.events.errors import StoreError

    store = state / "events.db"
    if not store.exists():
        raise UsageError(
            f"no gateway runs and there is no event store in {state}; name one with --state-dir or --api"
        )
    since_ms = parse_moment(since, now_ms()) if since is not None else None
    try:
        return impact(store, ImpactWanted(text, last, since_ms), surroundings(file))
    except StoreError as error:
        raise ProblemError(str(error)) from None


def report(answer: Mapping[str, Any], name: str) -> Iterator[str]:
    """The answer of POST /v1/policy/impact in lines."""
    count = answer["requests"]
    if not count:
        yield f"{name}: no recorded requests to replay"
        return
    window = f"{answer['from']} to {answer['to']}"
    yield f"{name} over the last {count:,} recorded requests, {window}"
    yield (
        f"{answer['same']:,} stay as they were, {answer['changed']:,} change "
        f"({answer['blocked']:,} newly refused, {answer['unblocked']:,} no longer refused, "
        f"{answer['redirected']:,} newly redirected), {answer['cannot_tell']:,} cannot be told"
    )
    yield from _cost(answer["cost"])
    yield from _list("moves", (_move(item) for item in answer["moves"]))
    changed = [item for item in answer["decisions"] if item["from"] != item["to"]]
    yield from _list(
        "decisions", (f"{item['requests']:>8,}  {item['from']} → {item['to']}" for item in changed)
    )
    yield from _list(
        "policies, by how often they would fire",
        (_policy(item) for item in answer["policies"]),
        len(answer["policies"]),
    )
    yield from _list(
        "cannot be told", (f"{item['requests']:>8,}  {item['reason']}" for item in answer["reasons"])
    )


def _cost(cost: Mapping[str, Any]) -> Iterator[str]:
    difference = str(cost["difference"])
    sign = "" if difference.startswith("-") else "+"
    left_out = f"; {cost['unpriced']:,} requests without a known cost left out" if cost["unpriced"] else ""
    yield (
        f"cost ${cost['now']} → ${cost['draft']} ({sign}{difference}): an estimate, "
        f"with the tokens as recorded{left_out}"
    )


def _list(title: str, rows: Iterator[str], most: int = _SHOWN) -> Iterator[str]:
    listed = list(rows)
    if not listed:
        return
    yield ""
    yield title
    yield from listed[:most]
    if len(listed) > most:
        yield f"          and {len(listed) - most} more"


def _move(item: Mapping[str, Any]) -> str:
    return f"{item['requests']:>8,}  {_place(item['from'])} → {_place(item['to'])}"


def _place(place: Mapping[str, Any]) -> str:
    variant = place["variant"]
    return f"{place['model']} ({variant})" if variant and variant != place["model"] else str(place["model"])


def _policy(item: Mapping[str, Any]) -> str:
    where = f", line {item['line']}" if item["line"] else ""
    note = f"  ({item['note']})" if item["note"] else ""
    return f"{item['would_fire']:>8,}  {item['policy']}{where}: fired {item['fired']:,} times{note}"
