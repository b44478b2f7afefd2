"""Every text of the YAML test suite, right and wrong YAML alike: lint answers cleanly, in each of its forms."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path

import pytest

from proxy.cli.lint_formats import Report, github_lines, json_text, sarif_text, text_lines
from proxy.policy.document import parse
from proxy.policy.lint import Surroundings, lint

SUITE = os.environ.get("KT_YAML_SUITE", "")
SURROUNDINGS = Surroundings({}, date(2026, 6, 1))

if not SUITE:
    pytest.skip("KT_YAML_SUITE names no copy of the YAML test suite", allow_module_level=True)


def cases() -> list[tuple[str, str]]:
    """Name and text of every case."""
    found = []
    for path in sorted((Path(SUITE) / "data").glob("????.js")):
        body = path.read_text(encoding="utf-8").partition("export default")[2].strip().rstrip(";")
        for number, case in enumerate(json.loads(body)["cases"]):
            found.append((f"{path.stem}-{number}", case["yaml"]))
    return found


CASES = cases()


def test_the_suite_is_whole() -> None:
    assert len(CASES) >= 402


@pytest.mark.parametrize(("name", "text"), CASES, ids=[name for name, _ in CASES])
def test_only_clean_results(name: str, text: str) -> None:
    result = lint(text, SURROUNDINGS)
    assert result.diagnostics, "no case of the suite is a policy file"
    lines = text.count("\n") + text.count("\r") + 1
    for problem in result.diagnostics:
        assert 1 <= problem.line <= problem.end_line <= lines
        assert problem.column >= 1 and problem.message.isprintable()
    report = Report(f"{name}.yaml", text, result.diagnostics)
    told = "\n".join(text_lines(report, colour=False))
    assert name in told and "Traceback" not in told
    assert json.loads(json_text([report], single=True))["valid"] == result.clean
    assert len(json.loads(sarif_text([report], "1.0.0"))["runs"][0]["results"]) == len(result.diagnostics)
    assert len(list(github_lines(report))) == len(result.diagnostics)


def test_most_of_the_suite_is_read_or_refused_for_a_reason_of_ours() -> None:
    refused = {problem.code for _, text in CASES for problem in parse(text).problems}
    assert refused <= {
        "syntax",
        "empty",
        "alias",
        "anchor",
        "tag",
        "merge-key",
        "duplicate-key",
        "key-not-text",
        "multiple-documents",
        "control-character",
        "too-deep",
    }
