"""Every diagnostic code has an example of the problem, at an exact place, and one of its mend; both are linted here."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from proxy.policy.check import Check
from proxy.policy.checks import CHECKS
from proxy.policy.checks.examples import SURROUNDINGS, unmarked
from proxy.policy.diagnostics import Diagnostic
from proxy.policy.document import MAX_BYTES, MAX_DEPTH, parse
from proxy.policy.lint import lint
from proxy.policy.text_edits import apply_edits

POLICY = Path(__file__).parents[2] / "proxy" / "policy"
READERS = ("document.py", "convert.py", "schema.py")
TOO_LONG_TO_PRINT = {
    "too-large": ("#" + "x" * MAX_BYTES, (0, 0)),
    "too-deep": ("policies: " + "[" * (MAX_DEPTH + 1), (10, 11)),
}
FIXABLE = frozenset(
    [
        "allowed-and-blocked",
        "azure-only",
        "bad-header",
        "bad-url",
        "bad-value",
        "blocks-streams",
        "control-character",
        "duplicate-alert",
        "duplicate-client-key",
        "duplicate-id",
        "duplicate-item",
        "duplicate-name",
        "duplicate-phase",
        "duplicate-tag",
        "fallback-to-itself",
        "literal-secret",
        "max-tokens-gap",
        "max-tokens-overlap",
        "model-not-served",
        "phase-missing-tag",
        "phase-unknown-tag",
        "pick-refused-earlier",
        "plain-http",
        "preferred-refused",
        "redirect-overridden",
        "shadowed",
        "split-not-phase",
        "two-secrets",
        "unknown-client-key",
        "unknown-key",
        "unknown-phase",
        "unknown-target",
        "unknown-type",
        "weights-sum",
        "window-over",
        "wrong-type",
    ]
)
"""Codes whose example has a mechanical mend."""
ALL = [pytest.param(check, id=check.code) for check in CHECKS.values()]


def bad_example(check: Check) -> tuple[str, tuple[int, int]]:
    return TOO_LONG_TO_PRINT[check.code] if check.code in TOO_LONG_TO_PRINT else unmarked(check.bad)


def beside_enforcement(text: str, code: str) -> list[Diagnostic]:
    """What lint says, without the remark that this version does not enforce a type."""
    found = lint(text, SURROUNDINGS).diagnostics
    return [item for item in found if item.code == code or item.code != "not-enforced"]


@pytest.mark.parametrize("check", ALL)
def test_the_bad_example_has_exactly_this_problem_at_exactly_this_place(check: Check) -> None:
    text, (start, end) = bad_example(check)
    (found,) = beside_enforcement(text, check.code)
    document = parse(text)
    assert (found.code, found.severity) == (check.code, check.severity)
    assert ((found.line, found.column), (found.end_line, found.end_column)) == (
        document.position(start),
        document.position(end),
    )
    assert found.message.isprintable()
    assert len(found.message) < 250


@pytest.mark.parametrize("check", ALL)
def test_the_good_example_has_no_problem_at_all(check: Check) -> None:
    assert beside_enforcement(check.good, check.code) == []


@pytest.mark.parametrize("check", ALL)
def test_a_fix_mends_its_problem_and_changes_nothing_else(check: Check) -> None:
    text, _ = bad_example(check)
    (found,) = beside_enforcement(text, check.code)
    assert (found.fix is not None) == (check.code in FIXABLE)
    if found.fix is None:
        return
    changed = apply_edits(text, found.fix.edits)
    assert check.code not in {item.code for item in lint(changed, SURROUNDINGS).diagnostics}
    assert not {item.code for item in lint(changed, SURROUNDINGS).diagnostics if item.severity == "error"}
    first, last = min(edit.start for edit in found.fix.edits), max(edit.end for edit in found.fix.edits)
    assert changed.startswith(text[:first])
    assert changed.endswith(text[last:])


@pytest.mark.parametrize("check", ALL)
def test_a_check_is_documented(check: Check) -> None:
    assert check.title and check.why.endswith((".", ")")) and check.mend.endswith((".", ")"))
    assert not check.title.endswith(".")


def test_every_code_the_readers_report_is_described() -> None:
    described = {code for code, check in CHECKS.items() if check.look is None} | {"literal-secret"}
    assert _reported() == described


def _reported() -> set[str]:
    """Codes that stand as first argument of a report in the modules that read the text."""
    found: set[str] = set()
    for name in READERS:
        for node in ast.walk(ast.parse((POLICY / name).read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in (
                "report",
                "_report",
                "diagnostic",
            ):
                first = node.args[0] if node.args else None
                if isinstance(first, ast.Constant):
                    found.add(str(first.value))
    return found
