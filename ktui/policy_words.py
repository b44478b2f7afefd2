"""What the Policy screen says in one line: a problem, how many there are, a save by someone else, a price."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rich.text import Text

from ktui.answers import Config, Problem
from ktui.themes import role
from ktui.widgets.policy_editor import SEVERITY_GLYPH, SEVERITY_ROLE
from ktui.workbench_answers import ModelPrice
from proxy.base.sanitise import sanitise


def problem_line(app: object, problem: Problem) -> Text:
    """The message, and the fix if there is one."""
    style = role(app, SEVERITY_ROLE.get(problem.severity, "info"))
    line = Text(f"{SEVERITY_GLYPH.get(problem.severity, 'i')} ", style=style)
    line.append(sanitise(problem.message, 300), role(app, "text"))
    if problem.fix is not None:
        line.append("  ctrl+r", f"bold {role(app, 'accent')}")
        line.append(f" {sanitise(problem.fix.title, 60)}")
    return line


def problem_counts(app: object, problems: Sequence[Problem]) -> Text:
    """`✗ 2 ! 0 i 1`."""
    line = Text()
    for severity in ("error", "warning", "info"):
        number = sum(problem.severity == severity for problem in problems)
        style = role(app, SEVERITY_ROLE[severity] if number else "muted")
        line.append(f"{SEVERITY_GLYPH[severity]} {number}", style).append(" " if severity != "info" else "")
    return line


def saved_by_someone_else(app: object, theirs: Config) -> Text:
    """What happened, and the keys that answer it."""
    line = Text(" ! ", style=role(app, "warn"))
    line.append(f"{sanitise(theirs.name or 'the file', 40)} was saved by someone else   after esc: ")
    for key, word in (("k", "keep my draft"), ("l", "load theirs"), ("d", "three-way difference")):
        line.append(key, f"bold {role(app, 'accent')}").append(f" {word}   ", role(app, "muted"))
    return line


def price_line(item: ModelPrice) -> str:
    """`$2.5 in, $10 out per million tokens`, or that there is no price."""
    if item.input is None and item.output is None:
        return "no price known"
    return f"${item.input or '?'} in, ${item.output or '?'} out per million tokens"


def line_naming(text: str, name: str) -> int | None:
    """The first line of a policy, from 1, that says `name` as a whole and outside of a comment; None when none does."""
    whole = re.compile(rf"(?<![\w.\-]){re.escape(name)}(?![\w.\-])")
    lines = (line if not line.lstrip().startswith("#") else "" for line in text.split("\n"))
    return next((n for n, line in enumerate(lines, 1) if whole.search(line.partition(" #")[0])), None)
