"""Variants of the checks beyond their examples: each finds its problem at the exact characters, or rightly nothing.

In these texts « and » stand around the place; a text without them must not have the problem.
"""

from __future__ import annotations

import pickle
import time
from dataclasses import replace
from datetime import date
from textwrap import dedent, indent

import pytest

from proxy.policy.check import Surroundings
from proxy.policy.checks.examples import SURROUNDINGS, unmarked
from proxy.policy.document import parse
from proxy.policy.lint import lint
from proxy.policy.model_lifecycle import LIFECYCLES
from proxy.policy.suggestions import spelled_span
from proxy.policy.text_edits import apply_edits


def chain(*policies: str) -> str:
    """A file of flow-style policies, named p0, p1, ... unless they say otherwise."""
    lines = [
        f"  - {{{text if 'name: ' in text else f'name: p{i}, {text}'}}}" for i, text in enumerate(policies)
    ]
    return "policies:\n" + "\n".join(lines) + "\n"


def split(
    body: str = "",
    variants: str = "{model: gpt-4o, weight: 95, tag: a}, {model: gpt-4o-mini, weight: 5, tag: b}",
) -> str:
    return f"policies:\n  - name: ab\n    type: traffic_split\n    variants: [{variants}]\n" + indent(
        dedent(body), "    "
    )


def rollout(phases: str, more: str = "") -> str:
    lines = "".join(f"    - {{{line.strip()}}}\n" for line in phases.strip().splitlines())
    return split(f"rollout:\n{indent(dedent(more), '  ')}  phases:\n{lines}")


def places(
    text: str, code: str, surroundings: Surroundings = SURROUNDINGS
) -> list[tuple[int, int, int, int]]:
    return [
        (item.line, item.column, item.end_line, item.end_column)
        for item in lint(text, surroundings).diagnostics
        if item.code == code
    ]


def assert_found(marked: str, code: str, surroundings: Surroundings = SURROUNDINGS) -> None:
    text, (start, end) = unmarked(marked)
    document = parse(text)
    expected = [(*document.position(start), *document.position(end))] if end else []
    assert places(text, code, surroundings) == expected


ALL_CLOSED = "type: model_filter, blocked_models: ['*']"
TO_MINI = "type: model_filter, preferred_model: gpt-4o-mini"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        # a catch-all block, also under conditions the later policy shares
        (chain(ALL_CLOSED, "name: «x», type: log"), "never-reached"),
        (chain(f"enabled: false, {ALL_CLOSED}", "type: log"), "never-reached"),
        (chain("type: model_filter, blocked_models: ['gpt-*']", "type: log"), "never-reached"),
        (chain(f"{ALL_CLOSED}, preferred_model: gpt-4o", "type: log"), "never-reached"),
        (chain(f"conditions: {{stream: true}}, {ALL_CLOSED}", "type: log"), "never-reached"),
        (chain(f"conditions: {{stream: true}}, {ALL_CLOSED}", "name: «x», type: log, conditions: {stream: true, user: u}"), "never-reached"),
        (chain("conditions: {model: o1}, type: model_filter, blocked_models: o1", "name: «x», type: log, conditions: {model: o1}"), "never-reached"),
        (chain("conditions: {model: o1}, type: model_filter, blocked_models: o1", f"conditions: {{stream: true}}, {TO_MINI}", "type: log, conditions: {model: o1}"), "never-reached"),
        (chain(TO_MINI, "type: log, conditions: {model: «o1»}"), "never-reached"),
        (chain(TO_MINI, "type: log, conditions: {model: text-embedding-3-large}"), "never-reached"),
        (chain(TO_MINI, "type: log, conditions: {model: gpt-4o-mini}"), "never-reached"),
        (chain(ALL_CLOSED, "name: x, type: rate_limit, requests: 5"), "never-reached"),
        # a limit behind one
        (chain(ALL_CLOSED, "name: «x», type: cost_limit, limit_usd: 5"), "limit-never-fires"),
        (chain("type: cost_limit, limit_usd: 5", ALL_CLOSED), "limit-never-fires"),
        (chain("type: rate_limit, requests: 5, «conditions»: {max_tokens_gt: 9, max_tokens_lt: 9}"), "limit-never-fires"),
        (chain("type: cost_limit, limit_usd: 5, conditions: {model: o1}, action: downgrade, downgrade_to: «o1»"), "limit-never-fires"),
        (chain("type: cost_limit, limit_usd: 5, action: downgrade, downgrade_to: gpt-4o-mini"), "limit-never-fires"),
        # repeated policies
        (chain("type: log", "name: «y», type: log"), "shadowed"),
        (chain("type: log", "type: log, severity: warn"), "shadowed"),
        (chain("type: log", "enabled: false, type: log"), "shadowed"),
        (chain("type: log, conditions: {stream: true, user: u}", "name: «y», type: log, conditions: {user: u, stream: true}"), "shadowed"),
        (chain("type: model_filter, blocked_models: [o1]", TO_MINI, "type: model_filter, blocked_models: [o1]"), "shadowed"),
        (chain("type: model_filter, preferred_model: «gpt-4o»", TO_MINI), "redirect-overridden"),
        (chain("type: model_filter, preferred_model: gpt-4o", "type: log, conditions: {model: gpt-4o}", TO_MINI), "redirect-overridden"),
        (chain("type: model_filter, preferred_model: «gpt-4o»", "type: log", TO_MINI), "redirect-overridden"),
        # picks
        (chain("type: model_filter, blocked_models: 'gpt-4o-*'", "type: model_filter, preferred_model: «gpt-4o-mini»"), "pick-refused-earlier"),
        (chain("conditions: {stream: true}, type: model_filter, blocked_models: 'gpt-4o-*'", TO_MINI), "pick-refused-earlier"),
        (chain("conditions: {stream: true}, type: model_filter, blocked_models: 'gpt-4o-*'", "conditions: {stream: true}, type: model_filter, preferred_model: «gpt-4o-mini»"), "pick-refused-earlier"),
        (chain("type: model_filter, blocked_models: o1", "type: cost_limit, limit_usd: 1, action: downgrade, downgrade_to: «o1»"), "pick-refused-earlier"),
        (chain("type: model_filter, allowed_models: [gpt-4o-mini], preferred_model: «gpt-4o»"), "preferred-refused"),
        (chain("type: model_filter, allowed_models: 'gpt-*', preferred_model: gpt-4o"), "preferred-refused"),
        (chain("type: model_filter, allowed_models: «ab», blocked_models: a*"), "allowed-and-blocked"),
        (chain("type: model_filter, allowed_models: [o1, gpt-4o], blocked_models: [o1-*]"), "allowed-and-blocked"),
        (chain("type: model_filter, allowed_models: [gpt-4o], blocked_models: [o1, «o1»]"), "duplicate-item"),
        # conditions
        (chain("type: log, «conditions»: {prompt_chars_lt: 0}"), "never-holds"),
        (chain("type: log, conditions: {max_tokens_gte: 5, max_tokens_lte: 5}"), "never-holds"),
        (chain("type: log, conditions: {after: 2026-08-01, before: «2026-07-31»}"), "never-holds"),
        (chain("type: log, conditions: {«header»: {Authorization: x}}"), "never-holds"),
        (chain("type: log, conditions: {header: {X-Team: x}}"), "never-holds"),
        (chain("type: log, conditions: {before: «2026-06-30»}"), "window-over"),
        (chain("type: log, conditions: {before: 2026-07-01}"), "window-over"),
        (chain("type: log, conditions: {key: anything}"), "unknown-client-key"),
        # sizes
        (chain("conditions: {max_tokens_lt: 10}, type: model_filter, preferred_model: o1", f"conditions: {{max_tokens_gte: «20»}}, {TO_MINI}"), "max-tokens-gap"),
        (chain("conditions: {max_tokens_lt: 10}, type: model_filter, preferred_model: o1", f"conditions: {{max_tokens_gte: 10}}, {TO_MINI}"), "max-tokens-gap"),
        (chain("conditions: {max_tokens_lt: 10, stream: true}, type: model_filter, preferred_model: o1", f"conditions: {{max_tokens_gte: 20}}, {TO_MINI}"), "max-tokens-gap"),
        (chain(f"conditions: {{max_tokens_lt: 100}}, {TO_MINI}", "conditions: {max_tokens_gt: 10, max_tokens_lt: 20}, type: model_filter, preferred_model: o1", "conditions: {max_tokens_gte: 100}, type: model_filter, preferred_model: o1"), "max-tokens-gap"),
        (chain("conditions: {max_tokens_lt: 20}, type: model_filter, preferred_model: o1", f"conditions: {{max_tokens_gte: «10»}}, {TO_MINI}"), "max-tokens-overlap"),
        (chain("conditions: {max_tokens_gt: 5}, type: model_filter, preferred_model: o1", f"conditions: {{max_tokens_lte: «30»}}, {TO_MINI}"), "max-tokens-overlap"),
        (chain("conditions: {max_tokens_gt: 5}, type: model_filter, preferred_model: o1", f"conditions: {{max_tokens_gt: 10}}, {TO_MINI}"), "max-tokens-overlap"),
        (chain("conditions: {max_tokens_gt: 5, model: gpt-4o}, type: model_filter, preferred_model: o1", f"conditions: {{max_tokens_lte: 30, model: gpt-4o}}, {TO_MINI}"), "max-tokens-overlap"),
        (chain(f"«conditions»: {{max_tokens_lt: 20}}, {TO_MINI}", "conditions: {max_tokens_gte: 20}, type: model_filter, preferred_model: o1"), "max-tokens-absent"),
        (chain(f"conditions: {{max_tokens_lt: 20}}, {TO_MINI}"), "max-tokens-absent"),
        # scorers
        (chain("type: quality_scorer, min_score: 0.5, sample_rate: «0»"), "scorer-never-acts"),
        (chain("type: quality_scorer, min_score: 0.5, conditions: {user: u}, action: «block»"), "blocks-streams"),
        (chain("type: quality_scorer, min_score: 0.5, conditions: {stream: true}, action: «block»"), "blocks-streams"),
        (chain("type: quality_scorer, min_score: 0.5, action: warn"), "blocks-streams"),
    ],
)  # fmt: skip
def test_the_chain(text: str, code: str) -> None:
    assert_found(text, code)


TWO = """
name: canary, weights: {a: 95, b: 5}, duration: 3d
name: complete, weights: {a: 0, b: 100}
"""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (split(variants="{model: gpt-4o, weight: 99.96, tag: a}, {model: o1, weight: «0.04», tag: b}"), "weight-below-step"),
        (split(variants="{model: gpt-4o, weight: 99.9, tag: a}, {model: o1, weight: 0.1, tag: b}"), "weight-below-step"),
        (split(variants="{model: gpt-4o, weight: 100, tag: a}, {model: o1, weight: 0, tag: b}"), "weight-below-step"),
        (split("unit: «header:x-team»"), "unit-not-seen"),
        (split("unit: [user]"), "unit-not-seen"),
        (split("unit: [conversation]"), "unit-not-seen"),
        (split(), "unit-not-seen"),
        (rollout(TWO), "phases-out-of-order"),
        (rollout("name: a1, weights: {a: 70, b: 30}, duration: 3d\nname: a2, «weights»: {a: 80, b: 20}, duration: 3d" + TWO.replace("name: canary, weights: {a: 95, b: 5}", "name: x, weights: {a: 50, b: 50}")), "phases-out-of-order"),
        (rollout(TWO, "control: b"), "plan-open-end"),
        (rollout("name: a1, weights: {a: 70, b: 30}, duration: 3d\nname: back, weights: {a: 100, b: 0}"), "phases-out-of-order"),
        (rollout(TWO.replace(", duration: 3d", "").replace("canary", "«canary»")), "phase-no-duration"),
        (rollout("name: all, weights: {a: 0, b: 100}"), "phase-no-duration"),
        (rollout(TWO.replace("a: 0, b: 100", "a: 40, b: 60").replace("complete, weights", "complete, «weights»")), "plan-open-end"),
        (rollout(TWO.replace("b: 5", "b: 5, «bb»: 1")), "phase-unknown-tag"),
        (rollout(TWO.replace("a: 95, b: 5", "«bb»: 5, a: 95")), "phase-unknown-tag"),
        (rollout(TWO.replace("a: 95, b: 5", "bb: 5, a: 95")), "phase-missing-tag"),
        (rollout(TWO, "control: «bb»\n"), "unknown-control"),
        (rollout(TWO, "phase: «canry»\n"), "unknown-phase"),
        (rollout(TWO, "phase: rolled-back\n"), "unknown-phase"),
    ],
)  # fmt: skip
def test_splits_and_rollouts(text: str, code: str) -> None:
    assert_found(text, code)


OPUS = "{model: «claude-opus-4-1-20250805», weight: 95, tag: a}, {model: gpt-4o, weight: 5, tag: b}"


@pytest.mark.parametrize(
    ("today", "phase", "durations", "found"),
    [
        (date(2026, 7, 1), "", ("20d", "15d"), False),  # the last day is the day of the retirement
        (date(2026, 7, 1), "", ("20d", "16d"), True),
        (date(2026, 7, 15), "", ("20d", "16d"), True),
        (date(2026, 7, 15), "phase: two\n", ("20d", "16d"), False),  # the first phase is over
        (date(2026, 8, 5), "", ("20d", "16d"), False),  # retired already: another diagnostic
    ],
)
def test_a_plan_that_outlasts_a_model(
    today: date, phase: str, durations: tuple[str, str], found: bool
) -> None:
    body = f"""\
        rollout:
          {phase.strip() or "paused: false"}
          phases:
            - {{name: one, weights: {{a: 95, b: 5}}, duration: {durations[0]}}}
            - {{name: two, weights: {{a: 50, b: 50}}, duration: {durations[1]}}}
            - {{name: end, weights: {{a: 0, b: 100}}}}
        """
    marked = split(body, OPUS)
    text = marked if found else marked.replace("«", "").replace("»", "")
    assert_found(text, "plan-outlasts-model", replace(SURROUNDINGS, today=today))
    retired = places(
        marked.replace("«", "").replace("»", ""), "model-retired", replace(SURROUNDINGS, today=today)
    )
    assert bool(retired) == (today >= date(2026, 8, 5))


def test_a_last_phase_that_keeps_a_doomed_model_has_no_end() -> None:
    body = "rollout:\n  phases:\n    - {name: one, weights: {a: 100, b: 0}}\n"
    assert_found(split(body, OPUS), "plan-outlasts-model")


ELSEWHERE = "providers: {targets: [{id: anthropic, base_url: 'https://proxy.example.com'}, {id: openai}]}\n"


def test_a_models_end_is_only_told_of_the_vendors_own_endpoint_and_in_time() -> None:
    redirect = chain("type: model_filter, preferred_model: «claude-opus-4-1-20250805»")
    plain = redirect.replace("«", "").replace("»", "")
    assert_found(redirect, "model-deprecated")
    assert_found(plain, "model-deprecated", replace(SURROUNDINGS, today=date(2026, 6, 4)))
    assert_found(ELSEWHERE + plain, "model-deprecated")
    assert_found(redirect, "model-retired", replace(SURROUNDINGS, today=date(2026, 8, 5)))
    fallback = "providers: {fallback_models: {gpt-4o: [«claude-3-opus-20240229»]}}\n" + chain("type: log")
    assert_found(fallback, "model-retired")


def test_the_dates_are_in_order() -> None:
    assert all(life.deprecated < life.retired for life in LIFECYCLES.values())
    assert LIFECYCLES["claude-sonnet-4-20250514"].retired == date(2026, 6, 15)


LOCAL = "providers: {targets: [{id: local, base_url: 'http://127.0.0.1:1', models: [in-house-7b, small]}, {id: openai}]}\n"
BUDGET = "type: cost_limit, limit_usd: 5"


@pytest.mark.parametrize(
    "text",
    [
        LOCAL + chain(BUDGET, "type: model_filter, preferred_model: «in-house-7b»"),
        LOCAL + chain(f"{BUDGET}, conditions: {{model: [gpt-4o, «in-house-7b»]}}"),
        LOCAL + chain(f"{BUDGET}, conditions: {{model: gpt-4o}}", "type: model_filter, preferred_model: in-house-7b"),
        LOCAL + chain(f"enabled: false, {BUDGET}", "type: model_filter, preferred_model: in-house-7b"),
        LOCAL + "prices: {'in-*': {input: 1, output: 2}}\n" + chain(BUDGET, "type: model_filter, preferred_model: in-house-7b"),
        LOCAL.replace("models: [", "pricing: {in-house-7b: {input: 1}}, models: [") + chain(BUDGET, "type: model_filter, preferred_model: in-house-7b"),
        LOCAL + chain(BUDGET, "type: model_filter, preferred_model: small"),
        LOCAL + chain("type: model_filter, preferred_model: in-house-7b"),
    ],
)  # fmt: skip
def test_prices_under_a_cost_limit(text: str) -> None:
    assert_found(text, "no-price")
    plain, _ = unmarked(text)
    assert places(plain, "no-price", replace(SURROUNDINGS, prices_known=None)) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (chain("type: model_filter, allowed_models: [gpt-4o, «gtp-4o-mini»]"), "model-not-served"),
        (chain("type: model_filter, allowed_models: ['gtp-*']"), "model-not-served"),
        (chain("type: model_filter, allowed_models: [small]", "conditions: {model: small}, type: model_filter, preferred_model: gpt-4o"), "model-not-served"),
        ("providers: {fallback_models: {gpt-4o: [«lama»]}}\n" + chain("type: log"), "model-not-served"),
        (chain("type: log") + "gateway: {client_keys: [{name: k, secret_key_ref: {env: OPENAI_API_KEY}, allowed_models: [«lama», 'x*']}]}\n", "model-not-served"),
        (split(variants="{model: gpt-4o, weight: 100, target: «anthropic»}"), "model-not-served"),
        (split(variants="{model: gpt-4o, weight: 100, target: «antropic»}"), "unknown-target"),
        (split("enabled: false", variants="{model: gpt-4o, weight: 100, target: antropic}"), "unknown-target"),
    ],
)  # fmt: skip
def test_models_and_targets(text: str, code: str) -> None:
    assert_found(text, code)


def target(body: str) -> str:
    return f"providers:\n  targets:\n    - id: openai\n{indent(dedent(body), '      ')}policies:\n  - {{name: p, type: log}}\n"


@pytest.mark.parametrize(
    "text",
    [
        target("secret_key_ref: «sk-live-0123456789abcdef»\n"),
        target("secret_key_ref: {env: «sk-live-0123456789abcdef»}\n"),
        target("«api_key»: sk-live-0123456789abcdef\n"),
        target("headers: {«Authorization»: Bearer sk-live-0123456789abcdef}\n"),
        target("headers: {x-extra: «Bearer abc.0123456789.def»}\n"),
        target("headers: {x-extra: «3f786850e387550fdab836ed7e6dc881»}\n"),
        target("base_url: 'https://example.com/«3f786850e387550fdab836ed7e6dc881de23001b»/v1'\n"),
        "# old key: «sk-proj-0123456789abcdefghij»\n" + chain("type: log"),
        chain("type: log, description: 'use «ghp_0123456789abcdefghijABCDEFGHIJ» for CI'"),
        chain("type: log, conditions: {header: {x-a: «AKIA0123456789ABCDEF»}}"),
        chain("type: log, description: 'the task-0123456789abcdefg of ask-0123456789'"),
        chain("type: log, description: 'sk-learn-is-a-library-not-a-key'"),
        chain("name: sk-team-2024-experiment-12, type: log, description: 'Bearer token-2024-rotation-of-keys'"),
        chain("type: log, description: 'Bearer of good news, and nothing secret'"),
        chain("name: request-id-3f786850e387550fdab836ed7e6dc881, type: log"),
        target("headers: {x-extra: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1111}\n"),
        chain("type: log") + "gateway: {client_keys: [{name: k, sha256: " + "3f786850e387550fdab836ed7e6dc881" * 2 + "}]}\n",
    ],
)  # fmt: skip
def test_secrets_are_found_wherever_they_stand(text: str) -> None:
    assert_found(text, "literal-secret")


def test_a_secret_is_never_repeated_in_what_is_said() -> None:
    text = target(
        "base_url: sk-live-0123456789abcdef\nheaders: {x-a: Bearer 0123456789abcdef, x-b: sk-live-0123456789abcdef}\n"
    )
    for item in lint(text, SURROUNDINGS).diagnostics:
        assert "0123456789" not in item.message + item.path


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (target("api_key: sk-live-0123456789abcdef\n"), target("secret_key_ref: {env: OPENAI_API_KEY}\n")),
        (target("secret_key_ref: sk-live-0123456789abcdef # x\n"), target("secret_key_ref: {env: OPENAI_API_KEY} # x\n")),
        (target("base_url: example.com/v1\n"), target("base_url: \"https://example.com/v1\"\n")),
        (target("base_url: http://example.com/v1\n"), target("base_url: \"https://example.com/v1\"\n")),
        (target("headers:\n  x-team: search\n  host: a # mine\n  x-b: c\n"), target("headers:\n  x-team: search\n  x-b: c\n")),
        (split(variants="{model: gpt-4o, weight: 2, tag: a}, {model: o1, weight: 1, tag: b}"), split(variants="{model: gpt-4o, weight: 66.7, tag: a}, {model: o1, weight: 33.3, tag: b}")),
        (rollout(TWO.replace("3d", "3 days")), rollout(TWO)),
        (rollout(TWO.replace("3d", "'1 hour 30 min'")), rollout(TWO.replace("3d", "'1h30m'"))),
        (split(variants="{model: gpt-4o, weight: 95.0004, tag: a}, {model: o1, weight: 5, tag: b}"), split(variants="{model: gpt-4o, weight: 95, tag: a}, {model: o1, weight: 5, tag: b}")),
        (chain("type: log", "type: log"), chain("type: log", "enabled: false, name: p1, type: log")),
        (chain("type: model_filter, allowed_models: [gpt-4o]", TO_MINI), chain("type: model_filter, allowed_models: [gpt-4o, gpt-4o-mini]", TO_MINI)),
        (chain("type: quality_scorer, min_score: 0.5, action: block"), chain("conditions: {stream: false}, name: p0, type: quality_scorer, min_score: 0.5, action: block")),
        (chain("type: model_filter, allowed_models: [o1, o1, gpt-4o]"), chain("type: model_filter, allowed_models: [o1, gpt-4o]")),
        ("policies:\n  - name: p\n    type: model_filter\n    allowed_models:\n      - o1 # a\n      - o1 # b\n      - gpt-4o\n", "policies:\n  - name: p\n    type: model_filter\n    allowed_models:\n      - o1 # a\n      - gpt-4o\n"),
        ("policies:\r\n  - name: p\r\n    type: model_filter\r\n    allowed_models:\r\n      - o1\r\n    preferred_model: gpt-4o\r\n", "policies:\r\n  - name: p\r\n    type: model_filter\r\n    allowed_models:\r\n      - o1\r\n      - gpt-4o\r\n    preferred_model: gpt-4o\r\n"),
        ("policies:\n  - {name: \"a\\u200bb\", type: log}\n", "policies:\n  - {name: \"ab\", type: log}\n"),
        (target("provider: opnai\n"), target("provider: openai\n")),
        (split("unit: usr"), split("unit: user")),
        (chain("type: cost_limit, limit_usd: 5, window: daay"), chain("type: cost_limit, limit_usd: 5, window: day")),
        (split(variants="{model: gpt-4o, weight: 95%, tag: a}, {model: o1, weight: 5, tag: b}"), split(variants="{model: gpt-4o, weight: 95, tag: a}, {model: o1, weight: 5, tag: b}")),
        (chain("type: rate_limit, tokens: 1_000_000"), chain("type: rate_limit, tokens: 1000000")),
    ],
)  # fmt: skip
def test_fixes_write_what_one_would_have_written(before: str, after: str) -> None:
    fixes = [item.fix for item in lint(before, SURROUNDINGS).diagnostics if item.fix is not None]
    assert after in [apply_edits(before, fix.edits) for fix in fixes]


@pytest.mark.parametrize(
    ("words", "span"),
    [("3 days", "3d"), ("1 hour, 30 minutes", "1h30m"), ("250 ms", "250ms"), ("2 weeks", "2w"), ("90 SECS", "90s"), ("soon", None), ("3 fortnights", None), ("", None), ("0 days", None)],
)  # fmt: skip
def test_spans_in_words(words: str, span: str | None) -> None:
    assert spelled_span(words) == span


def test_duplicate_client_keys_by_value() -> None:
    digest = "3f786850e387550fdab836ed7e6dc881" * 2
    text = (
        f"gateway: {{client_keys: [{{name: a, sha256: {digest}}}, {{name: b, sha256: «{digest}»}}]}}\n"
        + chain("type: log")
    )
    assert_found(text, "duplicate-client-key")


def test_surroundings_can_be_sent_to_another_process() -> None:
    surroundings = Surroundings({"A": "b"}, date(2026, 6, 1), recent_units={"user": 3})
    assert pickle.loads(pickle.dumps(surroundings)) == surroundings


def every_text() -> list[str]:
    """All texts of this module's tables, unmarked."""
    tables = (
        test_the_chain,
        test_splits_and_rollouts,
        test_prices_under_a_cost_limit,
        test_models_and_targets,
    )
    more = (test_secrets_are_found_wherever_they_stand, test_fixes_write_what_one_would_have_written)
    rows = [row for test in (*tables, *more) for row in test.pytestmark[0].args[1]]  # type: ignore[attr-defined]
    return [unmarked(row if isinstance(row, str) else row[0])[0] for row in rows]


@pytest.mark.parametrize("text", every_text())
def test_every_fix_leaves_one_problem_less_and_the_rest_of_the_text_alone(text: str) -> None:
    found = lint(text, SURROUNDINGS).diagnostics
    for item in found:
        if item.fix is None:
            continue
        changed = apply_edits(text, item.fix.edits)
        after = lint(changed, SURROUNDINGS).diagnostics
        assert sum(other.code == item.code for other in after) < sum(
            other.code == item.code for other in found
        )
        assert {other.code for other in after if other.severity == "error"} <= {other.code for other in found}
        first = min(edit.start for edit in item.fix.edits)
        last = max(edit.end for edit in item.fix.edits)
        assert changed[:first] == text[:first]
        assert changed[len(changed) - (len(text) - last) :] == text[last:]


@pytest.mark.parametrize(
    "text",
    [
        "policies:\n" + "- {name: a, type: log}\n" * 4_000,
        f"policies: [{', '.join(f'{{name: a{i}, type: model_filter, preferred_model: zz{i}}}' for i in range(500))}]\n"
        f"providers: {{targets: [{{id: openai, models: [{', '.join(f'm{i}*' for i in range(10_000))}]}}]}}",
        f"policies: [{{name: a, type: log, conditions: {{key: [{', '.join(f'k{i}*z' for i in range(3_000))}]}}}}]\n"
        "gateway:\n  client_keys:\n" + "".join(f"  - {{name: k{i}, secret_key_ref: {{env: A}}}}\n" for i in range(3_000)),
    ],
    ids=["names", "models", "keys"],
)  # fmt: skip
def test_the_cost_does_not_grow_with_the_square_of_a_hostile_file(text: str) -> None:
    started = time.process_time()
    reading = parse(text)
    read = time.process_time() - started
    assert reading.root is not None
    started = time.process_time()
    lint(text, SURROUNDINGS)
    assert time.process_time() - started < 5 * read + 0.6
