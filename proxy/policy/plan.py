"""From a policy file to a plan, and from a request to a decision. Pure and immutable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from decimal import Decimal

from proxy.policy.conditions import zone_of
from proxy.policy.document import shown
from proxy.policy.facts import Decision, NotRecordedError, RequestFacts, Step
from proxy.policy.kinds import SPELLINGS
from proxy.policy.kinds.model_filter import ModelFilter
from proxy.policy.kinds.registry import Compiled, ConditionedSpec, NotEnforced, Walk
from proxy.policy.kinds.traffic_split import TrafficSplit
from proxy.policy.schema import PolicyFile, effective_targets
from proxy.policy.spec import seconds_of
from proxy.policy.weights import same_shares

__all__ = ["Arm", "NotEnforced", "PhasePlan", "Plan", "SplitPlan", "compile_plan"]


@dataclass(frozen=True, slots=True)
class Arm:
    """One variant of a split."""

    tag: str
    model: str
    target: str | None
    weight: Decimal
    share: Decimal
    """Percent of the units: weight / sum * 100, not rounded."""


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """One planned phase."""

    name: str
    weights: dict[str, Decimal]
    shares: dict[str, Decimal]
    """Percent by tag."""
    duration_s: float | None
    duration_text: str | None
    line: int


@dataclass(frozen=True, slots=True)
class SplitPlan:
    """A split as the screen and the API show it."""

    name: str
    line: int
    enabled: bool
    unit: tuple[str, ...]
    salt: str
    phase: str | None
    advance: str | None
    """`manual`, `auto`, or None without a rollout."""
    arms: tuple[Arm, ...]
    phases: tuple[PhasePlan, ...]
    off_plan: bool
    """Whether the live weights are not those of the live phase."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled policy file. Applying one is swapping a reference."""

    version: str
    chain: tuple[Compiled, ...]
    splits: tuple[SplitPlan, ...] = ()
    not_enforced: tuple[NotEnforced, ...] = ()
    virtual_models: tuple[str, ...] = ()
    """Names that stand only in a condition and are sent elsewhere by a policy."""
    named_models: tuple[str, ...] = ()
    """Models that a policy can send a request to."""
    kept_headers: frozenset[str] = frozenset()
    """Lower case; conditions or `events.keep_headers` ask for them."""
    kept_metadata: frozenset[str] = frozenset()
    unit_headers: frozenset[str] = frozenset()
    """Lower case; a split may take its unit from them."""
    user_patterns: tuple[str, ...] = ()
    """What conditions ask of `user`."""
    _live: tuple[Compiled, ...] = ()

    def decide(self, facts: RequestFacts) -> Decision:
        """What becomes of the request. No I/O, no clock, no randomness.

        Raises NotRecordedError for a recorded request when that depends on what was not kept of it.
        """
        walk = Walk(facts.requested_model)
        for policy in self._live:
            act = policy.act
            try:
                if act is not None and policy.conditions.hold(facts, walk.model):
                    act(facts, walk)
                    if walk.refusal is not None:
                        break
            except NotRecordedError:
                if _matters(policy, facts, walk):
                    raise
        return _decision(walk, ())

    def explain(self, facts: RequestFacts) -> Decision:
        """The same decision, with every policy looked at and why it did or did not act.

        A recorded request is followed up to the first step that cannot be told; the decision is then that so far.
        """
        walk = Walk(facts.requested_model, explaining=True)
        steps: list[Step] = []
        for policy in self.chain:
            steps.append(_explained(policy, facts, walk))
            if walk.refusal is not None or steps[-1].outcome == "cannot_tell":
                break
        return _decision(walk, tuple(steps))


def _decision(walk: Walk, steps: tuple[Step, ...]) -> Decision:
    return Decision(
        walk.action,
        walk.model,
        walk.assignment,
        tuple(walk.triggered),
        walk.severity,
        walk.refusal,
        steps,
    )


def _matters(policy: Compiled, facts: RequestFacts, walk: Walk) -> bool:
    """Whether it makes a difference that the conditions of `policy` cannot be told: no, if it would do nothing anyway."""
    if policy.act is None:
        return False
    trial = replace(walk, triggered=list(walk.triggered))
    try:
        policy.act(facts, trial)
    except NotRecordedError:
        return True
    return replace(trial, reason=walk.reason) != walk


def _explained(policy: Compiled, facts: RequestFacts, walk: Walk) -> Step:
    name, kind, line = policy.name, policy.kind, policy.line
    if not policy.enabled:
        return Step(name, kind, line, "skipped", "disabled")
    not_enforced = Step(name, kind, line, "not_enforced", f"{kind} is not enforced by this version")
    walk.reason = ""
    try:
        why_not = policy.conditions.why_not(facts, walk.model)
        if why_not is not None:
            return Step(name, kind, line, "skipped", why_not)
        if policy.act is None:
            return not_enforced
        acted = policy.act(facts, walk)
    except NotRecordedError as missing:
        if policy.act is None:
            return not_enforced
        if not _matters(policy, facts, walk):
            return Step(
                name, kind, line, "skipped", f"would change nothing, whatever {told(missing.fact)} was"
            )
        return Step(
            name, kind, line, "cannot_tell", f"depends on {told(missing.fact)}, which was not recorded"
        )
    return Step(name, kind, line, "matched" if acted else "skipped", walk.reason)


def told(fact: str) -> str:
    """A fact's name as a reader knows it."""
    table, _, name = fact.partition(":")
    if table == "unit":
        return f"the unit {shown(name)}"
    return f"the {table} {shown(name)}" if name else f"the {fact}"


def compile_plan(policy_file: PolicyFile, version: str) -> Plan:
    """A plan from a file that lints clean. `version` names it on every event.

    Raises ValueError for a file that does not (a split whose weights are all 0).
    """
    zone = zone_of(policy_file.gateway.timezone)
    policies = policy_file.policies
    chain = tuple(SPELLINGS[policy.type].compile(policy, zone) for policy in policies)
    splits = [policy for policy in policies if isinstance(policy, TrafficSplit)]
    return Plan(
        version=version,
        chain=chain,
        _live=tuple(policy for policy in chain if policy.enabled and policy.act is not None),
        splits=tuple(_split_plan(split) for split in splits),
        not_enforced=tuple(not_enforced(policies)),
        virtual_models=_virtual_models(policy_file),
        named_models=tuple(_named_models(policies)),
        kept_headers=frozenset(policy_file.events.keep_headers) | _asked(policies, "header", lower=True),
        kept_metadata=_asked(policies, "metadata"),
        unit_headers=frozenset(
            unit.removeprefix("header:")
            for split in splits
            for unit in split.chain
            if unit.startswith("header:")
        ),
        user_patterns=tuple(
            pattern
            for policy in policies
            if policy.conditions is not None
            for pattern in policy.conditions.user or ()
        ),
    )


def not_enforced(policies: Iterable[ConditionedSpec]) -> Iterable[NotEnforced]:
    """What enabled policies ask for and this version does not do."""
    for policy in policies:
        if not policy.enabled:
            continue
        kind = SPELLINGS[policy.type]
        if kind.act is None:
            yield NotEnforced(policy.name, kind.name, policy.line)
        yield from kind.partly(policy)


def _split_plan(split: TrafficSplit) -> SplitPlan:
    rollout = split.rollout
    shares = _shares(split.weights)
    phases = tuple(
        PhasePlan(
            phase.name,
            dict(phase.weights),
            _shares(phase.weights),
            seconds_of(phase.duration) if phase.duration else None,
            phase.duration,
            phase.line,
        )
        for phase in (rollout.phases if rollout else ())
    )
    return SplitPlan(
        name=split.name,
        line=split.line,
        enabled=split.enabled,
        unit=split.chain,
        salt=split.salt,
        phase=rollout.phase if rollout else None,
        advance=rollout.advance if rollout else None,
        arms=tuple(
            Arm(variant.label, variant.model, variant.target, variant.weight, shares[variant.label])
            for variant in split.variants
        ),
        phases=phases,
        off_plan=_off_plan(split, phases),
    )


def _shares(weights: dict[str, Decimal]) -> dict[str, Decimal]:
    total = sum(weights.values(), Decimal(0))
    return {tag: weight * 100 / total if total else Decimal(0) for tag, weight in weights.items()}


def _off_plan(split: TrafficSplit, phases: tuple[PhasePlan, ...]) -> bool:
    live = split.rollout.phase if split.rollout else None
    if split.rollout is None or live is None:
        return False
    if live == "rolled-back":
        return split.weights[incumbent(split)] != sum(split.weights.values())
    planned = next((phase.weights for phase in phases if phase.name == live), None)
    return planned is not None and not same_shares(split.weights, planned)


def incumbent(split: TrafficSplit) -> str:
    """Tag of the control arm: `control:`, else the greatest weight of the first phase (or of the split)."""
    if split.rollout is not None and split.rollout.control is not None:
        return split.rollout.control
    weights = split.rollout.phases[0].weights if split.rollout is not None else split.weights
    return max((tag for tag in split.weights if tag in weights), key=lambda tag: weights[tag])


def _named_models(policies: Iterable[ConditionedSpec]) -> Iterable[str]:
    seen: dict[str, None] = {}
    for policy in policies:
        if policy.enabled:
            seen.update(dict.fromkeys(SPELLINGS[policy.type].models(policy)))
    return seen


def _virtual_models(policy_file: PolicyFile) -> tuple[str, ...]:
    """Names in `conditions.model` that no target serves and that an enabled policy sends elsewhere."""
    targets = effective_targets(policy_file, {})
    names: dict[str, None] = {}
    for policy in policy_file.policies:
        if not policy.enabled or policy.conditions is None:
            continue
        if isinstance(policy, TrafficSplit) or (isinstance(policy, ModelFilter) and policy.preferred_model):
            names.update(
                dict.fromkeys(
                    name for name in policy.conditions.model or () if "*" not in name and "?" not in name
                )
            )
    return tuple(name for name in names if not any(target.serves(name) for target in targets))


def _asked(policies: Iterable[ConditionedSpec], table: str, *, lower: bool = False) -> frozenset[str]:
    asked = (
        name
        for policy in policies
        if policy.conditions is not None
        for name in (getattr(policy.conditions, table) or ())
    )
    return frozenset(name.lower() if lower else name for name in asked)
