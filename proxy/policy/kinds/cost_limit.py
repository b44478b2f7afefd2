"""`cost_limit`: a budget in dollars. Read and checked, not enforced yet."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from proxy.policy.kinds.registry import ConditionedSpec, Kind
from proxy.policy.spec import ModelName, Money, NotOneOfError, seconds_of

_CALENDAR = ("hour", "day", "week", "month")


def _check_window(text: str) -> str:
    if text not in _CALENDAR and not seconds_of(text):
        raise NotOneOfError("must be hour, day, week, month or a span such as 24h", _CALENDAR)
    return text


class CostLimit(ConditionedSpec):
    """What may be spent within a window, and what happens when it is."""

    limit_usd: Money = Field(gt=0)
    """Dollars per window."""
    window: Annotated[str, AfterValidator(_check_window)] = "day"
    """A calendar window in `gateway.timezone`, or a rolling span such as 24h."""
    scope: Literal["all", "key", "user", "model", "policy"] = "all"
    """What each budget is counted for."""
    action: Literal["block", "warn", "downgrade"] = "block"
    """What happens to requests beyond the limit."""
    downgrade_to: ModelName | None = None
    """The cheaper model, for action downgrade."""

    @model_validator(mode="after")
    def _downgrade_has_a_model(self) -> CostLimit:
        if (self.action == "downgrade") != (self.downgrade_to is not None):
            raise ValueError("action downgrade and downgrade_to go together")
        return self


KIND = Kind(
    name="cost_limit",
    aliases=("cost-limit",),
    doc="Limits what may be spent within a window.",
    model=CostLimit,
    act=None,
    models=lambda policy: {policy.downgrade_to: "downgrade_to"} if policy.downgrade_to else {},
)
