"""Alerts: whether their filters can be read, and whether they can be told apart."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.policy.check import Context, Finding, check
from proxy.policy.document import MappingNode, ScalarNode, SequenceNode

_ALERTS = ("events", "alerts")


@check(
    "alert-filter",
    "error",
    "The filter of an alert cannot be read",
    why="The alert would never fire, and nobody would notice.",
    mend="Write it as on the Live screen, such as `error:timeout` or `variant:b latency>5s`; docs/filter.md has the fields.",
    bad="""
    events:
      alerts:
        - {name: timeouts, filter: "«eror»:timeout", more_than: 5}
    policies:
      - {name: marked, type: log}
    """,
    good="""
    events:
      alerts:
        - {name: timeouts, filter: "error:timeout", more_than: 5}
    policies:
      - {name: marked, type: log}
    """,
)
def alert_filters(context: Context) -> Iterable[Finding]:
    """What counts, and what it is a share of; also of an alert that has other faults."""
    fault_of = context.surroundings.filter_fault
    alerts = context.document.find(_ALERTS)
    if fault_of is None or not isinstance(alerts, SequenceNode):
        return
    for index, alert in enumerate(alerts.items):
        for key in ("filter", "of"):
            entry = alert.get(key) if isinstance(alert, MappingNode) else None
            if entry is None or not isinstance(entry.value, ScalarNode):
                continue
            fault = fault_of(entry.value.value)
            if fault is not None:
                message, start, end = fault
                yield Finding(message, (*_ALERTS, index, key), span=_within(context, entry.value, start, end))


def _within(context: Context, node: ScalarNode, start: int, end: int) -> tuple[int, int] | None:
    """Characters of a value as places of the file; None where the file writes it in another way."""
    lead = 0 if node.style is None else 1
    written = context.document.text[node.start + lead : node.end - lead]
    return (node.start + lead + start, node.start + lead + end) if written == node.value else None
