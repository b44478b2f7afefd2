"""Quality scores of two groups of requests, and what may be said of their difference.

The difference of the means with Welch's standard error, sqrt(s1^2 / n1 + s2^2 / n2), at 1.96 of it either way. Nobody
assigned these requests by chance, so it says how the groups scored, not what caused it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

LEAST_SCORES = 200
"""With fewer on either side nothing is said."""
MARGIN = 0.02
"""A difference of means within this is equal, on the scale of 0 to 1."""
_Z = 1.96


@dataclass(slots=True)
class Scores:
    """Count, sum and sum of squares."""

    number: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, score: float | None) -> None:
        """One more; None was not scored."""
        if score is not None:
            self.number, self.total, self.squares = (
                self.number + 1,
                self.total + score,
                self.squares + score * score,
            )

    @property
    def mean(self) -> float | None:
        """None without scores."""
        return self.total / self.number if self.number else None

    @property
    def error(self) -> float:
        """Squared standard error of the mean, for two scores or more."""
        variance = (self.squares - self.total * self.total / self.number) / (self.number - 1)
        return max(variance, 0.0) / self.number

    def to_json(self) -> dict[str, Any]:
        """Mean and number."""
        return {"mean": self.mean, "scored": self.number}


def verdict(now: Scores, then: Scores) -> str:
    """better | equal | worse | not_yet | no_data: `then` against `now`."""
    if now.mean is None or then.mean is None:
        return "no_data"
    if min(now.number, then.number) < LEAST_SCORES:
        return "not_yet"
    difference, around = then.mean - now.mean, _Z * math.sqrt(now.error + then.error)
    if difference - around >= -MARGIN and difference + around <= MARGIN:
        return "equal"
    if difference - around > 0:
        return "better"
    return "worse" if difference + around < 0 else "not_yet"
