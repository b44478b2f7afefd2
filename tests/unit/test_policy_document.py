"""Reading policy text: positions, refusals, and edits that keep every other byte."""

from __future__ import annotations

import time
from datetime import date

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.document import MAX_BYTES, MappingNode, ScalarNode, parse, scalars, shown
from proxy.policy.lint import Surroundings, lint
from proxy.policy.text_edits import EditError, apply_edits, insert_key, replace_scalar, spell_scalar

SURROUNDINGS = Surroundings({}, date(2026, 6, 1))


def only(text: str) -> tuple[str, int, int]:
    """Code and place of the first complaint about reading `text`."""
    first = parse(text).problems[0]
    return first.code, first.line, first.column


def test_every_value_is_a_string_with_its_span() -> None:
    text = "a: 2024-10-21\nb: {c: 'x y', d: yes}\ne:\n  - 0600\n  - 1_000\n"
    document = parse(text)
    assert {path: (node.value, text[node.start : node.end]) for path, node in scalars(document.root)} == {
        ("a",): ("2024-10-21", "2024-10-21"),
        ("b", "c"): ("x y", "'x y'"),
        ("b", "d"): ("yes", "yes"),
        ("e", 0): ("0600", "0600"),
        ("e", 1): ("1_000", "1_000"),
    }


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_positions_with_any_line_ending_and_a_bom(newline: str, bom: str) -> None:
    text = bom + newline.join(["policies:", "  - name: äö", "    type: log", ""])
    document = parse(text)
    assert not document.problems
    node = document.find(("policies", 0, "type"))
    assert isinstance(node, ScalarNode)
    assert text[node.start : node.end] == "log"
    assert document.position(node.start) == (3, 11)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: &x 1\n", ("anchor", 1, 4)),
        ("a: 1\nb: *x\n", ("alias", 2, 4)),
        ("a:\n  <<: {b: 1}\n", ("merge-key", 2, 3)),
        ("a: !!python/object:os.system x\n", ("tag", 1, 4)),
        ("a: !!binary aGk=\n", ("tag", 1, 4)),
        ("a: 1\nb: 2\na: 3\n", ("duplicate-key", 3, 1)),
        ("a: {b: 1, 'b': 2}\n", ("duplicate-key", 1, 11)),
        ("a: 1\n---\nb: 2\n", ("multiple-documents", 2, 1)),
        ("a: \x1b]52;c;x\n", ("control-character", 1, 4)),
        ("a: 1\nb: \u202e\n", ("control-character", 2, 4)),
        ("a: x\x85b: 1\n", ("control-character", 1, 5)),
        ("a: \ud800\n", ("control-character", 1, 4)),
        ("a: b\ufeff\n", ("control-character", 1, 5)),
        ("a:\n\tb: 1\n", ("syntax", 2, 1)),
        ("a: b: c\n", ("syntax", 1, 5)),
        ("? [a]\n: 1\n", ("key-not-text", 1, 3)),
        ("", ("empty", 1, 1)),
        ("# only words\n", ("empty", 1, 1)),
        ("a" * (MAX_BYTES + 1), ("too-large", 1, 1)),
    ],
)
def test_what_is_refused_and_where(text: str, expected: tuple[str, int, int]) -> None:
    assert only(text) == expected
    assert not lint(text, SURROUNDINGS).clean


@pytest.mark.parametrize(
    "text",
    [
        "[" * 19_000,
        "{a: " * 19_000,
        "[\n" * 9_000,
        "[ " * 19_000,
        "[{" * 9_000,
        "[#\n" * 9_000,
        "- " * 100_000,
        "? " * 100_000,
        '["a",' * 9_000,
        "".join(" " * depth + "a:\n" for depth in range(600)),
    ],
    ids=["flow", "maps", "lines", "spaced", "mixed", "comments", "dashes", "keys", "strings", "block"],
)
def test_deep_nesting_is_refused_before_it_costs(text: str) -> None:
    started = time.process_time()
    document = parse(text)
    assert time.process_time() - started < 0.5
    assert "too-deep" in {problem.code for problem in document.problems}
    assert document.root is None


def test_merge_and_alias_bombs_cost_nothing() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 60))
    started = time.process_time()
    result = lint(bomb, SURROUNDINGS)
    assert time.process_time() - started < 0.5
    assert {"anchor", "alias"} <= {problem.code for problem in result.diagnostics}


def test_a_full_size_file_of_unknown_keys_stays_affordable() -> None:
    text = "".join(f"wieght{i}: 1\n" for i in range(18_000))
    started = time.process_time()
    result = lint(text, SURROUNDINGS)
    assert time.process_time() - started < 5
    assert not result.clean
    assert len(result.diagnostics) <= 200


@settings(max_examples=150, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab01:-{}[],'\"&*!#|>%@`~? \n\t\r\\\ufeff\x1b"), max_size=60))
def test_no_text_raises(text: str) -> None:
    result = lint(text, SURROUNDINGS)
    for problem in result.diagnostics:
        assert problem.message.isprintable()
        assert (problem.end_line, problem.end_column) >= (problem.line, problem.column) >= (1, 1)


def test_shown_keeps_a_message_on_one_harmless_line() -> None:
    assert shown("a\x1b[2J\nb\u200bc\u202ed") == "a\\u001b[2J\\u000ab\\u200bc\\u202ed"
    assert shown("a\u00a0b\u3000\U00018cd6\ue000") == "a\\u00a0b\\u3000\\U00018cd6\\ue000"
    assert len(shown("x" * 500)) == 80
    assert len(shown("\u00a0" * 500)) == 80


TEXT = """\
# owner: search team
policies:   # the chain
  - name: "ab"     # quoted
    type: traffic_split
    variants:
      - {model: gpt-4o,   weight: 95, tag: 'it''s'}   # first
      - {tag: b, weight: 5,model: claude}
    rollout:
      phases: []
      phase:
    note: |
      two
      lines
"""


values = st.text(
    alphabet=st.characters(
        blacklist_categories=("Cs",), blacklist_characters="".join(map(chr, (0xFFFE, 0xFFFF)))
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(
        [
            ("policies", 0, "name"),
            ("policies", 0, "variants", 0, "weight"),
            ("policies", 0, "variants", 0, "tag"),
            ("policies", 0, "variants", 1, "model"),
            ("policies", 0, "rollout", "phase"),
        ]
    ),
    values,
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
)
def test_an_edit_touches_its_span_alone(
    path: tuple[str | int, ...], value: str, newline: str, bom: str
) -> None:
    text = bom + TEXT.replace("\n", newline)
    document = parse(text)
    edit = replace_scalar(document, path, value)
    changed = apply_edits(text, [edit])
    assert changed[: edit.start] == text[: edit.start]
    assert changed[edit.start + len(edit.text) :] == text[edit.end :]
    before, after = dict(scalars(document.root)), dict(scalars(parse(changed).root))
    assert after[path].value == value
    assert {p: n.value for p, n in after.items() if p != path} == {
        p: n.value for p, n in before.items() if p != path
    }


@given(values, st.sampled_from([None, "'", '"']))
def test_spelling_reads_back_everywhere(value: str, style: str | None) -> None:
    spelled = spell_scalar(value, style)
    if spelled[0] in "'\"":
        assert yaml.safe_load(f"[a, {spelled}]") == ["a", value]
    root = parse(f"a: [{spelled}]").root
    assert isinstance(root, MappingNode)
    assert [node.value for _, node in scalars(root)] == [value]


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        ("a:\n  b: 1 # c\n", ("a",), "a:\n  k: v\n  b: 1 # c\n"),
        ("a:\r\n    - b: 1\r\n      c: 2\r\n", ("a", 0), "a:\r\n    - k: v\r\n      b: 1\r\n      c: 2\r\n"),
        ("a: {b: 1}\n", ("a",), "a: {k: v, b: 1}\n"),
        ("a: {}\n", ("a",), "a: {k: v}\n"),
        ("\ufeffb: 1", (), "\ufeffk: v\nb: 1"),
    ],
)
def test_insert_key(text: str, path: tuple[str | int, ...], expected: str) -> None:
    changed = apply_edits(text, [insert_key(parse(text), path, "k", "v")])
    assert changed == expected
    assert not parse(changed).problems
    assert parse(changed).find((*path, "k")) is not None


def test_edits_that_cannot_be_made_say_so() -> None:
    document = parse(TEXT)
    with pytest.raises(EditError, match="not a single value"):
        replace_scalar(document, ("policies",), "x")
    with pytest.raises(EditError, match="block of text"):
        replace_scalar(document, ("policies", 0, "note"), "x")
    with pytest.raises(EditError, match="is there already"):
        insert_key(document, ("policies", 0, "rollout"), "phase", "x")
