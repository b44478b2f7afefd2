"""`quality_scorer`: scores finished answers. Read and checked, not enforced yet."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxy.policy.kinds.registry import ConditionedSpec, Kind
from proxy.policy.spec import Fraction, Names


class QualityScorer(ConditionedSpec):
    """Scores answers between 0 and 1 and says what happens to a poor one."""

    min_score: Fraction
    """An answer below this is poor."""
    action: Literal["log", "warn", "block", "escalate"] = "log"
    """What happens to a poor answer."""
    scorers: Names | None = Field(default=None)
    """Which scorers look at it."""
    sample_rate: Fraction | None = None
    """Share of answers that are scored."""


KIND = Kind(
    name="quality_scorer",
    aliases=("quality-scorer",),
    doc="Scores finished answers and acts on poor ones.",
    model=QualityScorer,
    act=None,
)
