"""`kt policy diff`: what differs between two policies, in terms of what they do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from proxy.cli.exits import FINE, PROBLEMS, UsageError, emit, exits, say
from proxy.cli.policy_texts import name_of, read_text
from proxy.cli.version_source import find, is_version, version_source
from proxy.cli.versions_command import ApiOption, FileOption, StateOption

SideArgument = Annotated[str, typer.Argument(help="A file, - for stdin, or a version (v3, or its hash).")]


def diff(
    a: SideArgument,
    b: SideArgument,
    format: Annotated[Literal["text", "json"], typer.Option(help="How to say it.")] = "text",
    text: Annotated[bool, typer.Option("--text", help="The changed lines, too.")] = False,
    file: FileOption = None,
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Say what B means that A does not: exit 0 the same, 1 something differs, 2 used wrongly."""
    with exits():
        if a == b == "-":
            raise UsageError("only one of the two can be -")
        first, second = (_text(side, file, api, state_dir) for side in (a, b))
        sentences = _meaning(first, second, _name(a), _name(b))
        lines = _lines(first, second, _name(a), _name(b)) if text or format == "json" else ""
        if format == "json":
            body = {"same": not sentences, "meaning": sentences, "unified": lines}
            emit(json.dumps(body, indent=2) + "\n")
        else:
            say("\n".join(sentences) if sentences else "the same meaning")
            if lines:
                say(f"\n{lines}".rstrip("\n"))
    raise typer.Exit(PROBLEMS if sentences else FINE)


def _text(side: str, file: Path | None, api: str | None, state_dir: Path | None) -> str:
    """A file of that name comes before a version."""
    if is_version(side) and not Path(side).exists():
        source = version_source(file, api, state_dir)
        return source.text(find(source, side))
    return read_text(Path(side))


def _name(side: str) -> str:
    return name_of(Path(side))


def _meaning(a: str, b: str, name_a: str, name_b: str) -> list[str]:
    from proxy.policy.meaning import MeaningError, meaning_of_texts

    try:
        return meaning_of_texts(a, b, name_a, name_b)
    except MeaningError as error:
        raise UsageError(f"{error}; kt policy lint says it all") from None


def _lines(a: str, b: str, name_a: str, name_b: str) -> str:
    from proxy.policy.difference import unified

    return unified(a, b, name_a, name_b)
