"""Everything that is checked before a text may run.

Errors are what the gateway cannot run or what would be harmful whatever the surroundings; a text with one
never runs. What depends on the machine, the clock or vendor data is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from proxy.policy import checks_policies, checks_targets
from proxy.policy.check import Context, Surroundings
from proxy.policy.diagnostics import Diagnostic
from proxy.policy.document import Document, parse
from proxy.policy.kinds import SPELLINGS
from proxy.policy.schema import PolicyFile, read

__all__ = ["CHECKS", "LintResult", "Surroundings", "lint"]

Check = Callable[[Context], Iterable[Diagnostic]]


def check_kinds(context: Context) -> Iterable[Diagnostic]:
    """What each policy type asks of its policies."""
    for policy in context.file.policies:
        for check in SPELLINGS[policy.type].checks:
            yield from check(policy, context)


CHECKS: tuple[Check, ...] = (check_kinds, *checks_policies.CHECKS, *checks_targets.CHECKS)

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
    problems = list(document.problems)
    if document.root is None:
        return LintResult(tuple(problems), None, document)
    policy_file, found = read(document)
    problems += found
    context = Context(document, policy_file, surroundings, complete=not problems)
    for check in CHECKS:
        problems += check(context)
    problems.sort(key=lambda item: (item.line, item.column, _ORDER[item.severity], item.code))
    result = LintResult(tuple(problems), None, document)
    return LintResult(result.diagnostics, policy_file, document) if result.clean else result
