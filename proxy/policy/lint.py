"""Everything that is checked before a text may run.

Errors are what the gateway cannot run or what would be harmful whatever the surroundings; a text with one
never runs. What depends on the machine, the clock or vendor data is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass

from proxy.policy.check import Context, Surroundings
from proxy.policy.checks import CHECKS
from proxy.policy.diagnostics import Diagnostic
from proxy.policy.document import Document, parse
from proxy.policy.recovery import recover
from proxy.policy.schema import PolicyFile, read

__all__ = ["CHECKS", "LintResult", "Surroundings", "lint"]

MAX_FINDINGS = 500
"""Of the checks, in all. Beyond this many a list helps nobody."""

_ORDER = {"error": 0, "warning": 1, "info": 2}


@dataclass(frozen=True, slots=True)
class LintResult:
    """What lint says, in file order. `policy_file` is None unless the text is clean."""

    diagnostics: tuple[Diagnostic, ...]
    policy_file: PolicyFile | None
    document: Document | None

    @property
    def clean(self) -> bool:
        """Whether the text may run: no error."""
        return not any(problem.severity == "error" for problem in self.diagnostics)


def lint(text: str, surroundings: Surroundings) -> LintResult:
    """Check `text`. Never raises on any text."""
    document = parse(text)
    recovered = recover(document)
    readable = recovered.document if recovered is not None else document
    if readable.root is None:
        return LintResult(_in_order(document.problems), None, document)
    policy_file, found = read(readable)
    told = (*document.problems, *found)
    context = Context(readable, policy_file, surroundings, told, recovered)
    diagnostics = _in_order((*told, *_findings(context)))
    result = LintResult(diagnostics, None, document)
    return LintResult(diagnostics, policy_file, document) if result.clean else result


def _findings(context: Context) -> list[Diagnostic]:
    """What the checks find in what could be read. Errors come first, should there be too many."""
    found: list[Diagnostic] = []
    for check in sorted(CHECKS.values(), key=lambda item: _ORDER[item.severity]):
        for finding in check.look(context) if check.look is not None else ():
            if len(found) >= MAX_FINDINGS:
                return found
            found.append(check.diagnose(finding, context.document))
    return found


def _in_order(problems: tuple[Diagnostic, ...]) -> tuple[Diagnostic, ...]:
    return tuple(
        sorted(problems, key=lambda item: (item.line, item.column, _ORDER[item.severity], item.code))
    )
