"""How an alert stands, in words that the screen, `kt` and the log share."""

from __future__ import annotations

from proxy.base.times import span_text


def counted(requests: int, of: int, within_s: int, *, is_share: bool) -> str:
    """`7 in 5m`; of a share `12.5 % of 80 in 15m`."""
    if not is_share:
        return f"{requests:,} in {span_text(within_s)}"
    share = 100 * requests / of if of else 0.0
    return f"{share:.1f} % of {of:,} in {span_text(within_s)}"


def limit_text(limit: float, *, is_share: bool) -> str:
    """`1,000`; of a share `10 %`."""
    return f"{limit:g} %" if is_share else f"{limit:,.0f}"
