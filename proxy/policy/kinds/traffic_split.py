"""`traffic_split`: shares requests out between models, the same unit always to the same one."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from proxy.policy.assignment import DEFAULT_CHAIN, UNIT_KINDS, Rendezvous, digest_of
from proxy.policy.document import shown
from proxy.policy.facts import GENERATION, Assignment, RequestFacts
from proxy.policy.kinds.registry import Act, ConditionedSpec, Kind, NotEnforced, Walk
from proxy.policy.spec import (
    Count,
    Duration,
    MayBeEmpty,
    ModelName,
    Name,
    NotOneOfError,
    OneOrMany,
    Ratio,
    Spec,
    Weight,
)

RESERVED_PHASES: frozenset[str] = frozenset({"rolled-back", "aborted"})
"""Phases a rollout can be in without the file planning them."""


def _check_unit(text: str) -> str:
    if text in UNIT_KINDS:
        return text
    if text.startswith("header:") and len(text) > 7 and text[7:].replace("-", "").replace("_", "").isalnum():
        return text.lower()
    raise NotOneOfError(f"must be header:NAME or one of {', '.join(sorted(UNIT_KINDS))}", UNIT_KINDS)


Unit = Annotated[str, AfterValidator(_check_unit)]


class Variant(Spec):
    """One arm of a split."""

    model: ModelName
    """Where its requests go."""
    weight: Weight
    """Its share is weight / sum; 0 drains it."""
    tag: Name | None = None
    """What events call the arm; the model's name when left out."""
    target: Name | None = None
    """Id of the target that serves it, when several do."""

    @property
    def label(self) -> str:
        """The tag, or the model's name."""
        return self.tag or self.model


class Phase(Spec):
    """One step of a rollout."""

    name: Name
    """What `phase` calls it."""
    weights: dict[Name, Weight]
    """Weight by tag."""
    duration: Duration | None = None
    """How long it is held at least; none: for good."""
    min_units: Count | None = None
    """Units each arm must have seen."""


class Gate(Spec):
    """A limit the challenger must keep."""

    metric: Name
    """What is compared, such as error_rate, latency_p95, cost_mean."""
    max_ratio: Ratio
    """Challenger against control."""
    on_fail: Literal["rollback", "pause", "warn"] = "pause"
    """What happens when it does not keep it."""


class Rollout(Spec):
    """A plan that moves the weights step by step."""

    phase: Annotated[Name | None, MayBeEmpty()] = None
    """The live phase; none: the weights are set by hand."""
    advance: Literal["manual", "auto"] = "manual"
    """Who moves on to the next phase."""
    phases: Annotated[list[Phase], Field(min_length=1)]
    """In order."""
    gates: list[Gate] = Field(default=[])
    """What the challenger must keep before the next phase."""
    control: Name | None = None
    """Tag of the incumbent; the greatest weight of the first phase when left out."""
    paused: bool = False
    """true: nothing moves by itself."""
    min_units: Count | None = None
    """Units each arm must have seen before a phase may end."""
    on_inconclusive: Literal["hold", "advance"] = "hold"
    """What happens when the evidence decides nothing in time."""


class TrafficSplit(ConditionedSpec):
    """Shares out generation requests for its variants' models, or for those `conditions.model` names."""

    variants: Annotated[list[Variant], Field(min_length=1)]
    """The arms."""
    unit: Annotated[list[Unit], OneOrMany(), Field(min_length=1)] | None = None
    """What stays with its arm, first found counts; a random draw is the last resort."""
    salt: Annotated[str, Field(max_length=128)] = ""
    """Change it to deal all units anew."""
    rollout: Rollout | None = None
    """A plan that moves the weights."""

    @property
    def chain(self) -> tuple[str, ...]:
        """Kinds of unit in the order they are looked for."""
        return tuple(self.unit) if self.unit is not None else DEFAULT_CHAIN

    @property
    def weights(self) -> dict[str, Decimal]:
        """Live weights by tag, in file order."""
        return {variant.label: variant.weight for variant in self.variants}


def _act(policy: TrafficSplit) -> Act:
    name, chain, salt = policy.name, policy.chain, policy.salt
    phase = policy.rollout.phase if policy.rollout is not None else None
    arms = {variant.label: (variant.model, variant.target) for variant in policy.variants}
    rendezvous = Rendezvous(salt, name, [(tag, float(weight)) for tag, weight in policy.weights.items()])
    said = policy.conditions is not None and policy.conditions.model is not None
    models = None if said else frozenset(variant.model for variant in policy.variants)

    def act(facts: RequestFacts, walk: Walk) -> bool:
        if facts.endpoint not in GENERATION:
            walk.reason = f"splits only generation requests, this is {facts.endpoint}"
            return False
        if models is not None and walk.model not in models:
            if walk.explaining:
                walk.reason = f"no variant has the current model {shown(walk.model)}"
            return False
        if walk.assignment is not None:
            walk.reason = "already_split"
            return False
        kind, digest = digest_of(facts, chain)
        tag = rendezvous.pick(digest)
        model, target = arms[tag]
        walk.assignment = Assignment(name, tag, model, target, kind, digest, salt, phase)
        walk.model = model
        walk.triggered.append(name)
        if walk.explaining:
            walk.reason = f"unit {kind}: {_ranking(rendezvous.distances(digest))}"
        return True

    return act


def _ranking(distances: dict[str, float]) -> str:
    ranked = sorted(distances.items(), key=lambda item: item[1])
    return " < ".join(f"{shown(tag, 32)} {distance:.4g}" for tag, distance in ranked[:4])


def _partly(policy: TrafficSplit) -> Iterable[NotEnforced]:
    if policy.rollout is not None and policy.rollout.gates:
        yield NotEnforced(policy.name, "rollout gates", policy.rollout.gates[0].line)
    if policy.rollout is not None and policy.rollout.advance == "auto":
        yield NotEnforced(policy.name, "rollout advance: auto", policy.rollout.line)


KIND = Kind(
    name="traffic_split",
    aliases=("traffic-split",),
    doc="Shares requests out between models by weight; the same unit always to the same one.",
    model=TrafficSplit,
    act=_act,
    partly=_partly,
    models=lambda policy: {variant.model: "variants" for variant in policy.variants},
)
