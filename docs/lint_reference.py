"""docs/lint.md: every diagnostic code, made from the checks and from what lint says of their examples."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.policy.check import Check
from proxy.policy.checks import CHECKS
from proxy.policy.checks.examples import SURROUNDINGS, unmarked
from proxy.policy.diagnostics import Diagnostic
from proxy.policy.lint import lint
from proxy.policy.text_edits import apply_edits

_SEVERITIES = ("error", "warning", "info")
_MEANING = {
    "error": "What the gateway cannot run, or what would be harmful on any machine. A text with one is never applied.",
    "warning": "What is likely not meant, or depends on the machine, the clock, the traffic or vendor data. "
    "The text runs; `--strict` makes it count for the exit code.",
    "info": "What is worth knowing.",
}


def lint_reference(banner: str) -> str:
    """docs/lint.md."""
    lines = [
        "# What lint says\n",
        banner,
        "`kt policy lint`, the editor and the control API show the same diagnostics. Each has a code that stays the same, a",
        "severity, the exact place, one sentence, and where the mend is mechanical a fix as an edit. Below, `^` marks the",
        "place; the first text of each code has the problem, the second is one way to mend it.\n",
    ]
    for severity in _SEVERITIES:
        checks = [check for check in CHECKS.values() if check.severity == severity]
        lines += [
            f"## {severity.capitalize()}s\n" if severity != "info" else "## Remarks (info)\n",
            _MEANING[severity] + "\n",
        ]
        lines += ["| code | what it says |", "|---|---|"]
        lines += [f"| [`{check.code}`](#{check.code}) | {check.title} |" for check in checks]
        lines.append("")
        for check in checks:
            lines += _section(check)
    return "\n".join(lines).rstrip() + "\n"


def _section(check: Check) -> Iterator[str]:
    yield f"### {check.code}\n"
    yield f"**{check.title}.** {check.why}\n"
    yield f"*Mend:* {check.mend}\n"
    if not check.bad:
        return
    text, _ = unmarked(check.bad)
    found = next(item for item in lint(text, SURROUNDINGS).diagnostics if item.code == check.code)
    yield from ("```yaml", *_pointed(text, found), "```", "")
    yield f"> {found.message}\n"
    good = check.good
    if found.fix is not None:
        yield f"Fix offered: *{found.fix.title}*.\n"
        good = apply_edits(text, found.fix.edits)
    yield from ("```yaml", good.strip("\n"), "```", "")


def _pointed(text: str, found: Diagnostic) -> Iterator[str]:
    """The text with a comment line of marks below the place."""
    for number, line in enumerate(text.strip("\n").split("\n"), start=1):
        yield line
        if number == found.line:
            width = (
                found.end_column - found.column
                if found.end_line == found.line
                else len(line) - found.column + 1
            )
            marks = "^" * max(1, width)
            column = max(found.column, 2)
            yield "#" + " " * (column - 2) + (marks if found.column > 1 else marks[1:] or "^")
