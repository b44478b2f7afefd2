"""Alerts in words: for the header, for toasts, for help. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ktui.answers import Alert
from proxy.base.sanitise import sanitise
from proxy.events import alert_text


def counted(alert: Alert) -> str:
    """`7 in 5m`; `12.5 % of 80 in 15m`."""
    return alert_text.counted(alert.requests, alert.of, alert.within_s, is_share=alert.is_share)


def headline(firing: Sequence[Alert]) -> tuple[str, str]:
    """What the header says of those that fire, in a long form and in a short one; empty when none does."""
    if not firing:
        return "", ""
    names = [sanitise(alert.name, 30) for alert in firing]
    if len(firing) == 1:
        return f"✗ {names[0]}: {counted(firing[0])}", f"✗ {names[0][:14]}"
    return (
        f"✗ {len(firing)} alerts: {', '.join(names[:2])}{', …' if len(names) > 2 else ''}",
        f"✗ {len(firing)} alerts",
    )


def fired(alert: Alert) -> str:
    """A toast."""
    limit = alert_text.limit_text(alert.limit, is_share=alert.is_share)
    return f"alert {sanitise(alert.name, 80)}: {counted(alert)}, more than {limit}; ! shows the requests"


def over(alert: Alert) -> str:
    """A toast."""
    return f"alert {sanitise(alert.name, 80)} is over: {counted(alert)}"


def listed(alerts: Sequence[Alert]) -> str:
    """A line for help."""
    return "; ".join(
        f"{'✗' if alert.firing else '✓'} {sanitise(alert.name, 40)} {counted(alert)}" for alert in alerts[:6]
    )
