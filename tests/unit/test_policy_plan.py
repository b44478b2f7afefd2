"""The chain: what a request becomes, and the explanation that goes with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.facts import Decision, Endpoint, RequestFacts
from proxy.policy.lint import Surroundings, lint
from proxy.policy.plan import Plan, compile_plan

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def plan(text: str) -> Plan:
    result = lint(dedent(text), Surroundings({}, date(2026, 6, 1)))
    assert result.policy_file is not None, result.diagnostics
    return compile_plan(result.policy_file, "v1")


def facts(model: str = "gpt-4o", endpoint: Endpoint = "chat", **more: object) -> RequestFacts:
    given: dict[str, object] = {"arrived": NOON, "draw": 7, **more}
    return RequestFacts(endpoint, model, **given)  # type: ignore[arg-type]


def said(decision: Decision) -> tuple[str, str, tuple[str, ...]]:
    return decision.action, decision.model, decision.triggered


def test_without_policies_everything_is_allowed() -> None:
    assert said(plan("policies: []").decide(facts("anything"))) == ("allow", "anything", ())


FILTER = """
policies:
  - name: f
    type: model_filter
    {body}
"""


@pytest.mark.parametrize(
    ("body", "model", "endpoint", "expected"),
    [
        ("allowed_models: [gpt-4o, 'claude-*']", "claude-x", "chat", ("allow", "claude-x", ())),
        ("allowed_models: [gpt-4o]", "gpt-4o-mini", "chat", ("block", "gpt-4o-mini", ("f",))),
        ("allowed_models: [gpt-4o]", "GPT-4o", "chat", ("block", "GPT-4o", ("f",))),
        ("blocked_models: ['gpt-4*']", "gpt-4o", "embeddings", ("block", "gpt-4o", ("f",))),
        ("blocked_models: gpt-4", "gpt-4o", "chat", ("allow", "gpt-4o", ())),
        ("blocked_models: a\n    preferred_model: b", "a", "chat", ("redirect", "b", ("f",))),
        ("blocked_models: a\n    preferred_model: b", "a", "embeddings", ("block", "a", ("f",))),
        ("allowed_models: b\n    preferred_model: b", "a", "responses", ("redirect", "b", ("f",))),
        ("allowed_models: b\n    preferred_model: b", "b", "chat", ("allow", "b", ())),
        ("preferred_model: b", "a", "messages", ("redirect", "b", ("f",))),
        ("preferred_model: b", "a", "embeddings", ("allow", "a", ())),
        ("preferred_model: b", "b", "chat", ("allow", "b", ())),
        ("allowed_models: a\n    blocked_models: a", "a", "chat", ("block", "a", ("f",))),
        ("blocked_models: a\n    enabled: false", "a", "chat", ("allow", "a", ())),
        ("blocked_models: a\n    conditions: {stream: true}", "a", "chat", ("allow", "a", ())),
    ],
)
def test_model_filter(
    body: str, model: str, endpoint: Endpoint, expected: tuple[str, str, tuple[str, ...]]
) -> None:
    compiled = plan(FILTER.format(body=body))
    request = facts(model, endpoint)
    assert said(compiled.decide(request)) == expected
    assert said(compiled.explain(request)) == expected


def test_a_refusal_names_policy_and_line_and_ends_the_chain() -> None:
    compiled = plan(
        """\
        policies:
          - {name: f, type: model_filter, allowed_models: [gpt-4o]}
          - {name: l, type: log, severity: critical}
        """
    )
    decision = compiled.explain(facts("o1\x1b[2J"))
    assert decision.refusal is not None
    assert (decision.refusal.policy, decision.refusal.line) == ("f", 2)
    assert "is not in allowed_models" in decision.refusal.message
    assert decision.refusal.message.isprintable()
    assert [step.policy for step in decision.steps] == ["f"]
    assert decision.severity is None


@pytest.mark.parametrize(
    ("condition", "holding", "failing"),
    [
        ("model: gpt-4o", [{}], [{"model": "gpt-4o-mini"}]),
        ("model: 'gpt-?o'", [{}], [{"model": "gpt-4o-mini"}]),
        ("model: '*'", [{}, {"model": "x"}], []),
        ("model: [a, 'gpt*']", [{}, {"model": "a"}], [{"model": "b"}]),
        ("requested_model: gpt-4o", [{}], [{"model": "x"}]),
        ("max_tokens_gt: 5", [{"max_tokens": 6}], [{"max_tokens": 5}, {}]),
        ("max_tokens_gte: 5", [{"max_tokens": 5}], [{"max_tokens": 4}, {}]),
        ("max_tokens_lt: 5", [{"max_tokens": 4}], [{"max_tokens": 5}, {}]),
        ("max_tokens_lte: 5", [{"max_tokens": 5}], [{"max_tokens": 6}, {}]),
        ("prompt_chars_gt: 0", [{"prompt_chars": 1}], [{"prompt_chars": 0}, {}]),
        ("stream: true", [{"stream": True}], [{}]),
        ("stream: false", [{}], [{"stream": True}]),
        ("has_tools: true", [{"has_tools": True}], [{}]),
        ("has_images: true", [{"has_images": True}], [{}]),
        ("user: 'u-*'", [{"user": "u-1"}], [{"user": "v"}, {}]),
        ("key: [a, b]", [{"key": "b"}], [{"key": "c"}, {}]),
        ("header: {X-Team: ads}", [{"headers": {"x-team": "ads"}}], [{"headers": {"x-team": "b"}}, {}]),
        ("metadata: {tier: ['g*', s]}", [{"metadata": {"tier": "gold"}}], [{"metadata": {"tier": "x"}}, {}]),
        ("after: 2026-06-01", [{}], [{"arrived": datetime(2026, 5, 31, 23, 59, tzinfo=UTC)}]),
        ("after: 2026-06-01T12:00:00Z", [{}], [{"arrived": datetime(2026, 6, 1, 11, 59, tzinfo=UTC)}]),
        ("before: 2026-06-01T14:00:00+02:00", [{"arrived": datetime(2026, 6, 1, 11, tzinfo=UTC)}], [{}]),
    ],
)  # fmt: skip
def test_conditions(
    condition: str, holding: list[Mapping[str, object]], failing: list[Mapping[str, object]]
) -> None:
    compiled = plan(f"policies:\n  - {{name: l, type: log, conditions: {{{condition}}}}}\n")
    for more in holding:
        assert compiled.decide(facts(**more)).triggered == ("l",)  # type: ignore[arg-type]
    for more in failing:
        assert compiled.decide(facts(**more)).triggered == ()  # type: ignore[arg-type]
        (step,) = compiled.explain(facts(**more)).steps  # type: ignore[arg-type]
        assert step.outcome == "skipped"
        assert step.reason.startswith("does not hold: ")


def test_a_date_means_midnight_in_the_files_own_zone() -> None:
    compiled = plan(
        """
        gateway: {timezone: Europe/Berlin}
        policies:
          - {name: l, type: log, conditions: {after: 2026-06-02}}
        """
    )
    assert compiled.decide(facts(arrived=datetime(2026, 6, 1, 21, 59, tzinfo=UTC))).triggered == ()
    assert compiled.decide(facts(arrived=datetime(2026, 6, 1, 22, 0, tzinfo=UTC))).triggered == ("l",)


def test_all_conditions_must_hold_and_the_first_that_fails_is_told() -> None:
    compiled = plan(
        "policies:\n  - {name: l, type: log, conditions: {model: gpt-4o, max_tokens_lte: 2000}}\n"
    )
    (step,) = compiled.explain(facts(max_tokens=4096)).steps
    assert step.reason == "does not hold: max_tokens_lte 2000, the request says 4096"


def test_conditions_see_the_current_model_and_the_requested_one() -> None:
    compiled = plan(
        """
        policies:
          - {name: r, type: model_filter, conditions: {model: a}, preferred_model: b}
          - {name: now, type: log, conditions: {model: b}}
          - {name: sent, type: log, conditions: {requested_model: a}}
          - {name: gone, type: log, conditions: {model: a}}
        """
    )
    assert compiled.decide(facts("a")).triggered == ("r", "now", "sent")


def test_log_takes_the_highest_severity_and_warns_from_warn_on() -> None:
    two = "policies:\n  - {name: x, type: log, severity: error}\n  - {name: y, type: log, severity: info}\n"
    decision = plan(two).decide(facts())
    assert (decision.action, decision.severity, decision.triggered) == ("warn", "error", ("x", "y"))
    quiet = plan("policies:\n  - {name: y, type: log, severity: info}\n").decide(facts())
    assert (quiet.action, quiet.severity, quiet.triggered) == ("allow", "info", ("y",))


@pytest.mark.parametrize("log_first", [True, False])
def test_a_redirect_is_stronger_than_a_warning(log_first: bool) -> None:
    parts = [
        "  - {name: l, type: log, severity: warn}\n",
        "  - {name: r, type: model_filter, preferred_model: b}\n",
    ]
    decision = plan("policies:\n" + "".join(parts if log_first else parts[::-1])).decide(facts())
    assert (decision.action, decision.severity) == ("redirect", "warn")


SPLIT = """
policies:
  - name: ab
    type: traffic_split
    variants:
      - {model: gpt-4o, weight: 50, tag: a}
      - {model: claude-x, weight: 50, tag: b, target: anthropic}
    salt: s1
    rollout:
      phase: equal
      phases:
        - {name: equal, weights: {a: 50, b: 50}, duration: 1h30m}
        - {name: done, weights: {a: 0, b: 100}}
"""


def test_a_split_assigns_and_is_not_a_redirect() -> None:
    compiled = plan(SPLIT)
    seen = set()
    for user in range(50):
        decision = compiled.decide(facts(user=f"u{user}"))
        assert decision.action == "allow"
        assert decision.triggered == ("ab",)
        found = decision.assignment
        assert found is not None
        assert (found.split, found.salt, found.phase, found.unit_kind) == ("ab", "s1", "equal", "user")
        assert (found.tag, found.model, found.target) in {
            ("a", "gpt-4o", None),
            ("b", "claude-x", "anthropic"),
        }
        assert decision.model == found.model
        assert decision == compiled.decide(facts(user=f"u{user}"))
        seen.add(found.tag)
    assert seen == {"a", "b"}


def test_requests_without_a_unit_are_dealt_by_their_draw() -> None:
    compiled = plan(SPLIT)
    picked = [compiled.decide(facts(draw=draw)).assignment for draw in range(400)]
    assert {found.unit_kind for found in picked if found} == {"random"}
    on_b = sum(found is not None and found.tag == "b" for found in picked)
    assert 150 < on_b < 250


@pytest.mark.parametrize(
    ("model", "endpoint", "conditions", "assigned"),
    [
        ("claude-x", "chat", "", True),
        ("other", "chat", "", False),
        ("gpt-4o", "embeddings", "", False),
        ("gpt-4o", "moderations", "", False),
        ("gpt-4o", "messages", "", True),
        ("smart", "chat", "conditions: {model: smart}", True),
        ("gpt-4o", "chat", "conditions: {model: smart}", False),
        ("anything", "responses", "conditions: {model: '*'}", True),
        ("gpt-4o", "chat", "conditions: {stream: false}", True),
        ("other", "chat", "conditions: {stream: false}", False),
    ],
)
def test_who_takes_part_in_a_split(model: str, endpoint: Endpoint, conditions: str, assigned: bool) -> None:
    compiled = plan(SPLIT.replace("salt: s1", f"salt: s1\n    {conditions}"))
    assert (compiled.decide(facts(model, endpoint, user="u")).assignment is not None) is assigned


def test_only_the_first_split_that_takes_part_assigns() -> None:
    second = SPLIT.split("policies:\n")[1].replace("name: ab", "name: second")
    compiled = plan(SPLIT + second)
    decision = compiled.explain(facts(user="u"))
    assert decision.triggered == ("ab",)
    assert [(step.policy, step.outcome) for step in decision.steps] == [
        ("ab", "matched"),
        ("second", "skipped"),
    ]
    assert decision.steps[1].reason == "already_split"


def test_what_a_plan_tells_of_its_splits() -> None:
    (split,) = plan(SPLIT).splits
    assert (split.name, split.line, split.enabled, split.salt, split.phase) == ("ab", 3, True, "s1", "equal")
    assert split.unit == ("header:x-kt-unit", "safety_identifier", "user")
    assert [(arm.tag, arm.weight, arm.share) for arm in split.arms] == [("a", 50, 50), ("b", 50, 50)]
    assert [(phase.name, phase.duration_s, phase.duration_text, phase.line) for phase in split.phases] == [
        ("equal", 5400.0, "1h30m", 12),
        ("done", None, None, 13),
    ]
    assert split.phases[1].shares == {"a": Decimal(0), "b": Decimal(100)}
    assert not split.off_plan


@pytest.mark.parametrize(
    ("phase", "weight", "off"),
    [("equal", "50", False), ("equal", "51", True), ("rolled-back", "0", False), ("rolled-back", "50", True)],
)
def test_off_plan(phase: str, weight: str, off: bool) -> None:
    text = SPLIT.replace("phase: equal", f"phase: {phase}").replace(
        "claude-x, weight: 50", f"claude-x, weight: {weight}"
    )
    assert plan(text).splits[0].off_plan is off


def test_what_is_not_enforced_is_listed_and_does_nothing() -> None:
    compiled = plan(
        SPLIT.replace(
            "phase: equal\n",
            "phase: equal\n      advance: auto\n      gates: [{metric: error_rate, max_ratio: 1.5}]\n",
            1,
        )
        + """
  - {name: q, type: quality-scorer, min_score: 0.7, action: block}
  - {name: c, type: cost_limit, limit_usd: 1}
  - {name: r, type: rate_limit, requests: 1}
  - {name: off, type: rate_limit, requests: 1, enabled: false}
"""
    )
    assert [(item.policy, item.kind) for item in compiled.not_enforced] == [
        ("ab", "rollout gates"),
        ("ab", "rollout advance: auto"),
        ("q", "quality_scorer"),
        ("c", "cost_limit"),
        ("r", "rate_limit"),
    ]
    assert all(item.line > 0 for item in compiled.not_enforced)
    decision = compiled.explain(facts(user="u"))
    assert decision.triggered == ("ab",)
    assert [step.outcome for step in decision.steps] == [
        "matched",
        "not_enforced",
        "not_enforced",
        "not_enforced",
        "skipped",
    ]


def test_what_a_plan_asks_the_gateway_to_keep() -> None:
    compiled = plan(
        """
        events: {keep_headers: [X-Region]}
        policies:
          - {name: a, type: log, conditions: {header: {X-Team: a}, metadata: {Tier: a}}}
          - name: smart
            type: traffic_split
            unit: [header:X-Session, key]
            conditions: {model: [smart, gpt-4o, 'x*']}
            variants: [{model: gpt-4o, weight: 1}, {model: gpt-4o-mini, weight: 1}]
        """
    )
    assert compiled.kept_headers == {"x-team", "x-region"}
    assert compiled.kept_metadata == {"Tier"}
    assert compiled.unit_headers == {"x-session"}
    assert compiled.virtual_models == ("smart",)
    assert compiled.named_models == ("gpt-4o", "gpt-4o-mini")
    assert compiled.decide(facts("smart", headers={"x-session": "1"})).model in ("gpt-4o", "gpt-4o-mini")


MIXED = plan(
    SPLIT
    + """
  - {name: allow, type: model_filter, allowed_models: ['gpt-*', 'claude-*'], blocked_models: gpt-3}
  - name: simple
    type: model_filter
    conditions: {model: 'gpt-4o*', max_tokens_lte: 200}
    preferred_model: gpt-4o-mini
  - {name: log, type: log, severity: warn, conditions: {stream: true}}
"""
)


@given(
    st.sampled_from(["gpt-4o", "claude-x", "gpt-3", "llama", ""]),
    st.sampled_from(["chat", "embeddings", "responses"]),
    st.none() | st.integers(0, 500),
    st.booleans(),
    st.none() | st.text(max_size=8),
    st.integers(0, 2**64 - 1),
)
def test_explaining_decides_the_same(
    model: str, endpoint: Endpoint, max_tokens: int | None, stream: bool, user: str | None, draw: int
) -> None:
    request = facts(model, endpoint, max_tokens=max_tokens, stream=stream, user=user, draw=draw)
    quick, full = MIXED.decide(request), MIXED.explain(request)
    assert quick.steps == ()
    assert (*said(quick), quick.assignment, quick.severity, quick.refusal) == (
        *said(full),
        full.assignment,
        full.severity,
        full.refusal,
    )
    assert (quick.action == "block") is (quick.refusal is not None)
    assert all(step.reason for step in full.steps)


good_models = st.sampled_from(["gpt-4o", "gpt-4o-mini", "claude-x", "x\u0301"])
odd_models = st.sampled_from(["''", "~", "'gpt-*'", "[]"])
models = st.one_of(good_models, good_models, good_models, odd_models)
patterns = st.one_of(good_models, st.sampled_from(["'*'", "'gpt-?o*'"]))
weights = st.one_of(
    st.sampled_from(["0", "1", "50", "33.333", "1000000"]), st.sampled_from(["-1", ".nan", "1e3"])
)
limits = st.sampled_from(["0", "5", "2000"])
bodies = st.one_of(
    st.builds(
        "traffic_split\n    variants: [{{model: {}, weight: {}, tag: a}}, {{model: {}, weight: 7}}]\n".format,
        models,
        weights,
        good_models,
    ),
    st.builds(
        "traffic_split\n    unit: [{}]\n    variants: [{{model: {}, weight: 1}}]\n"
        "    rollout: {{phase: {}, phases: [{{name: p, weights: {{gpt-4o: 1}}}}]}}\n".format,
        st.sampled_from(["key", "header:X-A", "header:"]),
        good_models,
        st.sampled_from(["p", "rolled-back", "aborted", "~", "q"]),
    ),
    st.builds("model_filter\n    preferred_model: {}\n".format, models),
    st.builds("model_filter\n    allowed_models: [{}, {}]\n".format, patterns, models),
    st.builds(
        "model_filter\n    blocked_models: {}\n    preferred_model: {}\n".format, patterns, good_models
    ),
    st.builds("log\n    severity: {}\n".format, st.sampled_from(["warn", "info", "loud"])),
    st.just("quality-scorer\n    min_score: 0.5\n"),
    st.just("cost_limit\n    limit_usd: 1\n"),
)
conditions = st.one_of(
    st.just(""),
    st.builds("    conditions: {{max_tokens_lt: {}, model: {}}}\n".format, limits, patterns),
    st.builds("    conditions: {{user: {}, header: {{X-A: {}}}}}\n".format, patterns, patterns),
)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(bodies, conditions), max_size=3))
def test_any_accepted_file_serves_a_request(policies: list[tuple[str, str]]) -> None:
    text = "policies:\n" + "".join(
        f"  - name: p{index}\n    type: {body}{condition}" for index, (body, condition) in enumerate(policies)
    )
    result = lint(text, Surroundings({}, date(2026, 6, 1)))
    if result.policy_file is None:
        assert not result.clean
        return
    compiled = compile_plan(result.policy_file, "v")
    for request in (facts(user="u"), facts("claude-x", "embeddings", max_tokens=5), facts("")):
        assert compiled.decide(request).model == compiled.explain(request).model


def test_deciding_is_cheap() -> None:
    request = facts(user="u-1", max_tokens=300)
    started = time.process_time()
    for _ in range(2000):
        MIXED.decide(request)
    assert (time.process_time() - started) / 2000 < 200e-6
