"""Slider arithmetic. Shares are integers in tenths of a percent and always sum to 1000."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

WHOLE = 1000
"""Tenths of a percent in 100 %."""


def largest_remainder(parts: Mapping[str, Decimal], total: int) -> dict[str, int]:
    """Integers in proportion to `parts` that sum to exactly `total`; ties go to the earlier tag.

    When all parts are 0 the total is shared out evenly. Raises ValueError without parts or for one below 0.
    """
    if not parts or any(part < 0 for part in parts.values()):
        raise ValueError("weights must be 0 or more, and there must be at least one")
    whole = sum(parts.values(), Decimal(0))
    if whole == 0:
        parts, whole = {tag: Decimal(1) for tag in parts}, Decimal(len(parts))
    exact = {tag: part * total / whole for tag, part in parts.items()}
    floors = {tag: int(value) for tag, value in exact.items()}
    missing = total - sum(floors.values())
    by_remainder = sorted(exact, key=lambda tag: floors[tag] - exact[tag])
    for tag in by_remainder[:missing]:
        floors[tag] += 1
    return floors


def to_tenths(weights: Mapping[str, Decimal]) -> dict[str, int]:
    """Shares of `weights` in tenths of a percent, summing to 1000."""
    return largest_remainder(weights, WHOLE)


def to_percentages(weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """Shares of `weights` in percent with one decimal, summing to exactly 100."""
    return {tag: Decimal(tenths) / 10 for tag, tenths in to_tenths(weights).items()}


def rebalance(shares: Mapping[str, int], tag: str, new: int, locked: Collection[str] = ()) -> dict[str, int]:
    """`shares` with `tag` moved to `new` tenths (as far as the locked arms leave room); the others absorb it.

    The unlocked others change in proportion to what they have. When there is none to absorb, nothing changes.
    Raises ValueError when `tag` is unknown or the shares do not sum to 1000.
    """
    if tag not in shares or sum(shares.values()) != WHOLE:
        raise ValueError("shares must name the arm and sum to 1000 tenths of a percent")
    free = {name: Decimal(share) for name, share in shares.items() if name != tag and name not in locked}
    if not free or tag in locked:
        return dict(shares)
    fixed = sum(share for name, share in shares.items() if name != tag and name in locked)
    wanted = max(0, min(new, WHOLE - fixed))
    absorbed = largest_remainder(free, WHOLE - fixed - wanted)
    return {name: wanted if name == tag else absorbed.get(name, share) for name, share in shares.items()}


def same_shares(a: Mapping[str, Decimal], b: Mapping[str, Decimal]) -> bool:
    """Whether two sets of weights over the same tags mean the same split."""
    sum_a, sum_b = sum(a.values(), Decimal(0)), sum(b.values(), Decimal(0))
    return a.keys() == b.keys() and all(a[tag] * sum_b == b[tag] * sum_a for tag in a)


def spell(value: Decimal) -> str:
    """The shortest plain spelling: 95, 33.4, 0.5; never an exponent."""
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text
