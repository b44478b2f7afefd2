"""Checks of the chain as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import tzinfo

from proxy.policy.check import Context
from proxy.policy.conditions import ConditionsSpec, Matcher, parse_moment, zone_of
from proxy.policy.diagnostics import Diagnostic
from proxy.policy.document import Path, shown
from proxy.policy.kinds import SPELLINGS
from proxy.policy.kinds.model_filter import ModelFilter
from proxy.policy.kinds.registry import ConditionedSpec
from proxy.policy.kinds.traffic_split import TrafficSplit

SETTINGS_NOT_ENFORCED: tuple[Path, ...] = (
    ("providers", "fallback_models"),
    ("events", "retention"),
    ("events", "bodies"),
)
TARGET_KEYS_NOT_ENFORCED: tuple[str, ...] = ("passthrough", "retry_on_timeout")


def duplicate_names(context: Context) -> Iterable[Diagnostic]:
    """Policies are told apart by name."""
    seen: dict[str, int] = {}
    for policy in context.file.policies:
        if policy.name in seen:
            message = f"a policy called {shown(policy.name)} is there already, on line {seen[policy.name]}"
            yield context.report("duplicate-name", "error", message, (*policy.path, "name"))
        seen.setdefault(policy.name, policy.line)


def says_something(context: Context) -> Iterable[Diagnostic]:
    """A file without any policy lets everything through."""
    if context.complete and not context.file.policies:
        message = "there are no policies: every request is allowed as it is"
        yield context.document.diagnostic("no-policies", "info", message, (0, 0))


def not_enforced(context: Context) -> Iterable[Diagnostic]:
    """Nobody may believe in a limit that does not hold."""
    for policy in context.file.policies:
        kind = SPELLINGS[policy.type]
        if policy.enabled and kind.act is None:
            message = f"{kind.name} is read and checked, but this version does not enforce it"
            yield context.report("not-enforced", "warning", message, (*policy.path, "type"))
        if policy.enabled and isinstance(policy, TrafficSplit) and policy.rollout is not None:
            if policy.rollout.gates:
                message = "gates are read and checked, but this version does not enforce them"
                yield context.report(
                    "not-enforced", "warning", message, (*policy.rollout.path, "gates"), key=True
                )
            if policy.rollout.advance == "auto":
                message = "advance: auto is not done by this version; phases move by hand"
                yield context.report("not-enforced", "warning", message, (*policy.rollout.path, "advance"))


def settings_not_enforced(context: Context) -> Iterable[Diagnostic]:
    """The same for settings outside the chain."""
    paths = [*SETTINGS_NOT_ENFORCED]
    paths += [(*entry.path, key) for entry in context.file.entries for key in TARGET_KEYS_NOT_ENFORCED]
    for path in paths:
        node = context.document.find(path)
        if node is not None and getattr(node, "value", "") not in ("false", "~", "null"):
            message = f"{path[-1]} is read and checked, but this version does not enforce it"
            yield context.report("not-enforced", "warning", message, path, key=True)


def picks_refused_earlier(context: Context) -> Iterable[Diagnostic]:
    """Nothing runs again after a pick: a model an earlier filter would refuse is served all the same."""
    filters: list[ModelFilter] = []
    for policy in context.file.policies:
        if not policy.enabled:
            continue
        for model, place in _picks(policy):
            for earlier in filters:
                if earlier.refuses(model):
                    message = (
                        f"{shown(model)} is refused by {shown(earlier.name)} on line {earlier.line}, "
                        "but what this policy picks is not filtered again"
                    )
                    yield context.report("pick-refused-earlier", "warning", message, place)
                    break
        if isinstance(policy, ModelFilter) and policy.conditions is None:
            filters.append(policy)


def picks_served(context: Context) -> Iterable[Diagnostic]:
    """A model that no target serves answers 404."""
    if not context.complete:
        return
    ids = {target.id: target for target in context.targets}
    for policy in context.file.policies:
        for model, place in _picks(policy) if policy.enabled else ():
            if not any(target.serves(model) for target in context.targets):
                message = f"no target serves {shown(model)}: requests for it would be answered 404"
                yield context.report("model-not-served", "warning", message, place)
        for variant in policy.variants if isinstance(policy, TrafficSplit) else ():
            if variant.target is None:
                continue
            target = ids.get(variant.target)
            if target is None:
                known = ", ".join(shown(name) for name in ids) or "none"
                message = f"there is no target {shown(variant.target)}; targets are {known}"
                yield context.report("unknown-target", "error", message, (*variant.path, "target"))
            elif not target.serves(variant.model):
                message = f"target {shown(target.id)} does not serve {shown(variant.model)}"
                yield context.report("model-not-served", "warning", message, (*variant.path, "target"))


def _picks(policy: ConditionedSpec) -> Iterator[tuple[str, Path]]:
    """Models a policy can send a request to, with their places."""
    if isinstance(policy, TrafficSplit):
        for variant in policy.variants:
            yield variant.model, (*variant.path, "model")
    else:
        for model, field in SPELLINGS[policy.type].models(policy).items():
            yield model, (*policy.path, field)


def reached_after_a_redirect(context: Context) -> Iterable[Diagnostic]:
    """A condition on a model that an earlier catch-all leaves none of."""
    only: ModelFilter | None = None
    for policy in context.file.policies:
        if not policy.enabled:
            continue
        conditions = policy.conditions
        if only is not None and conditions is not None and conditions.model is not None:
            left = only.preferred_model or ""
            if not Matcher(conditions.model)(left):
                message = f"{shown(only.name)} on line {only.line} leaves no model but {shown(left)}"
                yield context.report("never-reached", "warning", message, (*conditions.path, "model"))
        if isinstance(policy, ModelFilter) and conditions is None and _sends_all(policy):
            only = policy
        elif SPELLINGS[policy.type].models(policy):
            only = None


def reached_after_a_split(context: Context) -> Iterable[Diagnostic]:
    """A split whose requests an earlier one has assigned already."""
    splits: list[TrafficSplit] = []
    for policy in context.file.policies:
        if not isinstance(policy, TrafficSplit) or not policy.enabled:
            continue
        models = {variant.model for variant in policy.variants}
        for earlier in splits if policy.conditions is None or policy.conditions.model is None else ():
            if models <= {variant.model for variant in earlier.variants}:
                message = (
                    f"{shown(earlier.name)} on line {earlier.line} assigns all of these requests already"
                )
                yield context.report("never-reached", "warning", message, (*policy.path, "name"))
                break
        if policy.conditions is None:
            splits.append(policy)


def _sends_all(policy: ModelFilter) -> bool:
    return policy.preferred_model is not None and not policy.allowed_models and not policy.blocked_models


def conditions_can_hold(context: Context) -> Iterable[Diagnostic]:
    """Bounds that exclude each other: the policy would never act."""
    zone = zone_of(context.file.gateway.timezone)
    for policy in context.file.policies:
        conditions = policy.conditions
        if conditions is None:
            continue
        for fact in ("max_tokens", "prompt_chars"):
            if _empty_range(conditions, fact):
                message = f"no request can meet these bounds on {fact}"
                yield context.report(
                    "never-holds", "warning", message, (*policy.path, "conditions"), key=True
                )
        if conditions.after and conditions.before and _empty_span(conditions, zone):
            message = "before is not later than after: the policy never acts"
            yield context.report("never-holds", "warning", message, (*conditions.path, "before"))


def _empty_range(conditions: ConditionsSpec, fact: str) -> bool:
    gt, gte, lt, lte = (getattr(conditions, f"{fact}_{relation}") for relation in ("gt", "gte", "lt", "lte"))
    lows = [limit for limit in (gte, None if gt is None else gt + 1) if limit is not None]
    highs = [limit for limit in (lte, None if lt is None else lt - 1) if limit is not None]
    return bool(highs) and min(highs) < max(lows, default=0)


def _empty_span(conditions: ConditionsSpec, zone: tzinfo) -> bool:
    assert conditions.after is not None and conditions.before is not None
    return parse_moment(conditions.before, zone) <= parse_moment(conditions.after, zone)


CHECKS: tuple[Callable[[Context], Iterable[Diagnostic]], ...] = (
    duplicate_names,
    says_something,
    not_enforced,
    settings_not_enforced,
    picks_refused_earlier,
    picks_served,
    reached_after_a_redirect,
    reached_after_a_split,
    conditions_can_hold,
)
