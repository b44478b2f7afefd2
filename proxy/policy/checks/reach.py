"""What one policy of the chain leaves to the next: helpers of several checks, none of their own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from proxy.policy.check import Context
from proxy.policy.conditions import ConditionsSpec, Matcher
from proxy.policy.document import Path, shown
from proxy.policy.kinds.model_filter import ModelFilter
from proxy.policy.kinds.registry import ConditionedSpec
from proxy.policy.kinds.traffic_split import TrafficSplit

_OTHER_ENDPOINTS = (
    "text-embedding",
    "text-moderation",
    "omni-moderation",
    "tts-",
    "whisper-",
    "dall-e",
    "gpt-image",
    "*embed",
    "*moderation",
)
"""How names of models for embeddings, moderation, audio and images begin."""
REMEMBERED = 50
"""Earlier policies that a later one is compared with. A useful file has fewer; hostile text must not buy time."""


@dataclass(frozen=True, slots=True)
class DeadEnd:
    """A policy no request gets to, and why."""

    policy: ConditionedSpec
    message: str
    place: Path


def terms(conditions: ConditionsSpec | None) -> dict[str, Any]:
    """The conditions that are given, by name."""
    if conditions is None:
        return {}
    return {
        name: value
        for name in conditions.model_fields_set
        if (value := getattr(conditions, name)) is not None
    }


def covers(earlier: ConditionsSpec | None, later: ConditionsSpec | None) -> bool:
    """Whether `earlier` surely holds for a request for which `later` does (conditions of its own may be added)."""
    wanted, given = terms(earlier), terms(later)
    return all(name in given and given[name] == value for name, value in wanted.items())


def sends_all(policy: ConditionedSpec) -> bool:
    """Whether a filter redirects every generation request that meets its conditions."""
    return (
        isinstance(policy, ModelFilter)
        and policy.preferred_model is not None
        and not policy.allowed_models
        and not policy.blocked_models
    )


def refuses_all(policy: ConditionedSpec) -> bool:
    """Whether a filter refuses every request that meets its conditions."""
    if not isinstance(policy, ModelFilter) or policy.preferred_model is not None or not policy.blocked_models:
        return False
    if any(set(pattern) == {"*"} for pattern in policy.blocked_models):
        return True
    models = policy.conditions.model if policy.conditions is not None else None
    return bool(models) and set(models or ()) <= set(policy.blocked_models)


def changes_model(policy: ConditionedSpec | None) -> bool:
    """Whether a policy (None: one that could not be read) may send a request to another model."""
    return (
        policy is None
        or isinstance(policy, TrafficSplit)
        or getattr(policy, "preferred_model", None) is not None
    )


def dead_ends(context: Context) -> Iterator[DeadEnd]:
    """Policies that an earlier one leaves no request."""
    refusing: list[ConditionedSpec] = []
    only: ModelFilter | None = None
    splits: list[TrafficSplit] = []
    for policy in context.enabled:
        found = _dead_end(policy, refusing, only, splits) if policy is not None else None
        if found is not None:
            yield found
        if policy is not None and refuses_all(policy) and len(refusing) < REMEMBERED:
            refusing.append(policy)
        if changes_model(policy):
            refusing = [item for item in refusing if "model" not in terms(item.conditions)]
            only = (
                policy
                if isinstance(policy, ModelFilter) and not policy.conditions and sends_all(policy)
                else None
            )
        if isinstance(policy, TrafficSplit):
            splits += [policy] if policy.conditions is None and len(splits) < REMEMBERED else []
        elif changes_model(policy):
            splits = []


def _elsewhere(patterns: Iterable[str]) -> bool:
    """Whether models may be meant that other endpoints than generation serve: a redirect leaves those alone."""
    return any(pattern.startswith(_OTHER_ENDPOINTS) for pattern in patterns)


def _dead_end(
    policy: ConditionedSpec,
    refusing: list[ConditionedSpec],
    only: ModelFilter | None,
    splits: list[TrafficSplit],
) -> DeadEnd | None:
    conditions = policy.conditions
    name = (*policy.path, "name")
    for earlier in refusing:
        if covers(earlier.conditions, conditions):
            message = f"{shown(earlier.name)} on line {earlier.line} refuses all of these requests already"
            return DeadEnd(policy, message, name)
    models = conditions.model if conditions is not None else None
    left = (only.preferred_model if only is not None else None) or ""
    if only is not None and models is not None and not Matcher(models)(left) and not _elsewhere(models):
        message = f"{shown(only.name)} on line {only.line} leaves no model but {shown(left)}"
        return DeadEnd(policy, message, (*policy.path, "conditions", "model"))
    if isinstance(policy, TrafficSplit) and (conditions is None or conditions.model is None):
        wanted = {variant.model for variant in policy.variants}
        for split in splits:
            if wanted <= {variant.model for variant in split.variants}:
                message = f"{shown(split.name)} on line {split.line} assigns all of these requests already"
                return DeadEnd(policy, message, name)
    return None
