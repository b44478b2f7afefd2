"""Text that was made to cost time or to crash: refused by counting, never by reading it."""

from __future__ import annotations

import time
from datetime import date

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.cli.lint_formats import Report, github_lines, json_text, sarif_text, text_lines
from proxy.config.files import decoded
from proxy.policy.document import MAX_BYTES, MAX_PARTS
from proxy.policy.lint import Surroundings, lint

SURROUNDINGS = Surroundings({}, date(2026, 6, 1))
MIB = 1 << 20

HOSTILE = {
    "flow": "[" * MIB,
    "maps": "{a: " * (MIB // 4),
    "dashes": "- " * (MIB // 2),
    "aliases": "a0: &a [x, x]\n" + "b: [*a, *a]\n" * (MIB // 12),
    "keys": "".join(f"wieght{number}: 1\n" for number in range(MIB // 14)),
    "one key": "a: 1\n" * (MIB // 5),
    "one long word": "a: " + "x" * (MIB - 5),
    "an open quote": 'a: "' + "x\n" * (MIB // 2 - 3),
    "items": "policies: [" + "a, " * (MIB // 3 - 5) + "]",
    "policies": "policies:\n" + "  - {name: a, type: log}\n" * (MIB // 25),
    "empty lines": "\n" * MIB,
    "carriage returns": "\r" * MIB,
    "wide letters": "ä" * (MIB // 2),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_mebibyte_is_never_read(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: object, **__: object) -> None:
        raise AssertionError("the text was read as YAML")

    monkeypatch.setattr(yaml, "parse", read)
    started = time.process_time()
    result = lint(HOSTILE[kind], SURROUNDINGS)
    spent = time.process_time() - started
    assert [problem.code for problem in result.diagnostics] == ["too-large"]
    assert spent < 0.5, "far above what counting costs, far below what reading would"


@pytest.mark.parametrize("letter", ["\n", ",", "[", "{", "\r"])
def test_many_parts_in_few_bytes_are_refused_too(letter: str) -> None:
    (problem,) = lint("a: '" + letter * (MAX_PARTS + 1) + "'", SURROUNDINGS).diagnostics
    assert (problem.code, problem.message) == ("too-large", "the file has more than 20,000 lines and items")


def test_the_greatest_text_is_still_read() -> None:
    text = "policies: [] # " + "x" * (MAX_BYTES - 15)
    assert len(text) == MAX_BYTES and lint(text, SURROUNDINGS).clean
    assert not lint(text + "x", SURROUNDINGS).clean


def every_form(text: str) -> None:
    result = lint(text, SURROUNDINGS)
    for problem in result.diagnostics:
        assert problem.message.isprintable()
        assert (problem.end_line, problem.end_column) >= (problem.line, problem.column) >= (1, 1)
    report = Report("p.yaml", text, result.diagnostics)
    for line in (*text_lines(report, colour=False), *github_lines(report)):
        assert "\n" not in line and "\x1b" not in line and "\r" not in line
    assert json_text([report], single=True) and sarif_text([report], "1.0.0")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"a: \x80")
def test_random_bytes(data: bytes) -> None:
    reading = decoded(data)
    if reading.text is None:
        assert reading.problem is not None and "UTF-8" in reading.problem
    else:
        every_form(reading.text)


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
@example("policies: [{name: &a, type: *a}]\u2028")
@example("\ufeff\ufeffa: 1")
@example("\U00018cd6:")
@example("a\u00a0b: 1")
@example("policies: [{name: 'a\u3000', type: 'lo\ue000g'}]")
def test_random_text(text: str) -> None:
    every_form(text)


PIECES = ["policies:\n", "  - ", "name: ", "type: ", "traffic_split", "log\n", "{", "}", "[", "]", ", ", "weight: ",
          "NaN", "-1", "1e999", "variants: ", "conditions: ", "max_tokens_gt: ", "\t", "# x\n", "'", '"', "|\n", "&a ",
          "*a", "!!x ", "<<: ", "? ", ": ", "\r\n", "providers: ", "targets: ", "\u202e", "0x1F", "~"]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_random_pieces_of_policies(text: str) -> None:
    every_form(text)
