"""A replay agrees with what then happens: random policies, random requests, only what the recorder keeps."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.facts import Decision, RequestFacts
from proxy.policy.impact import Impact, Route, move_of, replay, why
from proxy.policy.lint import Surroundings, lint
from proxy.policy.plan import Plan, compile_plan
from proxy.policy.recorded import DEFAULT_UNIT_HEADERS, RecordedRequest, UserNames, facts_of, kept_facts

MODELS = ["gpt-4o", "gpt-4o-mini", "claude-sonnet-4", "auto"]
GLOBS = ["gpt-*", "*mini", "claude-?onnet-4", "*"]
USERS = ["alice", "bob", "team-a-1", "", "ü\u0301"]
TIERS = ["gold", "free", ""]
DAY = 86_400_000
START = 1_760_000_000_123

some = st.sampled_from


def listed(values: list[str], globs: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(some([value for value in values if value] + globs), min_size=1, max_size=2, unique=True)


def at(ms: int) -> datetime:
    return datetime.fromtimestamp(ms // 1_000, UTC).replace(microsecond=ms % 1_000 * 1_000)


def moment(days: int) -> str:
    return at(START + days * DAY + 8).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


numbers = {f"{fact}_{relation}": st.integers(0, 5).map(lambda n: n * 100) for fact in ("max_tokens", "prompt_chars") for relation in ("gt", "gte", "lt", "lte")}  # fmt: skip
ASKED: dict[str, st.SearchStrategy[Any]] = {
    "model": listed(MODELS, GLOBS),
    "requested_model": listed(MODELS, GLOBS),
    **numbers,
    "stream": st.booleans(),
    "has_tools": st.booleans(),
    "has_images": st.booleans(),
    "user": listed(USERS, ["team-*", "*"]),
    "key": listed(["ci", "web"], ["c*"]),
    "header": st.dictionaries(some(["x-team", "X-Tier", "x-kt-unit"]), listed(TIERS, ["g*"]), min_size=1),
    "metadata": st.dictionaries(some(["tier", "app"]), listed(TIERS, ["*"]), min_size=1),
    "after": some([moment(-1), moment(0), moment(1), "2025-10-09"]),
    "before": some([moment(-1), moment(0), moment(1), "2025-10-10"]),
}
# At most two conditions: with more, nothing ever matches.
few = st.lists(some(sorted(ASKED)), max_size=2, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: ASKED[name] for name in names})
)
filters = st.fixed_dictionaries(
    {"type": st.just("model_filter"), "preferred_model": some(MODELS), "conditions": few},
    optional={"blocked_models": listed(MODELS, GLOBS), "allowed_models": listed(MODELS, GLOBS)},
)
blocks = st.fixed_dictionaries(
    {"type": st.just("model_filter"), "blocked_models": listed(MODELS, GLOBS), "conditions": few}
)
logs = st.fixed_dictionaries(
    {"type": st.just("log"), "severity": some(["debug", "info", "warn", "critical"]), "conditions": few}
)
limits = st.fixed_dictionaries({"type": st.just("rate_limit"), "requests": st.just(5), "conditions": few})
UNITS = ["user", "safety_identifier", "key", "conversation", "header:x-kt-unit", "header:x-account"]
splits = st.builds(
    lambda weights, units, salt, given: {
        "type": "traffic_split",
        "variants": [{"model": model, "weight": weight, "tag": f"arm-{n}"} for n, (model, weight) in enumerate(weights)],
        "conditions": given,
        **({"unit": units} if units else {}),
        **({"salt": salt} if salt else {}),
    },
    st.lists(st.tuples(some(MODELS), st.integers(1, 9)), min_size=1, max_size=3),
    st.lists(some(UNITS), max_size=3, unique=True),
    some(["", "2"]),
    few,
)  # fmt: skip
kinds = st.one_of(filters, blocks, logs, limits, splits, splits)
chains = st.lists(st.tuples(kinds, st.booleans() | st.just(True)), min_size=1, max_size=4)
texts = st.builds(
    lambda chain, keep: json.dumps(
        {
            "events": {"keep_headers": keep},
            "policies": [
                {"name": f"p{n}", "enabled": enabled, **policy} for n, (policy, enabled) in enumerate(chain)
            ],
        }
    ),
    chains,
    st.lists(some(["x-team", "x-other"]), unique=True, max_size=1),
)


@st.composite
def requests(draw: st.DrawFn) -> RequestFacts:
    """A request with all its headers: what a gateway reads of them is up to its plan."""
    maybe = lambda values: draw(st.none() | some(values))  # noqa: E731
    headers = draw(
        st.dictionaries(some(["x-team", "x-tier", "x-kt-unit", "x-account"]), some([*TIERS, "u-1"]))
    )
    return RequestFacts(
        endpoint=draw(some(["chat", "chat", "messages", "embeddings"])),
        requested_model=draw(some(MODELS)),
        arrived=at(START + draw(some([0, 7, 8, 9])) + draw(some([-DAY, 0, DAY]))),
        draw=draw(st.integers(0, 2**64 - 1)),
        max_tokens=maybe([0, 100, 101, 2**63]),
        prompt_chars=maybe([0, 100, 300]),
        stream=draw(st.booleans()),
        has_tools=draw(st.booleans()),
        has_images=draw(st.booleans()),
        user=maybe(USERS),
        safety_identifier=maybe(["s-1", "s-2", ""]),
        key=maybe(["ci", "web"]),
        headers=headers,
        metadata=draw(st.dictionaries(some(["tier", "app"]), some(TIERS))),
    )


def plan_of(text: str) -> Plan:
    result = lint(text, Surroundings({}, date(2026, 6, 1)))
    assert result.policy_file is not None, [str(item) for item in result.diagnostics]
    return compile_plan(result.policy_file, "v")


def as_read(facts: RequestFacts, plan: Plan) -> RequestFacts:
    """The facts as the gateway reads them under `plan`."""
    wanted = plan.kept_headers | plan.unit_headers | DEFAULT_UNIT_HEADERS
    return replace(facts, headers={name: value for name, value in facts.headers.items() if name in wanted})


def recorded(facts: RequestFacts, plan: Plan) -> RecordedRequest:
    """What is stored of a request that `plan` decided, as it comes back from the store."""
    read = as_read(facts, plan)
    decision = plan.decide(read)
    assigned = decision.assignment
    known = {assigned.unit_kind: assigned.unit_digest} if assigned is not None else {}
    kept = msgspec.json.decode(msgspec.json.encode(kept_facts(read, plan, known)))
    return RecordedRequest(
        id="r",
        timestamp_ms=round(facts.arrived.timestamp() * 1_000),
        endpoint=facts.endpoint,
        requested_model=facts.requested_model,
        model=decision.model,
        decision=decision.action,
        tag=assigned.tag if assigned is not None else None,
        draw=facts.draw,
        kept=kept,
        stream=facts.stream,
        key=facts.key,
        triggered=decision.triggered,
    )


def route(decision: Decision) -> Route:
    assigned = decision.assignment
    return Route(decision.action, decision.model, assigned.tag if assigned is not None else None)


def unpriced(request: RecordedRequest, decision: Decision) -> int | None:
    return None


def asks_more(draft: Plan, ran: Plan) -> bool:
    """Whether `draft` asks what the version that ran did not have kept."""
    return bool(
        draft.kept_headers - ran.kept_headers
        or draft.kept_metadata - ran.kept_metadata
        or draft.unit_headers - ran.unit_headers - DEFAULT_UNIT_HEADERS
        or (any("*" in pattern for pattern in draft.user_patterns) and not ran.user_patterns)
    )


@settings(max_examples=250, deadline=None)
@given(ran=texts, draft=texts, sent=st.lists(requests(), min_size=1, max_size=12))
def test_what_is_told_is_what_happens(ran: str, draft: str, sent: list[RequestFacts]) -> None:
    plan, next_plan = plan_of(ran), plan_of(draft)
    found = replay(next_plan, [recorded(facts, plan) for facts in sent], unpriced)
    for outcome, facts in zip(found.outcomes, sent, strict=True):
        if outcome.after is None:
            assert asks_more(next_plan, plan)
            continue
        happened = next_plan.decide(as_read(facts, next_plan))
        assert outcome.after == route(happened)
        assert outcome.fired == happened.triggered
        assert why(next_plan, outcome)


@settings(max_examples=100, deadline=None)
@given(text=texts, sent=st.lists(requests(), min_size=1, max_size=12))
def test_what_ran_is_told_in_full(text: str, sent: list[RequestFacts]) -> None:
    plan = plan_of(text)
    found = replay(plan, [recorded(facts, plan) for facts in sent], unpriced)
    assert found.changed == found.cannot_tell == 0
    for policy in found.policies:
        assert policy.fired == policy.would_fire


def facts(**more: Any) -> RequestFacts:
    values: dict[str, Any] = {
        "endpoint": "chat",
        "requested_model": "gpt-4o",
        "arrived": at(START),
        "draw": 7,
    }
    return RequestFacts(**{**values, **more})


def policy(*policies: dict[str, Any]) -> Plan:
    return plan_of(json.dumps({"policies": [{"name": f"p{n}", **item} for n, item in enumerate(policies)]}))


NOTHING = policy({"type": "log", "severity": "debug"})
SPLIT = {
    "type": "traffic_split",
    "variants": [{"model": "gpt-4o", "weight": 50}, {"model": "claude-sonnet-4", "weight": 50}],
}


def block(**conditions: Any) -> dict[str, Any]:
    return {"type": "model_filter", "blocked_models": ["*"], "conditions": conditions}


def one(draft: Plan, ran: Plan, sent: RequestFacts) -> Impact:
    return replay(draft, [recorded(sent, ran)], unpriced)


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ({"header": {"x-team": "a"}}, "depends on the header x-team, which was not recorded"),
        ({"metadata": {"tier": "a"}}, "depends on the metadata tier, which was not recorded"),
        ({"user": "team-*"}, "depends on the user, which was not recorded"),
    ],
)
def test_a_fact_that_was_not_recorded_cannot_be_told(conditions: dict[str, Any], reason: str) -> None:
    found = one(policy(block(**conditions)), NOTHING, facts(user="alice"))
    assert found.cannot_tell == 1
    assert found.reasons() == [(reason, 1)]
    assert found.outcomes[0].after is None


def test_another_condition_that_fails_makes_it_sure() -> None:
    draft = policy(block(header={"x-team": "a"}, stream=True))
    assert one(draft, NOTHING, facts()).cannot_tell == 0
    assert one(draft, NOTHING, facts(stream=True)).cannot_tell == 1


def test_a_policy_that_would_do_nothing_anyway_makes_nothing_unsure() -> None:
    given = {"header": {"x-team": "a"}}
    draft = policy({"type": "model_filter", "blocked_models": ["*-mini"], "conditions": given})
    assert one(draft, NOTHING, facts()).cannot_tell == 0
    assert one(draft, NOTHING, facts(requested_model="gpt-4o-mini")).cannot_tell == 1
    steps = draft.explain(facts_of(recorded(facts(), NOTHING), UserNames())).steps
    assert [(step.outcome, step.reason) for step in steps] == [
        ("skipped", "would change nothing, whatever the header x-team was")
    ]


def test_a_disabled_or_not_enforced_policy_makes_nothing_unsure() -> None:
    limit = {"type": "rate_limit", "requests": 1, "conditions": {"header": {"x-team": "a"}}}
    found = one(policy({**block(user="a*"), "enabled": False}, limit), NOTHING, facts(user="alice"))
    assert found.cannot_tell == 0
    assert [item.note for item in found.policies[:2]] == [
        "disabled",
        "rate_limit is not enforced by this version",
    ]


def test_a_first_split_is_told_from_requests_that_had_none() -> None:
    for sent in (facts(), facts(user="u"), facts(headers={"x-kt-unit": "h"}), facts(safety_identifier="s")):
        found = one(policy(SPLIT), NOTHING, sent)
        assert found.outcomes[0].after == route(policy(SPLIT).decide(sent))


def test_a_unit_that_was_not_read_cannot_be_told() -> None:
    draft = policy({**SPLIT, "unit": ["header:x-account"]})
    found = one(draft, NOTHING, facts(headers={"x-account": "1"}))
    assert found.reasons() == [("depends on the unit header:x-account, which was not recorded", 1)]
    later = policy({**SPLIT, "unit": ["user", "header:x-account"]})
    assert one(later, NOTHING, facts(user="u")).cannot_tell == 0


def test_the_value_of_a_unit_is_not_kept() -> None:
    sent = facts(user="alice@example.org", safety_identifier="secret-1", headers={"x-kt-unit": "secret-2"})
    kept = json.dumps(kept_facts(sent, policy(SPLIT), {}))
    assert "alice" not in kept
    assert "secret" not in kept


def test_an_exact_user_is_known_by_its_digest() -> None:
    draft = policy(block(user=["alice", "bob"]))
    blocked = [one(draft, NOTHING, facts(user=user)).outcomes[0].after for user in ("alice", "carol", None)]
    assert [item.decision if item else None for item in blocked] == ["block", "allow", "allow"]


def test_an_empty_user_is_a_user_to_a_pattern() -> None:
    draft = policy(block(user="*"))
    after = one(draft, NOTHING, facts(user="")).outcomes[0].after
    assert after is not None
    assert after.decision == draft.decide(facts(user="")).action == "block"


def test_an_event_of_an_older_form_tells_only_its_own_unit() -> None:
    request = recorded(facts(user="u"), policy(SPLIT))
    old = replace(request, kept={"has_tools": False, "has_images": False}, unit_kind="user", unit_digest="ab")
    assert replay(policy({**SPLIT, "unit": ["user"]}), [old], unpriced).cannot_tell == 0
    assert replay(policy({**SPLIT, "unit": ["safety_identifier", "user"]}), [old], unpriced).cannot_tell == 1


def test_facts_that_had_to_be_changed_to_be_stored_are_not_used() -> None:
    request = recorded(facts(), NOTHING)
    request.kept = {**request.kept, "changed": True}
    found = replay(NOTHING, [request], unpriced)
    assert found.reasons() == [("depends on the request as it was, which was not recorded", 1)]


def test_costs_are_compared_where_both_are_known() -> None:
    draft = policy(
        {"type": "model_filter", "preferred_model": "claude-sonnet-4", "conditions": {"stream": True}}
    )
    base = recorded(facts(), NOTHING)
    streamed = recorded(facts(stream=True), NOTHING)
    requests = [
        replace(base, cost_nanos=10, went_upstream=True),
        replace(streamed, cost_nanos=100, went_upstream=True),
        replace(streamed, cost_nanos=None, went_upstream=True),
        replace(streamed, went_upstream=False),
        replace(base, went_upstream=False),
        replace(base, cost_nanos=None, went_upstream=True),
    ]
    found = replay(draft, requests, lambda request, decision: 7)
    assert (found.cost.now, found.cost.draft, found.cost.unpriced) == (110, 17, 3)
    nothing = replay(draft, requests[1:2], unpriced)
    assert (nothing.cost.now, nothing.cost.draft, nothing.cost.unpriced) == (0, 0, 1)
    blocked = replay(policy(block()), requests[:2], unpriced)
    assert (blocked.cost.now, blocked.cost.draft, blocked.cost.unpriced) == (110, 0, 0)


def test_moves_and_decisions_add_up() -> None:
    draft = policy(
        {"type": "model_filter", "preferred_model": "claude-sonnet-4", "conditions": {"stream": True}},
        block(has_tools=True),
    )
    sent = [facts(stream=True), facts(stream=True), facts(has_tools=True), facts()]
    found = replay(draft, [recorded(item, NOTHING) for item in sent], unpriced)
    assert found.moves() == [((("gpt-4o", None), ("claude-sonnet-4", None)), 2)]
    assert found.decisions() == [("allow", "redirect", 2), ("allow", "allow", 1), ("allow", "block", 1)]
    assert found.changed == 3
    assert sum(move_of(outcome) is not None for outcome in found.outcomes) == 2
    rows = [(item.policy, item.fired, item.would_fire, item.note) for item in found.policies]
    assert rows == [("p0", 4, 2, None), ("p1", 0, 1, None)]
    gone = replay(policy({"type": "log", "name": "other"}), [recorded(facts(), NOTHING)], unpriced)
    assert [(item.policy, item.note) for item in gone.policies] == [
        ("other", None),
        ("p0", "not in the draft"),
    ]


def test_a_refusal_is_no_move_whatever_it_was_refused_under() -> None:
    draft = policy(
        {"type": "model_filter", "preferred_model": "claude-sonnet-4"},
        {"type": "model_filter", "blocked_models": ["claude-*"]},
    )
    found = replay(draft, [recorded(facts(), NOTHING), recorded(facts(), draft)], unpriced)
    assert [outcome.after.model for outcome in found.outcomes if outcome.after] == ["claude-sonnet-4"] * 2
    assert found.moves() == []
    back = replay(NOTHING, [recorded(facts(), draft)], unpriced)
    assert (back.moves(), back.changed, back.decisions()) == ([], 1, [("block", "allow", 1)])
