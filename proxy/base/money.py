"""Money: integer nano-dollars (1e-9 $) inside, decimal strings outside."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

NANOS_PER_DOLLAR = 1_000_000_000


def to_nanos(dollars: Decimal) -> int:
    """Nano-dollars of `dollars`, rounded half-even: once per event."""
    return int((dollars * NANOS_PER_DOLLAR).to_integral_value(rounding=ROUND_HALF_EVEN))


def to_decimal_string(nanos: int) -> str:
    """`nanos` as dollars: at most 9 decimals, no exponent, no trailing zeros ("0.00412", "0", "12.5")."""
    sign = "-" if nanos < 0 else ""
    whole, rest = divmod(abs(nanos), NANOS_PER_DOLLAR)
    if not rest:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{rest:09d}".rstrip("0")
