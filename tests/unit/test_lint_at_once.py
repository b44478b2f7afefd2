"""A file with many mistakes shows all of them at once; one of them hides no other and makes none up."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.check import Surroundings
from proxy.policy.checks.examples import SURROUNDINGS, unmarked
from proxy.policy.document import parse
from proxy.policy.lint import lint
from proxy.policy.text_edits import apply_edits

MISTAKES = """\
version: «1:bad-value»3«:»
gateway:
  timezone: «2:bad-value»Mars/Olympus«:»
  «3:unknown-key»onDisconnect«:»: cancel
providers:
  targets:
    - {id: openai, secret_key_ref: {env: «4:env-not-set»OPENAI_KEY_TYPO«:»}}
    - {id: «5:duplicate-id»openai«:», secret_key_ref: {env: OPENAI_API_KEY}}
    - {id: anthropic, «6:literal-secret»api_key«:»: sk-ant-0123456789abcdef}
    - {id: local, base_url: «7:bad-url»"ftp://127.0.0.1/v1"«:», models: [m]}
    - {id: eu, base_url: «8:plain-http»"http://10.1.2.3/v1"«:», models: [n]}
policies:
  - name: a
    type: «9:unknown-type»trafic_split«:»
  - name: b
    type: traffic_split
    variants:
      - {«10:missing-key»model«:»: gpt-4o}
      - {model: gpt-4o-mini, weight: «11:out-of-range»-5«:»}
  - name: c
    type: traffic_split
    «12:weights-zero»variants«:»:
      - {model: gpt-4o, weight: 0, tag: a}
      - {model: gpt-4o-mini, weight: 0, tag: b}
    rollout:
      phase: «13:unknown-phase»canry«:»
      phases:
        - {name: canary, weights: {a: 95, b: 5, «14:phase-unknown-tag»c«:»: 0}, duration: 3d}
        - {name: done, weights: {a: 0, b: 100}}
  - {name: c2, type: log, «15:wrong-type»description«:»: [3d]}
  - name: d
    type: model_filter
    allowed_models: [gpt-4o, «16:allowed-and-blocked»o1«:»]
    blocked_models: [o1]
  - name: «17:duplicate-name»d«:»
    type: log
    severity: «18:bad-value»warning«:»
    enabled: «19:wrong-type»yes«:»
  - name: e
    type: log
    «20:never-holds»conditions«:»: {max_tokens_gt: 5, max_tokens_lt: 5}
  - name: f
    type: log
    conditions: {stream: «21:wrong-type»1«:», «22:unknown-key»maxTokensGt«:»: 5}
    «23:duplicate-key»name«:»: g
"""


def told(text: str, surroundings: Surroundings = SURROUNDINGS) -> list[tuple[str, int, int]]:
    return [(item.code, item.line, item.column) for item in lint(text, surroundings).diagnostics]


def test_every_mistake_of_a_file_is_shown_at_its_place_and_nothing_else() -> None:
    text, expected = MISTAKES, []
    while (at := text.find("«")) >= 0:
        mark, end = text[at + 1 : text.index("»")], text.index("»")
        if mark != ":":
            expected.append((mark.partition(":")[2], at))
        text = text[:at] + text[end + 1 :]
    document = parse(text)
    places = [(code, *document.position(offset)) for code, offset in expected]
    found = told(text)
    assert len(places) == 23
    assert [place for place in places if place not in found] == []
    assert [item for item in found if item not in places] == []


@pytest.mark.parametrize(
    "unread", ["type: lgo", "type: log, severity: loud", "type: log, conditions: {model: []}"]
)
def test_a_policy_that_cannot_be_read_hides_no_check_of_the_others(unread: str) -> None:
    text, (start, _) = unmarked(
        f"policies:\n  - {{name: broken, {unread}}}\n"
        "  - {name: closed, type: model_filter, blocked_models: ['*']}\n"
        "  - {name: «late», type: log}\n"
        "  - {name: late, type: log, conditions: {max_tokens_gt: 3, max_tokens_lt: 2}}\n"
    )
    found = told(text)
    assert ("never-reached", *parse(text).position(start)) in found
    assert {"never-holds", "duplicate-name"} <= {code for code, _, _ in found}


def test_what_cannot_be_read_leads_to_no_false_remark() -> None:
    broken_target = (
        "providers: {targets: [{id: openai, modles: [gpt-4o]}, {id: anthropic}]}\n"
        "policies:\n  - {name: r, type: model_filter, preferred_model: some-model}\n"
    )
    assert [code for code, _, _ in told(broken_target)] == ["unknown-key"]
    between = (
        "policies:\n  - {name: all, type: model_filter, preferred_model: gpt-4o}\n"
        "  - {name: unread, type: model_filter, preferred_modle: o1, blocked_models: [gpt-4o]}\n"
        "  - {name: l, type: log, conditions: {model: o1}}\n"
    )
    assert [code for code, _, _ in told(between)] == ["unknown-key"]
    alias = (
        "policies:\n  - {name: f, type: model_filter, blocked_models: ['*'], preferred_model: *x}\n"
        "  - {name: l, type: log}\n"
    )
    assert [code for code, _, _ in told(alias)] == ["alias"]
    misspelled_section = (
        "provders: {targets: [{id: x}]}\npolicies:\n  - {name: r, type: model_filter, preferred_model: m}\n"
    )
    assert [code for code, _, _ in told(misspelled_section)] == ["unknown-key"]


def test_the_six_failures_others_find_at_the_first_request() -> None:
    """Of configurations that were only validated when the proxy started, or by a request that failed."""
    wrong_name = "policies:\n  - {name: p, type: model_filter, preferred_model: gtp-4o}\n"
    shadowing = "policies:\n  - {name: p, type: log}\n  - {name: p, type: log, severity: warn}\n"
    strategy = "policies:\n  - {name: p, type: trafic_split, variants: []}\n"
    unset = "providers: {targets: [{id: openai, secret_key_ref: {env: NOT_SET}}]}\npolicies:\n  - {name: p, type: log}\n"
    drift = "policies:\n  - {name: p, type: model_filter, preferredModel: gpt-4o}\n"
    mapping = "policies:\n  - {name: p, type: model_filter, preferred_model: {model: gpt-4o}}\n"
    expected = {
        wrong_name: "model-not-served",
        shadowing: "duplicate-name",
        strategy: "unknown-type",
        unset: "env-not-set",
        drift: "unknown-key",
        mapping: "wrong-type",
    }
    for text, code in expected.items():
        assert code in [found for found, _, _ in told(text)], text
    (fix,) = [item.fix for item in lint(drift, SURROUNDINGS).diagnostics if item.code == "unknown-key"]
    assert fix is not None and fix.title == "rename to preferred_model"


def test_a_hostile_file_gets_a_bounded_list() -> None:
    text = "policies:\n" + "".join(
        f"  - {{name: p{index}, type: model_filter, blocked_models: [a, a], preferred_model: zz{index}}}\n"
        for index in range(2_000)
    )
    assert len(lint(text, SURROUNDINGS).diagnostics) <= 700


BROKEN = [
    "  - name: unfinished\n    type: «l»og: x\n",
    "  - {name: unfinished, type: [log\n«»",
    "  - name: unfinished\n   «t»ype: log\n",
    "  - name: unfinished\n    «\t»type: log\n",
]


@pytest.mark.parametrize("broken", BROKEN)
def test_an_unfinished_policy_hides_no_remark_on_the_others(broken: str) -> None:
    before = "policies:\n  - {name: a, type: logg}\n"
    after = "  - {name: b, type: log, severty: warn}\n# the end\nversion: 3\n"
    text, _ = unmarked(before + broken + after)
    found = told(text)
    assert found[0] == ("unknown-type", 2, 21)
    assert [code for code, _, _ in found[1:]] == ["syntax", "unknown-key", "bad-value"]
    line = text.splitlines().index("  - {name: b, type: log, severty: warn}") + 1
    assert found[2] == ("unknown-key", line, 26)
    assert not lint(text, SURROUNDINGS).clean


def test_a_fix_beside_an_unfinished_policy_fits_the_whole_text() -> None:
    text = "policies:\r\n  - {name: ü, type: [\r\n  - {name: b, type: log, severty: warn}\r\n"
    (found,) = [item for item in lint(text, SURROUNDINGS).diagnostics if item.code == "unknown-key"]
    assert found.fix is not None
    assert apply_edits(text, found.fix.edits) == text.replace("severty", "severity")


def test_nothing_is_concluded_from_what_was_left_out() -> None:
    chain = (
        "policies:\n  - {name: all, type: model_filter, preferred_model: gpt-4o}\n"
        "  - {name: unfinished, type: model_filter, preferred_model: [\n"
        "  - {name: l, type: log, conditions: {model: o1}}\n"
    )
    assert [code for code, _, _ in told(chain)] == ["syntax"]
    targets = (
        "providers:\n  targets:\n    - {id: openai}\n    - {id: x, models: [\n"
        "policies:\n  - {name: r, type: model_filter, preferred_model: some-model}\n"
    )
    assert [code for code, _, _ in told(targets)] == ["syntax"]
    assert [code for code, _, _ in told("policies:\n  - {name: only, type: [\n")] == ["syntax"]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(MISTAKES)), st.text(alphabet="{}[]'\":-#&* \n\t", max_size=4))
def test_no_slip_of_the_keyboard_raises(at: int, typed: str) -> None:
    text = MISTAKES[:at] + typed + MISTAKES[at:]
    for item in lint(text, SURROUNDINGS).diagnostics:
        assert (item.end_line, item.end_column) >= (item.line, item.column) >= (1, 1)
