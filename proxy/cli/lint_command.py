"""`kt policy lint`: say what is wrong with policy files, as CI would."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from proxy.cli.exits import FINE, PROBLEMS, USAGE, UsageError, complain, emit, exits
from proxy.cli.places import environment
from proxy.cli.policy_texts import name_of, read_text, surroundings

if TYPE_CHECKING:
    from proxy.cli.lint_formats import Report

LintFormat = Literal["text", "json", "sarif", "github"]


def lint_files(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Policy files, as pre-commit names them.")
    ] = None,
    file: Annotated[
        list[Path] | None, typer.Option(help="A policy file; may be given several times; - reads stdin.")
    ] = None,
    format: Annotated[LintFormat, typer.Option(help="How to say it.")] = "text",
    strict: Annotated[bool, typer.Option(help="Warnings are problems too.")] = False,
) -> None:
    """Say what is wrong with policy files: exit 0 fine, 1 problems, 2 used wrongly."""
    with exits():
        named = [*(file or ()), *(files or ())]
        if not named:
            raise UsageError("name a policy file with --file")
        reports = []
        for path in named:
            try:
                reports.append(_report(path))
            except UsageError as error:
                complain(str(error))
        _tell(reports, format, single=len(named) == 1)
        bad = ("error", "warning") if strict else ("error",)
        found = any(item.severity in bad for report in reports for item in report.diagnostics)
        code = USAGE if len(reports) < len(named) else PROBLEMS if found else FINE
    raise typer.Exit(code)


def _report(path: Path) -> Report:
    from proxy.cli.lint_formats import Report
    from proxy.policy.lint import lint

    text = read_text(path)
    return Report(name_of(path), text, lint(text, surroundings(path)).diagnostics)


def _tell(reports: list[Report], format: LintFormat, *, single: bool) -> None:
    from proxy.cli import lint_formats as forms

    if format == "json":
        emit(forms.json_text(reports, single=single))
    elif format == "sarif":
        from importlib.metadata import version

        emit(forms.sarif_text(reports, version("ktui")))
    else:
        colour = wants_colour()
        for report in reports:
            lines = (
                forms.github_lines(report) if format == "github" else forms.text_lines(report, colour=colour)
            )
            emit("".join(f"{line}\n" for line in lines))


def wants_colour() -> bool:
    """On a terminal, unless NO_COLOR says otherwise (no-color.org) or the terminal can do nothing."""
    env = environment()
    return sys.stdout.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"
