"""`kt policy explain`: what a policy file would do with a request, step by step."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, cast, get_args

import typer

from proxy.cli.exits import ProblemError, UsageError, emit, exits, say
from proxy.cli.lint_command import wants_colour
from proxy.cli.policy_texts import name_of, read_text, surroundings
from proxy.policy.facts import Endpoint


def explain_request(
    file: Annotated[Path, typer.Option(help="The policy file.")],
    request: Annotated[Path, typer.Option(help="A request body as a client sends it (JSON); - reads stdin.")],
    endpoint: Annotated[str, typer.Option(help=f"One of {', '.join(get_args(Endpoint))}.")] = "chat",
    header: Annotated[list[str] | None, typer.Option(help="NAME=VALUE; may be given several times.")] = None,
    key: Annotated[str | None, typer.Option(help="Name of the client key it is sent with.")] = None,
    format: Annotated[str, typer.Option(help="text or json.")] = "text",
) -> None:
    """Say what would become of a request and why: exit 0, or 1 when the file has errors."""
    with exits():
        if endpoint not in get_args(Endpoint):
            raise UsageError(f"--endpoint: one of {', '.join(get_args(Endpoint))}")
        if format not in ("text", "json"):
            raise UsageError("--format: text or json")
        if str(file) == str(request) == "-":
            raise UsageError("only one of --file and --request can be -")
        text, body = read_text(file), _body(request)
        answer = _explain(text, file, body, cast(Endpoint, endpoint), _headers(header or ()), key)
        if format == "json":
            emit(json.dumps(answer, indent=2) + "\n")
        else:
            say(answer["text"])


def _explain(
    text: str, file: Path, body: dict[str, Any], endpoint: Endpoint, headers: dict[str, str], key: str | None
) -> dict[str, Any]:
    from proxy.control.explain_jobs import RequestWanted, explain_under_draft, facts_of_body
    from proxy.control.jobs import DraftError
    from proxy.wire.errors import RequestError

    try:
        facts = facts_of_body(RequestWanted(body, endpoint, headers, key))
        return explain_under_draft(text, facts, surroundings(file))
    except RequestError as error:
        raise UsageError(f"--request: the gateway would refuse this body: {error.message}") from None
    except DraftError as error:
        from proxy.cli.lint_formats import Report, text_lines

        report = Report(name_of(file), text, error.diagnostics)
        emit("".join(f"{line}\n" for line in text_lines(report, colour=wants_colour())))
        raise ProblemError("the file has errors, so it decides nothing") from None


def _body(path: Path) -> dict[str, Any]:
    text = read_text(path)
    try:
        body = json.loads(text.removeprefix("\ufeff"))
    except RecursionError:
        raise UsageError(f"{name_of(path)}: not JSON that can be read: nested too deeply") from None
    except ValueError as error:
        raise UsageError(f"{name_of(path)}: not JSON: {error}") from None
    if not isinstance(body, dict):
        raise UsageError(f"{name_of(path)}: a request body is a JSON object")
    return body


def _headers(given: Iterable[str]) -> dict[str, str]:
    headers = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--header {item}: write NAME=VALUE")
        headers[name.strip().lower()] = value
    return headers
