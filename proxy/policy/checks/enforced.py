"""What a file may ask for and this version does not do."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.policy.check import Context, Finding, check
from proxy.policy.kinds.traffic_split import TrafficSplit


@check(
    "not-enforced",
    "warning",
    "A part of the file that this version does not carry out",
    why="""It is read and checked, so that the file may already say it, but nothing happens: nobody should believe in a
    limit that does not hold.""",
    mend="Remove the part or set `enabled: false` until a version enforces it.",
    bad="""
    policies:
      - {name: marked, type: log}
      - {name: per-minute, type: «rate_limit», requests: 60}
    """,
    good="""
    policies:
      - {name: marked, type: log}
    """,
)
def not_enforced(context: Context) -> Iterable[Finding]:
    """Nobody may believe in a limit that does not hold."""
    for policy in context.active:
        kind = context.kind(policy)
        if kind.act is None:
            message = f"{kind.name} is read and checked, but this version does not enforce it"
            yield Finding(message, (*policy.path, "type"))
        if isinstance(policy, TrafficSplit) and policy.rollout is not None:
            if policy.rollout.gates:
                message = "gates are read and checked, but this version does not enforce them"
                yield Finding(message, (*policy.rollout.path, "gates"), key=True)
            if policy.rollout.advance == "auto":
                message = "advance: auto is not done by this version; phases move by hand"
                yield Finding(message, (*policy.rollout.path, "advance"))
