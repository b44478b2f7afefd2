"""Numbers as the screen writes them: `640 ms`, `1.84 s`, `0.61 %`, `1,234`, `$0.00412`; None is a word."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal, InvalidOperation

UNKNOWN = "unknown"
NONE = "-"


def duration_ms(value: float | None, none: str = NONE) -> str:
    """A duration given in milliseconds: `2 ms`, `1.84 s`, `12.4 s`, `1 m 12 s`."""
    if value is None:
        return none
    if value < 999.5:
        return "<1 ms" if 0 < value < 0.5 else f"{value:.0f} ms"
    seconds = value / 1_000
    if seconds < 9.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} m {rest:02d} s"


def count(value: int | None, none: str = NONE) -> str:
    """A whole number with thousands: `1,234`."""
    return none if value is None else f"{value:,}"


def percent(rate: float | None, none: str = "no data") -> str:
    """A rate of 0..1 as percent: `0.61 %`, `12.3 %`, `0 %`."""
    if rate is None:
        return none
    value = rate * 100
    if value == 0 or value >= 99.95:
        return f"{value:.0f} %"
    return f"{value:.2f} %" if value < 9.995 else f"{value:.1f} %"


def share(value: float | None, none: str = "?") -> str:
    """A share given in percent, one decimal, without the sign: `95.0`, `100`."""
    if value is None:
        return none
    return "100" if value >= 99.95 else f"{value:.1f}"


def per_second(value: float) -> str:
    """A rate: `6.1`, `0.4`, `124`."""
    return f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def request_cost(value: str | None, none: str = NONE) -> str:
    """The cost of one request, a decimal string in dollars: `$0.00412`; from a dollar on two decimals."""
    amount = _decimal(value)
    if amount is None:
        return none
    return f"${amount:,.5f}" if amount < 1 else f"${amount:,.2f}"


def sum_cost(value: str | float | None, none: str = "unpriced") -> str:
    """A sum in dollars: `$63.60`, `$0.0042` when small, `$12,300` without cents from 10,000 on."""
    amount = _decimal(value)
    if amount is None:
        return none
    if amount >= 10_000:
        return f"${amount:,.0f}"
    if amount == 0 or amount >= Decimal("0.1"):
        return f"${amount:,.2f}"
    return f"${amount:.4f}"


def _decimal(value: str | float | None) -> Decimal | None:
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() else None


def moment(rfc3339: str | None) -> datetime | None:
    """Local time of an RFC 3339 moment; None when it is none."""
    if not rfc3339:
        return None
    try:
        return datetime.fromisoformat(rfc3339).astimezone()
    except (ValueError, OverflowError):
        return None


def clock(when: datetime | None, *, tenths: bool = False, none: str = NONE) -> str:
    """`14:32:07`, with tenths `14:32:07.4` (cut, never rounded into the next second)."""
    if when is None:
        return none
    return f"{when:%H:%M:%S}" + (f".{when.microsecond // 100_000}" if tenths else "")
