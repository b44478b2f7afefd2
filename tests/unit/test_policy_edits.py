"""Edits by meaning, slider arithmetic, and differences."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.difference import ValueChange, changed_values, unified
from proxy.policy.document import ScalarNode, parse, scalars
from proxy.policy.edits import EditError, set_weights
from proxy.policy.lint import Surroundings, lint
from proxy.policy.plan import compile_plan
from proxy.policy.weights import WHOLE, rebalance, spell, to_percentages, to_tenths

TEXT = """\
# owner: search team
providers: {targets: [{id: openai}, {id: anthropic}]}

policies:
  - name: "ab"            # the test
    type: traffic_split

    variants:
      - {model: gpt-4o,   weight: 95.0 , tag: variant-a}   # control
      - model: claude-x
        weight: 5   # five
        tag: 'variant-b'
    rollout:
      phase: 'canary'     # live
      phases:
        - {name: canary,   weights: {variant-a: 95, "variant-b": 5},  duration: 3d}
        - name: expand
          weights:
            variant-b: 30
            variant-a: 70
  - {name: other, type: log, conditions: {max_tokens_gt: 95}}
"""

weights = st.decimals(min_value=0, max_value=1000, places=3)


def live(text: str) -> dict[str, Decimal]:
    result = lint(text, Surroundings({}, date(2026, 6, 1)))
    assert result.policy_file is not None
    return {arm.tag: arm.weight for arm in compile_plan(result.policy_file, "v").splits[0].arms}


def untouched(before: str, after: str) -> None:
    """Everything outside the five kinds of value that may change is the same, byte for byte."""

    def rest(text: str) -> str:
        document = parse(text)
        spans = [
            (node.start, node.end)
            for path, node in scalars(document.root)
            if path[-1] in ("weight", "phase") or "weights" in path
        ]
        for start, end in sorted(spans, reverse=True):
            text = f"{text[:start]}_{text[end:]}"
        return text

    assert rest(before) == rest(after)


@settings(max_examples=150, deadline=None)
@given(
    weights, weights, st.none() | st.tuples(weights, weights), st.booleans(), st.sampled_from(["\n", "\r\n"])
)
def test_only_the_values_change(
    a: Decimal, b: Decimal, planned: tuple[Decimal, Decimal] | None, promote: bool, newline: str
) -> None:
    text = TEXT.replace("\n", newline)
    changed = set_weights(
        text,
        "ab",
        weights={"variant-a": a, "variant-b": b},
        phases={"expand": {"variant-a": planned[0], "variant-b": planned[1]}} if planned else None,
        phase="expand" if promote else None,
    )
    untouched(text, changed)
    document = parse(changed)
    values = {path: node.value for path, node in scalars(document.root)}
    assert Decimal(values["policies", 0, "variants", 0, "weight"]) == a
    assert Decimal(values["policies", 0, "variants", 1, "weight"]) == b
    assert values["policies", 0, "rollout", "phase"] == ("expand" if promote else "canary")
    expected = planned or (Decimal(70), Decimal(30))
    assert Decimal(values["policies", 0, "rollout", "phases", 1, "weights", "variant-a"]) == expected[0]
    assert Decimal(values["policies", 0, "rollout", "phases", 1, "weights", "variant-b"]) == expected[1]


def test_promoting_writes_the_planned_weights_and_the_name_in_the_quotes_it_had() -> None:
    changed = set_weights(TEXT, "ab", phase="expand")
    assert changed == (
        TEXT.replace("weight: 95.0 ", "weight: 70 ")
        .replace("weight: 5   #", "weight: 30   #")
        .replace("'canary'", "'expand'")
    )
    assert live(changed) == {"variant-a": 70, "variant-b": 30}


def test_promoting_takes_the_plan_as_it_is_after_the_same_edit() -> None:
    changed = set_weights(
        TEXT,
        "ab",
        phase="expand",
        phases={"expand": {"variant-a": Decimal("66.6"), "variant-b": Decimal("33.4")}},
    )
    assert live(changed) == {"variant-a": Decimal("66.6"), "variant-b": Decimal("33.4")}


def test_the_same_numbers_change_nothing() -> None:
    assert set_weights(TEXT, "ab", weights={"variant-a": Decimal("95.00"), "variant-b": Decimal(5)}) == TEXT
    assert set_weights(TEXT, "ab", phase="canary") == TEXT


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("      phase: 'canary'     # live\n", "", "    rollout:\n      phase: expand\n      phases:\n"),
        ("phase: 'canary'     # live", "phase:     # live", "      phase: expand     # live\n"),
        ("phase: 'canary'     # live", "phase: ~", "      phase: expand\n"),
    ],
)
def test_a_phase_that_was_not_named_yet(old: str, new: str, expected: str) -> None:
    text = TEXT.replace(old, new)
    changed = set_weights(text, "ab", phase="expand")
    assert expected in changed
    assert live(changed) == {"variant-a": 70, "variant-b": 30}


def test_a_phase_inserted_into_a_flow_mapping() -> None:
    text = (
        "policies:\n- name: ab\n  type: traffic_split\n"
        "  variants: [{model: gpt-4o, weight: 1}, {model: claude-x, weight: 0}]\n"
        "  rollout: {phases: [{name: all, weights: {gpt-4o: 0, claude-x: 1}}]}\n"
    )
    changed = set_weights(text, "ab", phase="all")
    assert "  rollout: {phase: all, phases: [" in changed
    assert live(changed) == {"gpt-4o": 0, "claude-x": 1}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"split": "nope", "phase": "expand"}, "no split called nope"),
        ({"split": "other", "phase": "expand"}, "no split called other"),
        ({"split": "ab", "phase": "later"}, "has no phase later"),
        ({"split": "ab", "weights": {"c": Decimal(1)}}, "no weight of c"),
        ({"split": "ab", "phases": {"canary": {"c": Decimal(1)}}}, "no weight of c"),
        ({"split": "ab", "weights": {"variant-a": Decimal(-1)}}, "0 or more"),
        ({"split": "ab", "weights": {"variant-a": Decimal("NaN")}}, "0 or more"),
        ({"split": "ab", "weights": {"variant-a": Decimal("0.0001")}}, "at most 3 decimals"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: dict[str, object], sentence: str) -> None:
    with pytest.raises(EditError, match=sentence) as caught:
        set_weights(TEXT, **arguments)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_text_that_is_not_yaml_is_left_alone() -> None:
    with pytest.raises(EditError, match="mend it first"):
        set_weights("policies: [", "ab", phase="x")


def test_every_phase_of_the_sample_rollout_can_be_reached() -> None:
    text = (Path(__file__).parents[2] / "sample_configs" / "gradual-rollout.yaml").read_text()
    shares = []
    for phase in ("expand", "equal", "promote", "complete", "canary"):
        text = set_weights(text, "ab-test-models", phase=phase)
        shares.append(live(text)["variant-b"])
    assert shares == [30, 50, 90, 100, 5]
    assert text == (Path(__file__).parents[2] / "sample_configs" / "gradual-rollout.yaml").read_text()


tenths = st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any)


@given(tenths, st.data())
def test_the_slider_keeps_the_sum(raw: list[int], data: st.DataObject) -> None:
    shares = to_tenths({str(index): Decimal(value) for index, value in enumerate(raw)})
    tag = data.draw(st.sampled_from(sorted(shares)))
    locked = data.draw(st.sets(st.sampled_from(sorted(shares))))
    new = data.draw(st.integers(-100, 1100))
    after = rebalance(shares, tag, new, locked)
    assert sum(after.values()) == WHOLE
    assert all(0 <= share <= WHOLE for share in after.values())
    assert all(after[name] == shares[name] for name in locked)
    free = [name for name in shares if name != tag and name not in locked]
    if tag in locked or not free:
        assert after == shares
    else:
        room = WHOLE - sum(shares[name] for name in locked)
        assert after[tag] == max(0, min(new, room))


def test_the_others_absorb_a_change_in_proportion() -> None:
    assert rebalance({"a": 500, "b": 300, "c": 200}, "a", 0) == {"a": 0, "b": 600, "c": 400}
    assert rebalance({"a": 500, "b": 300, "c": 200}, "a", 600, {"b"}) == {"a": 600, "b": 300, "c": 100}
    assert rebalance({"a": 1000, "b": 0, "c": 0}, "a", 900) == {"a": 900, "b": 50, "c": 50}
    with pytest.raises(ValueError, match="sum to 1000"):
        rebalance({"a": 1}, "a", 0)


@given(
    st.dictionaries(st.text(max_size=3), st.decimals(0, 1000, places=3), min_size=1).filter(
        lambda d: any(d.values())
    )
)
def test_percentages_sum_to_100_and_stay_within_a_tenth(raw: dict[str, Decimal]) -> None:
    shares = to_percentages(raw)
    assert sum(shares.values()) == 100
    whole = sum(raw.values())
    assert all(abs(shares[tag] - raw[tag] * 100 / whole) < Decimal("0.1") for tag in raw)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("95", "95"),
        ("33.40", "33.4"),
        ("1E+2", "100"),
        ("0.500", "0.5"),
        ("0", "0"),
        ("-0", "0"),
        ("1E-3", "0.001"),
    ],
)
def test_shortest_spelling(value: str, text: str) -> None:
    assert spell(Decimal(value)) == text


def test_thirds() -> None:
    assert to_percentages(dict.fromkeys("abc", Decimal(1))) == {
        "a": Decimal("33.4"),
        "b": Decimal("33.3"),
        "c": Decimal("33.3"),
    }


def test_changed_values_are_named_by_what_they_belong_to() -> None:
    after = set_weights(TEXT, "ab", phase="expand").replace("# owner", "# Owner")
    assert changed_values(TEXT, after) == [
        ValueChange("policies[name=ab].variants[tag=variant-a].weight", "95.0", "70"),
        ValueChange("policies[name=ab].variants[tag=variant-b].weight", "5", "30"),
        ValueChange("policies[name=ab].rollout.phase", "canary", "expand"),
    ]


def test_an_inserted_policy_does_not_shift_the_others() -> None:
    new = "policies:\n  - {name: first, type: log}\n"
    changes = changed_values(TEXT, TEXT.replace("policies:\n", new))
    assert [(change.path, change.before, change.after) for change in changes] == [
        ("policies[name=first].name", None, "first"),
        ("policies[name=first].type", None, "log"),
    ]
    assert [change.after for change in changed_values(TEXT.replace("policies:\n", new), TEXT)] == [None, None]


def test_lists_of_words_are_one_value() -> None:
    assert changed_values("a: [x, y]\n", "a:\n  - x\n  - z\n") == [ValueChange("a", "x, y", "x, z")]
    assert changed_values("a: [x, y]\n", "a:\n  - x\n  - 'y'\n") == []


def test_unified_difference() -> None:
    assert unified("a\nb\n", "a\nb\n", "x", "y") == ""
    assert unified("a\nb\n", "a\nc", "v12", "draft") == (
        "--- v12\n+++ draft\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n"
    )


def test_values_of_a_broken_text() -> None:
    assert changed_values("a: [", "a: 1\n") == [ValueChange("a", None, "1")]
    assert isinstance(parse("a: 1").find(("a",)), ScalarNode)
