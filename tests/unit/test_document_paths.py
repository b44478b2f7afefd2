"""Places as people spell them, found again."""

from __future__ import annotations

import pytest

from proxy.policy.document import parse, scalars
from proxy.policy.paths import Named, PathError, parse_path, resolve, spell_path
from proxy.policy.structure_edits import EditError, insert_item, insert_key, remove, set_value
from proxy.policy.text_edits import apply_edits

TEXT = """\
policies:
  - name: ab-test-models   # the test
    type: traffic_split
    variants:
      - {model: gpt-4.1, weight: 95, tag: variant-a}
      - {model: o3, weight: 5, tag: "b ]c"}
  - {name: same, type: log}
  - {name: same, type: log}
prices:
  gpt-4.1: {input: 2}
"""
DOCUMENT = parse(TEXT)


def test_the_steps_of_a_path() -> None:
    spelled = 'policies[name=ab].variants[tag="b ]c"][3]."gpt-4.1".x'
    expected = ("policies", Named("name", "ab"), "variants", Named("tag", "b ]c"), 3, "gpt-4.1", "x")
    assert parse_path(spelled) == expected
    assert parse_path("") == ()
    assert parse_path("a[model=gpt-4.1]") == ("a", Named("model", "gpt-4.1"))


@pytest.mark.parametrize("spelled", [".a", "a..b", "a[", "a[b", "a[=c]", "a]", "a[1]b", "a.", 'a."b'])
def test_what_is_no_path(spelled: str) -> None:
    with pytest.raises(PathError, match="not a path from character"):
        parse_path(spelled)


def test_every_place_is_found_by_its_spelling() -> None:
    for path, _ in scalars(DOCUMENT.root):
        assert resolve(DOCUMENT, spell_path(DOCUMENT, path)) == path
    weight = ("policies", 0, "variants", 1, "weight")
    assert spell_path(DOCUMENT, weight) == 'policies[name=ab-test-models].variants[tag="b ]c"].weight'
    assert resolve(DOCUMENT, 'policies[name=ab-test-models].variants[tag="b ]c"].weight') == weight
    assert spell_path(DOCUMENT, ("policies", 2, "type")) == "policies[2].type"


@pytest.mark.parametrize(
    ("spelled", "sentence"),
    [
        ("policies[name=nope]", "policies has no item with name=nope"),
        ("policies[name=same]", "policies has 2 items with name=same"),
        ("prices[name=x]", "prices is not a list"),
        ("policies[name=ab-test-models].nope", "there is no policies"),
        ("policies[9]", "there is no policies"),
    ],
)
def test_what_leads_nowhere_is_one_sentence(spelled: str, sentence: str) -> None:
    with pytest.raises(PathError, match=sentence) as caught:
        resolve(DOCUMENT, spelled)
    assert "\n" not in str(caught.value)


def edit(text: str, spelled: str, value: str) -> str:
    document = parse(text)
    return apply_edits(text, [set_value(document, resolve(document, spelled), value)])


def test_a_weight_by_its_path_changes_two_characters() -> None:
    changed = edit(TEXT, "policies[name=ab-test-models].variants[tag=variant-a].weight", "70")
    assert changed == TEXT.replace("weight: 95", "weight: 70")


def test_the_spelling_of_neighbours_is_followed() -> None:
    document = parse(TEXT)
    variants = resolve(document, "policies[name=ab-test-models].variants")
    new = {"model": "o4", "weight": "0", "tag": "c"}
    changed = apply_edits(TEXT, [insert_item(document, variants, 2, new)])
    assert '      - {model: o3, weight: 5, tag: "b ]c"}\n      - {model: o4, weight: 0, tag: c}\n' in changed
    policy = {"name": "new", "type": "log", "conditions": {"model": ["a", "b"]}}
    changed = apply_edits(TEXT, [insert_item(document, ("policies",), 1, policy)])
    assert (
        "\n  - name: new\n    type: log\n    conditions:\n      model:\n        - a\n        - b\n  - {name: same"
        in changed
    )
    changed = apply_edits(TEXT, [insert_key(document, ("prices",), "o3", {"input": "1"})])
    assert changed == TEXT + "  o3:\n    input: 1\n"


def test_a_block_of_text_stays_one() -> None:
    text = "a:\n  note: |  \n      two\n\n      lines\n  b: 1\n"
    assert edit(text, "a.note", "three\n\nlines\n") == text.replace("two", "three")
    assert edit("a: | # why\n  x\nb: 1\n", "a", "y") == "a: y # why\nb: 1\n"
    assert edit("a: >-\n  x\n  y\nb: 1\n", "a", "z") == "a: z\nb: 1\n"


def test_the_comment_above_stays_and_the_one_behind_goes() -> None:
    text = "a:\n  # above\n  - x # behind\n  # below\n  - y\n"
    assert apply_edits(text, [remove(parse(text), ("a", 0))]) == "a:\n  # above\n  # below\n  - y\n"
    text = "- name: x # it\n  # why\n  type: log\n"
    assert apply_edits(text, [remove(parse(text), (0, "name"))]) == "- \n  # why\n  type: log\n"
    text = "a:\n- x # last\nb: 1\n"
    assert apply_edits(text, [remove(parse(text), ("a", 0))]) == "a: [] # last\nb: 1\n"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("? a\n: 1\n? b\n: 2\n", "written with"), ("[", "mend it first"), ("a: 1\na: 2\n", "mend it first")],
)
def test_what_cannot_be_edited_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(EditError, match=sentence):
        remove(parse(text), ("a",))
    with pytest.raises(EditError):
        insert_item(DOCUMENT, ("prices",), 0, "x")
    with pytest.raises(EditError, match="is there already"):
        insert_key(DOCUMENT, ("policies", 0), "name", "x")
    with pytest.raises(EditError, match="there is no"):
        remove(DOCUMENT, ("policies", 9))
