"""A slip of YAML is told in words that say how to mend it, at the place where it shows."""

from __future__ import annotations

import random
from datetime import date
from pathlib import Path

import pytest

from proxy.policy.lint import Surroundings, lint

NOWHERE = Surroundings(env={}, today=date(2026, 6, 11))


@pytest.mark.parametrize(
    ("text", "line", "column", "words"),
    [
        ("policies:\n  - name: a\n    type: log\n   - name: b\n", 4, 4, "indented unlike"),
        ("policies:\n  - name: x\n  providers:\n", 3, 3, "indented unlike the others of the list or mapping that begins on line 2"),
        ("policies:\n  - name: a: b\n", 2, 12, "a colon with a space"),
        ("policies:\n  - name: 'a\n    type: log\n", 4, 1, "the quote opened on line 2 is not closed"),
        ("policies: [{name: a, type: log}\nprices: {}\n", 2, 1, "opened with [ on line 1"),
        ("policies:\n  - {name: a, type: log\nprices: {}\n", 3, 7, "opened with { on line 2"),
        ("policies:\n  - name: @a\n", 2, 11, "cannot begin with @; quote it"),
        ("policies:\n\t- name: a\n", 2, 1, "a tab cannot indent YAML"),
        ('policies:\n  - name: "a\\d"\n', 2, 14, "\\d is no escape"),
        ("policies:\n  - name\n    type: log\n", 3, 9, "a colon with a space"),
        ("policies: - name: a\n", 1, 11, "a list item cannot begin here"),
        ("a: 1\n- b\n", 2, 1, "indented unlike"),
        ("note\npolicies: []\n", 2, 9, "a colon with a space"),
        ("note\n# a comment\npolicies: []\n", 3, 1, "this line stands outside of what comes before"),
        ("policies: [\n", 2, 1, "the file ends before a list opened with ["),
        ("policies:\n  - name: |a\n", 2, 12, "quote the value that begins with one"),
        ("policies: [}\n", 1, 12, "} closes what was not opened with {"),
        ("policies: [,a]\n", 1, 12, "a value is missing before ,"),
    ],
)  # fmt: skip
def test_slips(text: str, line: int, column: int, words: str) -> None:
    found = [item for item in lint(text, NOWHERE).diagnostics if item.code == "syntax"]
    assert len(found) == 1, found
    assert words in found[0].message
    assert "<" not in found[0].message.replace("<=", "") and "block" not in found[0].message
    assert (found[0].line, found[0].column) == (line, column)


SAMPLES = sorted((Path(__file__).parents[2] / "sample_configs").glob("*.yaml"))
SLIPS = [
    *"[]{},:-&*!|>'\"%@`#?\t \n",
    "- ",
    ": ",
    "---\n",
    "...\n",
    "? ",
    "<<: ",
    "\n  ",
    "%YAML 1.1\n",
    "|5\n",
    ">x\n",
]
PARSERS_WORDS = ("while ", "expected", "found", "token", "scalar", "node", "stream", "block", "<")


def test_no_slip_is_told_in_the_words_of_the_parser() -> None:
    random_ = random.Random(3)
    texts = [path.read_text() for path in SAMPLES]
    seen = set()
    for _ in range(600):
        text = random_.choice(texts)
        at = random_.randrange(len(text))
        text = text[:at] + random_.choice(SLIPS) + text[at + random_.randrange(4) :]
        seen |= {item.message for item in lint(text, NOWHERE).diagnostics if item.code == "syntax"}
    assert len(seen) > 20
    assert [message for message in seen if any(word in message for word in PARSERS_WORDS)] == []
