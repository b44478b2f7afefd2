"""`rate_limit`: requests or tokens per time. Read and checked, not enforced yet."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from proxy.policy.kinds.registry import ConditionedSpec, Kind
from proxy.policy.spec import Duration

Limit = Annotated[int, Field(ge=1, le=1_000_000_000)]


class RateLimit(ConditionedSpec):
    """How many requests or tokens are let through per window."""

    requests: Limit | None = None
    """Requests per window."""
    tokens: Limit | None = None
    """Input and output tokens per window."""
    window: Duration = "1m"
    """A rolling span such as 1m."""
    scope: Literal["all", "key", "user", "model", "policy"] = "all"
    """What each limit is counted for."""
    action: Literal["block", "warn"] = "block"
    """What happens to requests beyond the limit."""

    @model_validator(mode="after")
    def _limits_something(self) -> RateLimit:
        if self.requests is None and self.tokens is None:
            raise ValueError("needs requests or tokens")
        return self


KIND = Kind(
    name="rate_limit",
    aliases=("rate-limit",),
    doc="Limits requests or tokens per time.",
    model=RateLimit,
    act=None,
)
