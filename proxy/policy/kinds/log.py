"""`log`: marks the requests that meet its conditions."""

from __future__ import annotations

from typing import Literal

from proxy.policy.facts import RequestFacts
from proxy.policy.kinds.registry import Act, ConditionedSpec, Kind, Walk

SEVERITIES: tuple[str, ...] = ("debug", "info", "warn", "error", "critical")
"""Weakest first."""


class Log(ConditionedSpec):
    """Marks requests; nothing else changes."""

    severity: Literal["debug", "info", "warn", "error", "critical"] = "info"
    """From warn on, the decision becomes `warn`."""


def _act(policy: Log) -> Act:
    severity, rank, name = policy.severity, SEVERITIES.index(policy.severity), policy.name
    warns = rank >= SEVERITIES.index("warn")

    def act(facts: RequestFacts, walk: Walk) -> bool:
        if walk.severity is None or SEVERITIES.index(walk.severity) < rank:
            walk.severity = severity
        if warns and walk.action == "allow":
            walk.action = "warn"
        walk.triggered.append(name)
        if walk.explaining:
            walk.reason = f"marked with severity {severity}"
        return True

    return act


KIND = Kind(
    name="log",
    doc="Marks the requests that meet its conditions with a severity.",
    model=Log,
    act=_act,
)
