"""What lint found, in the forms people and CI systems read: text, JSON, SARIF 2.1.0, GitHub workflow commands."""

from __future__ import annotations

import json
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from proxy.base.sanitise import sanitise
from proxy.policy.diagnostics import Diagnostic, Fix

_LINE_BREAK = re.compile(r"\r\n|\n|\r")
_SHOWN_CHARACTERS = 160
_COLOURS = {"error": "31", "warning": "33", "info": "36"}
_SARIF_LEVELS = {"error": "error", "warning": "warning", "info": "note"}
_GITHUB_COMMANDS = {"error": "error", "warning": "warning", "info": "notice"}
_SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


@dataclass(frozen=True, slots=True)
class Report:
    """One file and what is wrong with it."""

    file: str
    text: str
    diagnostics: tuple[Diagnostic, ...]

    @property
    def valid(self) -> bool:
        """Whether it may run: no error."""
        return not any(item.severity == "error" for item in self.diagnostics)

    def to_json(self) -> dict[str, Any]:
        """`valid`, `file`, `diagnostics`."""
        found = [item.to_json() for item in self.diagnostics]
        return {"valid": self.valid, "file": self.file, "diagnostics": found}


def json_text(reports: Sequence[Report], *, single: bool) -> str:
    """One object, or (not `single`) a list of them."""
    bodies = [report.to_json() for report in reports]
    return json.dumps(bodies[0] if single and bodies else bodies, indent=2) + "\n"


# -- text


def text_lines(report: Report, *, colour: bool) -> Iterator[str]:
    """Each problem with its line and marks below the place, then how many there are. Safe on a terminal."""
    lines = _LINE_BREAK.split(report.text)
    for item in report.diagnostics:
        yield from pointed(item, report.file, lines, colour=colour)
    counts = ((name, sum(item.severity == name for item in report.diagnostics)) for name in _COLOURS)
    parts = [
        f"{number} {name}{'s' if number > 1 and name != 'info' else ''}" for name, number in counts if number
    ]
    yield f"{sanitise(report.file)}: {', '.join(parts) if parts else 'no problems'}"


def pointed(item: Diagnostic, file: str, lines: Sequence[str], *, colour: bool = False) -> Iterator[str]:
    """One problem: where and what, the line of the text, marks below the place, and how to mend it."""
    paint = _Paint(colour)
    tone = _COLOURS[item.severity]
    where = paint("1", sanitise(f"{file}:{item.line}:{item.column}:", 500))
    yield f"{where} {paint(tone, f'{item.severity}[{item.code}]')}: {sanitise(item.message, 1_000)}"
    if not 1 <= item.line <= len(lines):
        return
    source = lines[item.line - 1]
    first = min(item.column - 1, len(source))
    last = min(item.end_column - 1, len(source)) if item.end_line == item.line else len(source)
    left = max(0, first - _SHOWN_CHARACTERS // 2) if len(source) > _SHOWN_CHARACTERS else 0
    right = left + _SHOWN_CHARACTERS
    head = ("…" if left else "") + _safe(source[left:first])
    marked = _safe(source[first : max(first, min(last, right))])
    tail = _safe(source[max(first, min(last, right)) : right]) + ("…" if len(source) > right else "")
    number = str(item.line)
    bar = paint("2", "|")
    yield f"{' ' * len(number)} {bar}"
    yield f"{paint('2', number)} {bar} {head}{marked}{tail}"
    yield f"{' ' * len(number)} {bar} {' ' * _cells(head)}{paint(tone, '^' * max(1, _cells(marked)))}"
    if item.fix is not None:
        yield f"{' ' * len(number)} {paint('2', '=')} {paint('32', 'fix')}: {sanitise(item.fix.title, 200)}"


class _Paint:
    """Colours a piece of text, or leaves it."""

    def __init__(self, on: bool) -> None:
        self._on = on

    def __call__(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._on else text


def _safe(text: str) -> str:
    return sanitise(text.replace("\t", " ").replace("\ufeff", ""), 4_000) if text else ""


def _cells(text: str) -> int:
    """Terminal cells, near enough to put marks below a word."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(unicodedata.combining(letter) > 0 for letter in text)


# -- SARIF


def sarif_text(reports: Iterable[Report], version: str) -> str:
    """One SARIF 2.1.0 log (OASIS, sarif-v2.1.0) with a run over all files. Columns count Unicode characters."""
    rules = _rules()
    places = {rule["id"]: index for index, rule in enumerate(rules)}
    results = [_result(report, item, places) for report in reports for item in report.diagnostics]
    driver = {"name": "kt policy lint", "semanticVersion": version, "rules": rules}
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    return json.dumps({"$schema": _SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rules() -> list[dict[str, Any]]:
    from proxy.policy.checks import CHECKS

    return [
        {
            "id": check.code,
            "shortDescription": {"text": check.title},
            "fullDescription": {"text": check.why},
            "help": {"text": check.mend},
            "defaultConfiguration": {"level": _SARIF_LEVELS[check.severity]},
        }
        for check in CHECKS.values()
    ]


def _result(report: Report, item: Diagnostic, places: Mapping[str, int]) -> dict[str, Any]:
    artifact = {"uri": _uri(report.file)}
    region = {
        "startLine": item.line,
        "startColumn": item.column,
        "endLine": item.end_line,
        "endColumn": item.end_column,
    }
    location: dict[str, Any] = {"physicalLocation": {"artifactLocation": artifact, "region": region}}
    if item.path:
        location["logicalLocations"] = [{"fullyQualifiedName": item.path}]
    result: dict[str, Any] = {
        "ruleId": item.code,
        "level": _SARIF_LEVELS[item.severity],
        "message": {"text": item.message},
        "locations": [location],
    }
    if item.code in places:
        result["ruleIndex"] = places[item.code]
    if item.fix is not None:
        change = {"artifactLocation": artifact, "replacements": _replacements(report.text, item.fix)}
        result["fixes"] = [{"description": {"text": item.fix.title}, "artifactChanges": [change]}]
    return result


def _replacements(text: str, fix: Fix) -> list[dict[str, Any]]:
    starts = [0, *(match.end() for match in _LINE_BREAK.finditer(text))]
    found = []
    for edit in fix.edits:
        line, end_line = bisect_right(starts, edit.start), bisect_right(starts, edit.end)
        region = {
            "startLine": line,
            "startColumn": edit.start - starts[line - 1] + 1,
            "endLine": end_line,
            "endColumn": edit.end - starts[end_line - 1] + 1,
        }
        found.append({"deletedRegion": region, "insertedContent": {"text": edit.text}})
    return found


def _uri(file: str) -> str:
    path = Path(file)
    return path.as_uri() if path.is_absolute() else quote(path.as_posix())


# -- GitHub


def github_lines(report: Report) -> Iterator[str]:
    """Workflow commands, which GitHub shows beside the lines of a change."""
    for item in report.diagnostics:
        properties = {
            "file": report.file,
            "line": str(item.line),
            "endLine": str(item.end_line),
            "title": item.code,
        }
        if item.line == item.end_line:
            # GitHub ignores columns of a problem over several lines.
            properties |= {"col": str(item.column), "endColumn": str(max(item.column, item.end_column - 1))}
        told = ",".join(f"{name}={_github_property(value)}" for name, value in properties.items())
        yield f"::{_GITHUB_COMMANDS[item.severity]} {told}::{_github_data(item.message)}"


def _github_data(text: str) -> str:
    """Escaped as the commands of actions/toolkit are; what is invisible is made visible first."""
    return sanitise(text, 2_000).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _github_property(text: str) -> str:
    return _github_data(text).replace(":", "%3A").replace(",", "%2C")
