"""Completion and key help: what is offered where, also in a text that does not parse. `‸` is the cursor."""

from __future__ import annotations

import pytest

from ktui.editor.completion import Completion, Known, complete
from ktui.editor.fields import policy_fields
from ktui.editor.find import hits_of, line_of, nearest
from ktui.editor.highlights import highlights_of
from ktui.editor.hover import Help, help_at
from ktui.editor.place import place_at

KNOWN = Known({"gpt-4o": "$2.50 in", "claude-x": "no price known", "o1*": "glob"}, ("eu", "us"), ("MY_KEY",))


def cursor(text: str) -> tuple[list[str], int, int]:
    before = text[: text.index("‸")]
    return text.replace("‸", "").split("\n"), before.count("\n"), len(before.rpartition("\n")[2])


def offered(text: str) -> Completion | None:
    return complete(policy_fields(), KNOWN, *cursor(text))


def labels(text: str) -> list[str]:
    found = offered(text)
    return [offer.label for offer in found.offers] if found is not None else []


def helped(text: str) -> Help | None:
    return help_at(policy_fields(), *cursor(text))


SPLIT = """\
policies:
  - name: ab
    type: traffic_split
    variants:
      - {model: a, weight: 1, tag: one}
      - {model: b, weight: 1, tag: two}
    rollout:
      phase: ‸PHASE
      CONTROL
      phases:
        - {name: canary, weights: {WEIGHT}}
        - {name: full, weights: {two: 1}}
  - name: other
    type: traffic_split
    variants: [{model: c, weight: 1, tag: foreign}]
"""


def split(place: str, words: str) -> str:
    text = SPLIT.replace("‸PHASE", words if place == "PHASE" else "canary")
    return text.replace("CONTROL", words if place == "CONTROL" else "advance: manual").replace(
        "WEIGHT", words if place == "WEIGHT" else "one: 1"
    )


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("‸", "version"),
        ("pol‸", "policies"),
        ("providers:\n  ‸", "targets"),
        ("providers:\n  targets:\n    - ‸", "id"),
        ("providers:\n  targets:\n    - id: x\n      prov‸", "provider"),
        ("providers:\n  targets:\n    - id: x\n      provider: a‸", "anthropic"),
        ("providers:\n  targets:\n    - {id: x, base‸}", "base_url"),
        ("providers:\n  targets:\n    - {id: x, secret_key_ref: {env: MY‸}}", "MY_KEY"),
        ("policies:\n  - ‸", "cost_limit …"),
        ("policies:\n- ‸", "cost_limit …"),
        ("policies:\n  ‸", "cost_limit …"),
        ("policies:\n  - name: a\n    type: tr‸", "traffic_split"),
        ("policies:\n  - name: a\n    type: model_filter\n    pref‸", "preferred_model"),
        ("policies:\n  - name: a\n    type: model_filter\n    preferred_model: ‸", "gpt-4o"),
        ("policies:\n  - name: a\n    type: model_filter\n    allowed_models: [gpt‸", "gpt-4o"),
        ("policies:\n  - name: a\n    type: model_filter\n    allowed_models:\n      - cl‸", "claude-x"),
        (
            "policies:\n  - name: a\n    type: model_filter\n    allowed_models: [gpt-4o,\n      cl‸]",
            "claude-x",
        ),
        ("policies:\n  - name: a\n    enabled: ‸", "true"),
        ("policies:\n  - {name: a, type: log, severity: w‸}", "warn"),
        ("policies:\n  - name: a\n    type: traffic_split\n    variants:\n      - {target: ‸}", "eu"),
        (split("PHASE", "f‸"), "full"),
        (split("CONTROL", "control: t‸"), "two"),
        (split("WEIGHT", "t‸"), "two"),
        ("prices:\n  gp‸", "gpt-4o"),
    ],
)
def test_the_first_offer(text: str, first: str) -> None:
    assert labels(text)[:1] == [first]


def test_a_broken_text_above_and_below_does_not_matter() -> None:
    text = (
        "gateway: [unclosed\npolicies:\n  - name: a\n    type: cost_limit\n    act‸\n    window: {{{\n ]: :\n"
    )
    assert labels(text) == ["action"]


def test_keys_that_are_there_are_not_offered_again() -> None:
    there = labels("policies:\n  - name: a\n    type: log\n    severity: info\n    ‸\n    enabled: true\n")
    assert there == ["description", "conditions"]
    assert labels("policies:\n  - {name: a, ‸, type: log, severity: info}") == [
        "description",
        "enabled",
        "conditions",
    ]


def test_the_type_says_which_keys() -> None:
    assert "limit_usd" in labels("policies:\n  - name: a\n    type: cost-limit\n    ‸")
    assert "limit_usd" not in labels("policies:\n  - name: a\n    type: log\n    ‸")


def test_required_keys_come_first() -> None:
    assert labels("policies:\n  - name: a\n    type: cost_limit\n    ‸")[0] == "limit_usd"


def test_tags_are_those_of_this_split() -> None:
    assert "foreign" not in labels(split("WEIGHT", "‸"))
    assert labels(split("WEIGHT", "one: 1, ‸")) == ["two"]


@pytest.mark.parametrize(
    "text", ["# providers‸", "policies: # ‸", "policies:\n  - name: a\n    description: |\n      type: ‸"]
)
def test_nothing_in_comments_and_text_blocks(text: str) -> None:
    assert offered(text) is None


def test_a_type_brings_the_keys_it_cannot_do_without() -> None:
    found = offered("policies:\n  - name: a\n    type: cos‸")
    assert found is not None and found.offers[0].insert == "cost_limit\n    limit_usd: "
    found = offered("policies:\n  - name: a\n    limit_usd: 3\n    type: cos‸")
    assert found is not None and found.offers[0].insert == "cost_limit"


def test_a_new_split_has_two_arms_to_fill_in() -> None:
    found = offered("policies:\n  - tra‸")
    assert found is not None
    offer = found.offers[0]
    assert offer.insert == (
        "name: \n    type: traffic_split\n    variants:\n"
        "      - {model: , weight:}\n      - {model: , weight:}"
    )
    assert offer.insert[: -offer.back] == "name: "


def test_what_yaml_reads_otherwise_is_quoted() -> None:
    found = offered("policies:\n  - name: a\n    type: model_filter\n    allowed_models: [o1‸]")
    assert found is not None and found.offers[0].insert == '"o1*"'


def test_the_word_under_the_cursor_is_no_known_name() -> None:
    assert "gpt-" not in labels("policies:\n  - name: a\n    type: model_filter\n    preferred_model: gpt-‸")


def test_the_word_is_replaced_as_a_whole() -> None:
    found = offered("policies:\n  - name: a\n    ty‸pp: x")
    assert found is not None and (found.start, found.end, found.typed) == (4, 8, "ty")


def test_every_prefix_of_a_policy_can_be_completed_without_an_error() -> None:
    text = SPLIT.replace("‸PHASE", "canary").replace("CONTROL", "control: one").replace("WEIGHT", "one: 1")
    for end in range(len(text)):
        lines = text[:end].split("\n")
        complete(policy_fields(), KNOWN, lines, len(lines) - 1, len(lines[-1]))
        help_at(policy_fields(), lines, len(lines) - 1, len(lines[-1]))


def test_path_of_a_nested_value() -> None:
    place = place_at(*cursor("a:\n  - b: {c: [x, y‸], d: 1}\n"))
    assert place is not None
    assert [step.key for step in place.path] == ["a", None, "b", "c", None]
    assert (place.kind, place.typed, place.flow) == ("item", "y", True)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "policies:\n  - name: a\n    type: log\n    sever‸ity: info",
            "severity  debug, info, warn, error, critical, default info.",
        ),
        ("policies:\n  - name: a\n    type: log\n    severity: in‸fo", "severity  debug,"),
        (
            "policies:\n  - name: a\n    type: traffic_split\n    variants:\n      - {model: a, wei‸ght: 1}",
            "weight  number, required, from 0",
        ),
        ("policies:\n  - name: a\n    type: log\n    sevrity‸: info", "sevrity: not a key of this place"),
        ("gateway:\n  keepalive: 1‸5s", "keepalive  text, default 15s."),
    ],
)
def test_help_for_a_key(text: str, sentence: str) -> None:
    found = helped(text)
    assert found is not None and found.sentence.startswith(sentence)


def test_find_counts_capitals_only_when_asked() -> None:
    text = "Model: model\nMODEL x"
    assert len(hits_of("model", text)) == 3
    assert [(hit.row, hit.start) for hit in hits_of("Model", text)] == [(0, 0)]
    assert hits_of("", text) == () and hits_of(".", text) == ()


def test_the_next_hit_goes_round() -> None:
    hits = hits_of("a", "a a\na")
    assert nearest(hits, 0, 0) == 0 and nearest(hits, 0, 0, step=1) == 1
    assert nearest(hits, 1, 0, step=1) == 0 and nearest(hits, 0, 0, step=-1) == 2
    assert nearest((), 0, 0) is None


@pytest.mark.parametrize(
    ("words", "line"), [(":12", 12), (": 7", 7), (":", None), ("12", None), (":1x", None)]
)
def test_line_numbers(words: str, line: int | None) -> None:
    assert line_of(words) == line


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        ("  - name: gpt-4o  # note", [("-", "punctuation.delimiter"), ("name", "yaml.field"), (":", "punctuation.delimiter"), ("# note", "comment")]),
        ('a: "x: # y"', [("a", "yaml.field"), (":", "punctuation.delimiter"), ('"x: # y"', "string")]),
        ("{a: 1.5, b: true}", [("{", "punctuation.delimiter"), ("a", "yaml.field"), (":", "punctuation.delimiter"), ("1.5", "number"), (",", "punctuation.delimiter"), ("b", "yaml.field"), (":", "punctuation.delimiter"), ("true", "number"), ("}", "punctuation.delimiter")]),
        ("url: http://x:80/a#b", [("url", "yaml.field"), (":", "punctuation.delimiter")]),
        ("it's: o'clock", [("it's", "yaml.field"), (":", "punctuation.delimiter")]),
    ],
)  # fmt: skip
def test_colours_of_a_line(line: str, parts: list[tuple[str, str]]) -> None:
    assert [(line[start:end], name) for start, end, name in highlights_of(line)] == parts
