"""Limits and scorers that can never do anything, or do more than they seem to."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.policy.check import Context, Finding, check
from proxy.policy.checks.conditions import contradictions
from proxy.policy.checks.fixes import add_flow, add_key
from proxy.policy.checks.reach import dead_ends
from proxy.policy.document import shown
from proxy.policy.kinds.cost_limit import CostLimit
from proxy.policy.kinds.quality_scorer import QualityScorer
from proxy.policy.kinds.rate_limit import RateLimit


@check(
    "limit-never-fires",
    "warning",
    "A limit that can never fire",
    why="No request gets to it, or none can meet its conditions: the budget it stands for is not guarded.",
    mend="Move the limit above the policy that takes its requests, or mend its conditions.",
    bad="""
    policies:
      - {name: closed, type: model_filter, blocked_models: ["*"]}
      - {name: «per-minute», type: rate_limit, requests: 60}
    """,
    good="""
    policies:
      - {name: per-minute, type: rate_limit, requests: 60}
      - {name: closed, type: model_filter, blocked_models: ["*"]}
    """,
)
def limit_never_fires(context: Context) -> Iterable[Finding]:
    """A limit behind a catch-all, with conditions that cannot hold, or that lowers to the model it counts."""
    for found in dead_ends(context):
        if isinstance(found.policy, CostLimit | RateLimit):
            yield Finding(f"the limit can never fire: {found.message}", found.place)
    for policy in context.active:
        if not isinstance(policy, CostLimit | RateLimit):
            continue
        for finding in contradictions(policy, context):
            yield Finding(f"the limit can never fire: {finding.message}", finding.path, key=finding.key)
        models = policy.conditions.model if policy.conditions is not None else None
        if (
            isinstance(policy, CostLimit)
            and policy.downgrade_to is not None
            and models == [policy.downgrade_to]
        ):
            message = (
                f"requests for {shown(policy.downgrade_to)} are downgraded to the same model: nothing changes"
            )
            yield Finding(message, (*policy.path, "downgrade_to"))


@check(
    "scorer-never-acts",
    "warning",
    "A scorer that can never find a poor answer",
    why="Scores lie between 0 and 1. None is below a minimum of 0, and a sample rate of 0 scores no answer.",
    mend="Raise the value, or remove the policy.",
    bad="""
    policies:
      - {name: quality, type: quality_scorer, min_score: «0»}
    """,
    good="""
    policies:
      - {name: quality, type: quality_scorer, min_score: 0.7}
    """,
)
def scorer_never_acts(context: Context) -> Iterable[Finding]:
    """Values of a scorer that turn it off."""
    for policy in context.active:
        if isinstance(policy, QualityScorer) and policy.min_score == 0:
            yield Finding("no answer scores below 0: the policy never acts", (*policy.path, "min_score"))
        if isinstance(policy, QualityScorer) and policy.sample_rate == 0:
            yield Finding("a sample rate of 0 scores no answer", (*policy.path, "sample_rate"))


@check(
    "blocks-streams",
    "warning",
    "A scorer would hold back streams",
    why="""An answer can only be blocked before its first byte is sent. For a streamed one that means waiting for the whole
    answer: the client sees nothing until the end.""",
    mend="Let it block whole answers only (`conditions: {stream: false}`), or choose `action: warn`.",
    bad="""
    policies:
      - {name: quality, type: quality_scorer, min_score: 0.7, action: «block»}
    """,
    good="""
    policies:
      - {name: quality, type: quality_scorer, conditions: {stream: false}, min_score: 0.7, action: block}
    """,
)
def blocks_streams(context: Context) -> Iterable[Finding]:
    """Blocking a stream takes all of it."""
    for policy in context.active:
        conditions = policy.conditions
        if not isinstance(policy, QualityScorer) or policy.action != "block":
            continue
        if conditions is not None and conditions.stream is not None:
            if conditions.stream is False:
                continue
            fix = None
        elif conditions is not None:
            fix = add_key(context.document, conditions.path, "stream", "false")
        else:
            fix = add_flow(context.document, policy.path, "conditions", "stream: false")
        message = (
            "a streamed answer can only be blocked by holding all of it back: its client waits to the end"
        )
        yield Finding(message, (*policy.path, "action"), fix=fix)
