"""Policies of the chain against one another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from proxy.policy.check import Context, Finding, check
from proxy.policy.checks.fixes import append_item, turn_off
from proxy.policy.checks.picks import picks
from proxy.policy.checks.reach import REMEMBERED, changes_model, covers, dead_ends, sends_all, terms
from proxy.policy.conditions import Matcher
from proxy.policy.document import shown
from proxy.policy.kinds.cost_limit import CostLimit
from proxy.policy.kinds.log import Log
from proxy.policy.kinds.model_filter import ModelFilter
from proxy.policy.kinds.rate_limit import RateLimit
from proxy.policy.kinds.registry import ConditionedSpec
from proxy.policy.kinds.traffic_split import TrafficSplit


@check(
    "never-reached",
    "warning",
    "No request gets to a policy",
    why="""The chain runs in file order. What an earlier policy refuses, sends elsewhere or assigns to another split never
    reaches this one.""",
    mend="Move the policy up, narrow the earlier one, or remove it.",
    bad="""
    policies:
      - {name: closed, type: model_filter, blocked_models: ["*"]}
      - {name: «marked», type: log}
    """,
    good="""
    policies:
      - {name: marked, type: log}
      - {name: closed, type: model_filter, blocked_models: ["*"]}
    """,
)
def never_reached(context: Context) -> Iterable[Finding]:
    """Policies behind a catch-all."""
    for found in dead_ends(context):
        if not isinstance(found.policy, CostLimit | RateLimit):
            yield Finding(found.message, found.place)


@check(
    "shadowed",
    "warning",
    "A policy repeats an earlier one",
    why="Same type, same conditions, same effect: the second one changes nothing.",
    mend="Remove it, or write the conditions that were meant.",
    bad="""
    policies:
      - {name: no-turbo, type: model_filter, blocked_models: [gpt-4-turbo]}
      - {name: «still-no-turbo», type: model_filter, blocked_models: [gpt-4-turbo]}
    """,
    good="""
    policies:
      - {name: no-turbo, type: model_filter, blocked_models: [gpt-4-turbo]}
      - {name: no-o1, type: model_filter, blocked_models: [o1]}
    """,
)
def shadowed(context: Context) -> Iterable[Finding]:
    """The same condition and effect stood earlier."""
    seen: dict[str, ConditionedSpec] = {}
    for policy in context.active:
        said = repr(_meaning(policy))
        if said in seen and not isinstance(policy, TrafficSplit):
            earlier = seen[said]
            message = f"{shown(earlier.name)} on line {earlier.line} does the same under the same conditions"
            yield Finding(message, (*policy.path, "name"), fix=turn_off(context.document, policy.path))
        if changes_model(policy):
            seen.clear()
        seen.setdefault(said, policy)


@check(
    "redirect-overridden",
    "warning",
    "A later policy undoes a redirect",
    why="Both redirect every request that meets the same conditions; the last one decides, so the first has no effect.",
    mend="Remove one of them, or give them different conditions.",
    bad="""
    policies:
      - {name: large, type: model_filter, conditions: {has_tools: true}, preferred_model: «gpt-4o»}
      - {name: small, type: model_filter, conditions: {has_tools: true}, preferred_model: gpt-4o-mini}
    """,
    good="""
    policies:
      - {name: large, type: model_filter, conditions: {has_tools: true}, preferred_model: gpt-4o}
      - {name: small, type: model_filter, conditions: {has_tools: false}, preferred_model: gpt-4o-mini}
    """,
)
def redirect_overridden(context: Context) -> Iterable[Finding]:
    """Two redirects of exactly the same requests."""
    last: dict[str, ModelFilter] = {}
    for policy in context.enabled:
        if (
            not isinstance(policy, ModelFilter)
            or not sends_all(policy)
            or "model" in terms(policy.conditions)
        ):
            if not isinstance(policy, Log) or "model" in terms(policy.conditions):
                last.clear()  # What lies between may have looked at the model.
            continue
        said = repr(sorted(terms(policy.conditions).items(), key=lambda item: item[0]))
        earlier = last.get(said)
        if earlier is not None and earlier.preferred_model != policy.preferred_model:
            message = (
                f"{shown(policy.name)} on line {policy.line} sends the same requests "
                f"to {shown(policy.preferred_model or '')} afterwards"
            )
            fix = turn_off(context.document, earlier.path)
            yield Finding(message, (*earlier.path, "preferred_model"), fix=fix)
        last[said] = policy


@check(
    "pick-refused-earlier",
    "warning",
    "A policy picks a model that an earlier filter refuses",
    why="""Nothing runs again after a redirect or a split, so the model is served although the filter above says it should
    not be.""",
    mend="Allow the model in the filter, pick another one, or move the filter below.",
    bad="""
    policies:
      - {name: approved, type: model_filter, allowed_models: [gpt-4o]}
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 95}
          - {model: «gpt-4o-mini», weight: 5}
    """,
    good="""
    policies:
      - {name: approved, type: model_filter, allowed_models: [gpt-4o, gpt-4o-mini]}
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 95}
          - {model: gpt-4o-mini, weight: 5}
    """,
)
def pick_refused_earlier(context: Context) -> Iterable[Finding]:
    """Nothing runs again after a pick."""
    filters: list[tuple[ModelFilter, Matcher | None, Matcher | None]] = []
    for policy in context.active:
        for model, place in picks(context, policy):
            for earlier, allowed, blocked in filters:
                refused = (blocked is not None and blocked(model)) or (
                    allowed is not None and not allowed(model)
                )
                if refused and covers(earlier.conditions, policy.conditions):
                    message = (
                        f"{shown(model)} is refused by {shown(earlier.name)} on line {earlier.line}, "
                        "but what this policy picks is not filtered again"
                    )
                    fix = None
                    if blocked is None or not blocked(model):
                        title = f"allow it in {shown(earlier.name)}"
                        where = (*earlier.path, "allowed_models")
                        fix = append_item(context.document, where, model, title)
                    yield Finding(message, place, fix=fix)
                    break
        if (
            isinstance(policy, ModelFilter)
            and len(filters) < REMEMBERED
            and "model" not in terms(policy.conditions)
        ):
            filters.append((policy, _matcher(policy.allowed_models), _matcher(policy.blocked_models)))


def _matcher(patterns: list[str] | None) -> Matcher | None:
    return Matcher(patterns) if patterns is not None else None


def _meaning(policy: ConditionedSpec) -> list[tuple[str, Any]]:
    """What a policy does and when, without what it is called."""
    told = {name: getattr(policy, name) for name in type(policy).model_fields}
    told["conditions"] = sorted(terms(policy.conditions).items(), key=lambda item: item[0])
    return [(name, told[name]) for name in sorted(told) if name not in ("name", "description", "enabled")]
