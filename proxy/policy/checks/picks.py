"""The models a policy can send a request to, with their places; used by several checks."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.policy.check import Context
from proxy.policy.document import Path
from proxy.policy.kinds.registry import ConditionedSpec
from proxy.policy.kinds.traffic_split import TrafficSplit


def picks(context: Context, policy: ConditionedSpec) -> Iterator[tuple[str, Path]]:
    """Each model and where the policy names it."""
    if isinstance(policy, TrafficSplit):
        for variant in policy.variants:
            yield variant.model, (*variant.path, "model")
    else:
        for model, field in context.kind(policy).models(policy).items():
            yield model, (*policy.path, field)


def fallbacks(context: Context) -> Iterator[tuple[str, str, Path]]:
    """Each fallback: (the model it stands in for, the fallback, where it is named)."""
    for model, others in context.file.fallback_models.items():
        for index, other in enumerate(others):
            yield model, other, ("providers", "fallback_models", model, index)
