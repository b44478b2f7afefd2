"""`kt policy history`, `show` and `restore`: what was applied, and going back to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

import typer

from proxy.base.sanitise import sanitise
from proxy.cli.exits import ProblemError, emit, exits, say
from proxy.cli.places import default_state_dir, environment
from proxy.cli.version_source import ApiVersions, StoreVersions, Version, find, version_source

FileOption = Annotated[
    Path | None, typer.Option(help="The policy file, when the store has versions of several.")
]
ApiOption = Annotated[str | None, typer.Option(help="Address of the control API (KT_API_URL).")]
StateOption = Annotated[Path | None, typer.Option(help="State directory of the gateway.")]
VersionArgument = Annotated[str, typer.Argument(help="v3, or at least 7 characters of its hash.")]


def history(
    file: FileOption = None,
    format: Annotated[Literal["table", "json"], typer.Option(help="How to write them.")] = "table",
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """List the applied versions, newest first. Reads the store itself when no gateway answers."""
    with exits():
        source = version_source(file, api, state_dir)
        versions = source.versions()
        if format == "json":
            body = {"file": source.file, "versions": [item.to_json() for item in versions]}
            emit(json.dumps(body, indent=2) + "\n")
        else:
            say("\n".join(_table(versions)))


def show(
    version: VersionArgument,
    file: FileOption = None,
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Write the text of a version, byte for byte."""
    with exits():
        source = version_source(file, api, state_dir)
        emit(source.text(find(source, version)))


def restore(
    version: VersionArgument,
    why: Annotated[str, typer.Option(help="Kept with the new version.")] = "",
    file: FileOption = None,
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Apply an earlier version as a new one: through the gateway, else by writing the file as an apply would."""
    with exits():
        source = version_source(file, api, state_dir)
        wanted = find(source, version)
        reason = why or f"restored version {wanted.number}"
        if isinstance(source, ApiVersions):
            answer = source.restore(wanted, reason)
            number = int(answer["number"])
            done = (
                f"applied, now version {number}"
                if answer["changed"]
                else f"runs already as version {number}: no new one was made"
            )
            say(f"{source.file}: version {wanted.number} ({wanted.hash[:7]}) {done}")
        else:
            state = state_dir or default_state_dir(environment())
            number = _write(source, wanted, reason, state)
            say(
                f"{source.file}: version {wanted.number} ({wanted.hash[:7]}) written as version {number}; no gateway runs"
            )


def _write(source: StoreVersions, version: Version, why: str, state: Path) -> int:
    import asyncio
    import getpass

    from proxy.cli.policy_texts import surroundings
    from proxy.config.offline import NotRestoredError, restore_offline

    path = Path(source.file)
    text = source.text(version)
    try:
        who = getpass.getuser()
    except (OSError, KeyError):
        who = ""
    try:
        with _claimed(state):
            return asyncio.run(
                restore_offline(path, text, source.store, surroundings(path), who=who, why=why)
            )
    except NotRestoredError as error:
        raise ProblemError(str(error)) from None


@contextmanager
def _claimed(state: Path) -> Iterator[None]:
    """The state directory with its lock, so that no gateway starts meanwhile. Raises ProblemError."""
    from proxy.service.state_dir import StateDir

    directory = StateDir(state)
    try:
        directory.claim()
    except ValueError as error:
        raise ProblemError(str(error)) from None
    try:
        yield
    finally:
        directory.release()


def _table(versions: list[Version]) -> list[str]:
    rows = [("version", "hash", "applied", "through", "who", "why")]
    rows += [
        (
            f"v{item.number}",
            item.hash[:7],
            item.applied_at[:19].replace("T", " ") + "Z",
            item.through,
            sanitise(item.who, 24) or "–",
            sanitise(item.why, 80),
        )
        for item in versions
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]).rstrip()
        for row in rows
    ]
