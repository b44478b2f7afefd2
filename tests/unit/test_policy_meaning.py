"""What differs between two policies, as sentences; what means the same says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.policy.meaning import MeaningError, meaning_of_texts

SAMPLES = sorted((Path(__file__).parents[2] / "sample_configs").glob("*.yaml"))

BASE = """\
gateway: {on_disconnect: cancel}
providers:
  targets:
    - id: openai
      base_url: https://user:pw@a.example
      headers: {x-team: s3cret}
    - {id: anthropic}
  fallback_models: {gpt-4o: [gpt-4]}
prices:
  gpt-4o: {input: 2.50, output: 10}
policies:
  - name: first
    type: model_filter
    conditions: {max_tokens_gt: 500, model: [a, b]}
    blocked_models: [gpt-3, o1]
  - name: ab
    type: traffic_split
    variants:
      - {model: gpt-4o, weight: 95, tag: a}
      - {model: o3, weight: 5, tag: b}
    rollout:
      phase: canary
      phases:
        - {name: canary, weights: {a: 95, b: 5}, duration: 3d}
        - {name: expand, weights: {a: 70, b: 30}}
  - {name: budget, type: cost_limit, limit_usd: 100, window: day, action: block}
  - {name: last, type: log}
"""


def said(*replacements: tuple[str, str]) -> list[str]:
    text = BASE
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return meaning_of_texts(BASE, text)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[gpt-3, o1]", "[gpt-3, o1, gpt-4]", "first now also blocks gpt-4"),
        ("[gpt-3, o1]", "[o1]", "first no longer blocks gpt-3"),
        ("[gpt-3, o1]", "[gpt-3, o1]\n    allowed_models: [x, y]", "first now allows only x and y"),
        ("[gpt-3, o1]", "[gpt-3, o1]\n    preferred_model: o4", "first now redirects to o4"),
        ("max_tokens_gt: 500", "max_tokens_gt: 300", "first asks for another max_tokens_gt 500 → 300"),
        ("max_tokens_gt: 500", "max_tokens_gt: 500, stream: true", "first now also asks for stream true"),
        ("max_tokens_gt: 500, ", "", "first no longer asks for max_tokens_gt 500"),
        ("model: [a, b]", "model: [a, c]", "first asks for another model now c instead of b"),
        ("{name: last, type: log}", "{name: last, type: log, enabled: false}", "last switched off"),
        ("limit_usd: 100", "limit_usd: 50", "budget limit 100 $/day → 50 $/day"),
        ("window: day", "window: hour", "budget limit 100 $/day → 100 $/hour"),
        ("action: block", "action: warn", "budget: action block → warn"),
        ("model: o3", "model: o4", "ab: b goes to o4 instead of o3"),
        ("phase: canary", "phase: expand", "ab: rollout.phase canary → expand"),
        ("duration: 3d", "duration: 4d", "ab: rollout.phases[canary].duration 3d → 4d"),
        ("{a: 70, b: 30}", "{a: 50, b: 50}", "ab: rollout.phases[expand].weights.a 70 % → 50 %"),
        ("    rollout:", "    salt: s\n    rollout:", "ab: salt changed, so units are dealt anew"),
        ("input: 2.50", "input: 3", "price of gpt-4o: input 2.5 → 3 $ per million tokens"),
        ("a.example", "b.example", "target openai: base_url https://…@a.example → https://…@b.example"),
        ("s3cret", "other", "target openai: headers.x-team changed"),
        ("on_disconnect: cancel", "on_disconnect: drain", "gateway: on_disconnect cancel → drain"),
        ("[gpt-4]", "[o3, o4]", "gpt-4o falls back to o3, o4 (was gpt-4)"),
        ("    - {id: anthropic}\n", "", "target anthropic removed"),
        ("type: log", "type: model_filter, blocked_models: x", "last is now a model_filter, was a log"),
        ("name: last", "name: new", "policy new added (log)"),
    ],
)
def test_one_change_is_one_sentence(old: str, new: str, sentence: str) -> None:
    assert sentence in said((old, new))


def test_weights_are_said_as_shares_in_one_sentence() -> None:
    told = said(("weight: 95,", "weight: 7,"), ("weight: 5,", "weight: 3,"))
    assert told == ["ab: b 5 % → 30 %, a 95 % → 70 %"]


def test_the_fewest_policies_moved() -> None:
    first, rest = BASE.split("  - name: first\n", 1)
    body, rest = rest.split("  - name: ab\n", 1)
    moved = f"{first}  - name: ab\n{rest}  - name: first\n{body}"
    assert meaning_of_texts(BASE, moved) == ["policy first moved to the end"]
    assert meaning_of_texts(moved, BASE) == ["policy first moved before ab"]


def test_what_means_the_same_says_nothing() -> None:
    same = (
        BASE.replace("weight: 95,", "weight: 9.50,").replace("weight: 5,", "weight: 0.5,")
        .replace("{a: 95, b: 5}", "{b: 1, a: 19}")
        .replace("type: log}", "type: log, enabled: true, description: words}  # why")
        .replace("model: [a, b]", "model: [b, a]")
        .replace("[gpt-3, o1]", "\n      - o1\n      - gpt-3")
        .replace("output: 10", "output: 10.00")
        .replace("gateway: {on_disconnect: cancel}\n", "")
        .replace("traffic_split", "traffic-split")
        .replace("\n", "\r\n")
    )  # fmt: skip
    assert meaning_of_texts(BASE, same) == []


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_a_file_means_what_it_means(sample: Path) -> None:
    text = sample.read_text()
    assert meaning_of_texts(text, text) == []
    assert meaning_of_texts("policies: []\n", text) != []


def test_a_text_that_cannot_be_read_is_named() -> None:
    with pytest.raises(MeaningError, match="the second text cannot be read: line 1: "):
        meaning_of_texts(BASE, "policies: [")
    with pytest.raises(MeaningError, match="draft cannot be read: line 1: unknown key"):
        meaning_of_texts(BASE, "polices: []", "running", "draft")
