"""`kt policy`: check a policy file as CI would."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from proxy.base.sanitise import sanitise
from proxy.cli.exits import FINE, PROBLEMS, USAGE, complain, emit, exits, say
from proxy.cli.places import environment
from proxy.cli.simulate_command import simulate

app = typer.Typer(no_args_is_help=True, help="Check policy files.")
app.command("simulate")(simulate)


@app.callback()
def group() -> None:
    """Check policy files."""


@app.command("lint")
def lint_files(
    file: Annotated[list[Path], typer.Option(help="A policy file; may be given several times.")],
    format: Annotated[Literal["text", "json"], typer.Option(help="How to say it.")] = "text",
    strict: Annotated[bool, typer.Option(help="Warnings are problems too.")] = False,
) -> None:
    """Say what is wrong with policy files: exit 0 fine, 1 problems, 2 used wrongly."""
    with exits():
        reports, unreadable = [], False
        for path in file:
            report = _report(path)
            if report is None:
                unreadable = True
                continue
            reports.append(report)
            if format == "text":
                _say_text(report)
        if format == "json":
            bodies = [{key: value for key, value in report.items() if key != "text"} for report in reports]
            emit(json.dumps(bodies[0] if len(file) == 1 and bodies else bodies, indent=2) + "\n")
        bad = ("error", "warning") if strict else ("error",)
        found = any(item["severity"] in bad for report in reports for item in report["diagnostics"])
        code = USAGE if unreadable else PROBLEMS if found else FINE
    raise typer.Exit(code)


def _report(path: Path) -> dict[str, Any] | None:
    from proxy.config.files import read
    from proxy.policy.lint import Surroundings, lint

    reading = read(path)
    if reading.text is None:
        complain(f"{path}: {'there is no such file' if reading.missing else reading.problem}")
        return None
    result = lint(reading.text, Surroundings(environment(), datetime.now(UTC).date(), path))
    return {
        "valid": result.clean,
        "file": str(path),
        "diagnostics": [item.to_json() for item in result.diagnostics],
        "text": reading.text,
    }


def _say_text(report: dict[str, Any]) -> None:
    for item in report["diagnostics"]:
        say(pointed(item, report["file"], report["text"]))
    counts = {
        name: sum(item["severity"] == name for item in report["diagnostics"])
        for name in ("error", "warning", "info")
    }
    parts = [
        f"{number} {name}{'s' if number > 1 and name != 'info' else ''}"
        for name, number in counts.items()
        if number
    ]
    say(f"{report['file']}: {', '.join(parts) if parts else 'no problems'}")


def pointed(item: dict[str, Any], file: str, text: str) -> str:
    """One diagnostic with its line of the text and marks below the place."""
    head = f"{file}:{item['line']}:{item['column']}: {item['severity']}[{item['code']}]: {item['message']}"
    lines = text.splitlines()
    if not 1 <= item["line"] <= len(lines):
        return sanitise(head, 1_000)
    source = lines[item["line"] - 1].expandtabs(1)[:200]
    end = item["end_column"] if item["end_line"] == item["line"] else len(source) + 1
    marks = max(1, min(end, len(source) + 1) - item["column"])
    number = str(item["line"])
    margin = " " * len(number)
    shown = [
        sanitise(head, 1_000),
        f"{margin} |",
        f"{number} | {sanitise(source, 200)}",
        f"{margin} | {' ' * (item['column'] - 1)}{'^' * marks}",
    ]
    fix = item.get("fix")
    if fix:
        shown.append(f"{margin} = fix: {sanitise(fix['title'], 200)}")
    return "\n".join(shown)
