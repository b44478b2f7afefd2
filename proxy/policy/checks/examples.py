"""The examples of the checks, ready to lint."""

from __future__ import annotations

from datetime import date

from proxy.policy.check import Surroundings
from proxy.policy.targets import TargetSpec

OPENING, CLOSING = "«", "»"


def _price_known(target: TargetSpec, model: str) -> bool:
    return not model.startswith("in-house")


def _filter_fault(text: str) -> tuple[str, int, int] | None:
    return ("there is no field 'eror'", 0, 4) if text.startswith("eror") else None


SURROUNDINGS = Surroundings(
    env=dict.fromkeys(("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY"), "set"),
    today=date(2026, 7, 1),
    prices_known=_price_known,
    filter_fault=_filter_fault,
    recent_units={"user": 120, "header:x-team": 0},
)
"""The machine, day and traffic that every example is meant for."""


def unmarked(example: str) -> tuple[str, tuple[int, int]]:
    """The text of an example without its marks, and the characters between them (0, 0 without marks)."""
    before, opening, rest = example.partition(OPENING)
    within, _, after = rest.partition(CLOSING)
    if not opening:
        return example, (0, 0)
    return before + within + after, (len(before), len(before) + len(within))
