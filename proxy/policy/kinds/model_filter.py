"""`model_filter`: which models are allowed, which are refused, and where a request is sent instead."""

from __future__ import annotations

from pydantic import Field, model_validator

from proxy.policy.conditions import Matcher
from proxy.policy.document import shown
from proxy.policy.facts import GENERATION, Refusal, RequestFacts
from proxy.policy.kinds.registry import Act, ConditionedSpec, Kind, Walk
from proxy.policy.spec import ModelName, Patterns


class ModelFilter(ConditionedSpec):
    """Allows, refuses or redirects by model.

    With `preferred_model` alone, every request that meets the conditions goes there.
    """

    allowed_models: Patterns | None = None
    """Names or globs; any other model is refused (or redirected to preferred_model)."""
    blocked_models: Patterns | None = None
    """Names or globs that are refused (or redirected to preferred_model)."""
    preferred_model: ModelName | None = Field(default=None)
    """Where a refused request goes instead; without lists, where every request goes."""

    @model_validator(mode="after")
    def _says_something(self) -> ModelFilter:
        if self.allowed_models is None and self.blocked_models is None and self.preferred_model is None:
            raise ValueError("needs allowed_models, blocked_models or preferred_model")
        return self

    def refuses(self, model: str) -> bool:
        """Whether its lists refuse `model`, conditions aside."""
        blocked = self.blocked_models is not None and Matcher(self.blocked_models)(model)
        return blocked or (self.allowed_models is not None and not Matcher(self.allowed_models)(model))


def _act(policy: ModelFilter) -> Act:
    name, line, preferred = policy.name, policy.line, policy.preferred_model
    blocked = Matcher(policy.blocked_models) if policy.blocked_models is not None else None
    allowed = Matcher(policy.allowed_models) if policy.allowed_models is not None else None
    unlisted = blocked is None and allowed is None

    def why_refused(model: str) -> str | None:
        if blocked is not None and blocked(model):
            return f"{shown(model)} is in blocked_models"
        if allowed is not None and not allowed(model):
            return f"{shown(model)} is not in allowed_models"
        return None

    def act(facts: RequestFacts, walk: Walk) -> bool:
        why = None if unlisted else why_refused(walk.model)
        if why is None and not unlisted:
            if walk.explaining:
                walk.reason = f"{shown(walk.model)} is allowed"
            return True
        if preferred is not None and facts.endpoint in GENERATION:
            return redirect(walk, preferred, why)
        if unlisted:
            walk.reason = f"redirects only generation requests, this is {facts.endpoint}"
            return False
        walk.action, walk.refusal = "block", Refusal(name, line, f"{why} of policy {shown(name)}")
        walk.triggered.append(name)
        if walk.explaining:
            walk.reason = f"refused: {why}"
        return True

    def redirect(walk: Walk, model: str, why: str | None) -> bool:
        if walk.model == model:
            walk.reason = f"already {shown(model)}"
            return True
        if walk.explaining:
            walk.reason = f"{shown(walk.model)} redirected to {shown(model)}" + (f": {why}" if why else "")
        walk.model, walk.action = model, "redirect"
        walk.triggered.append(name)
        return True

    return act


KIND = Kind(
    name="model_filter",
    doc="Allows, refuses or redirects requests by model.",
    model=ModelFilter,
    act=_act,
    models=lambda policy: {policy.preferred_model: "preferred_model"} if policy.preferred_model else {},
)
