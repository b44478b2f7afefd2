"""The options that the commands about events share, and how they are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from proxy.base.times import now_ms, parse_moment
from proxy.cli.exits import USAGE, UsageError, complain_lines

if TYPE_CHECKING:
    from proxy.events.filter import Expression

Form = Literal["table", "json", "jsonl", "csv"]
FormOption = Annotated[Form, typer.Option("--format", "-o", help="How to write them.")]
TextForm = Literal["text", "json", "jsonl"]
TextFormOption = Annotated[TextForm, typer.Option("--format", "-o", help="How to write it.")]
FieldsOption = Annotated[
    str | None, typer.Option("--fields", help="Only these, parted by commas: id,cost,metadata.ab_tag.")
]
ApiOption = Annotated[str | None, typer.Option(help="Address of the control API (KT_API_URL).")]
FilterOption = Annotated[
    str | None, typer.Option("--filter", help="Only events it holds for; kt events fields lists the fields.")
]
StateOption = Annotated[Path | None, typer.Option(help="State directory of the gateway.")]
UntilOption = Annotated[str | None, typer.Option(help="Where the window ends, the same way; exclusive.")]


def read_moment(option: str, text: str, now: int | None = None) -> int:
    """Milliseconds since 1970 of a span back from now or a time. Raises UsageError that names the option."""
    try:
        return parse_moment(text, now_ms() if now is None else now)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{option}: {error}") from None


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


def read_fields(text: str | None) -> tuple[str, ...] | None:
    """The names of the fields asked for; None: all. Raises UsageError."""
    if text is None:
        return None
    from proxy.events.pick import UnknownFieldError, read_names

    try:
        return read_names(text)
    except UnknownFieldError as error:
        raise UsageError(f"--fields: {error}") from None


def no_store(state: Path) -> UsageError:
    """What is said when there is neither a gateway nor a store."""
    return UsageError(
        f"no gateway runs and there is no event store in {state}; name one with --state-dir or --api"
    )


def value_of(record: dict[str, Any], name: str) -> Any:
    """The field of that name, with a dot where it stands in the metadata; None when an older gateway has no such field."""
    value: Any = record
    for part in name.split("."):
        value = value.get(part)
    return value
