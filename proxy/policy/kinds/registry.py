"""What a policy type is made of. One file of this folder per type; each defines `KIND`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from pydantic import Field

from proxy.policy.conditions import Conditions, ConditionsSpec, compile_conditions
from proxy.policy.facts import Action, Assignment, Refusal, RequestFacts
from proxy.policy.spec import PolicySpec


class ConditionedSpec(PolicySpec):
    """A policy that acts on requests."""

    conditions: ConditionsSpec | None = Field(default=None)
    """All must hold for the policy to act."""


@dataclass(slots=True)
class Walk:
    """One request on its way through the chain."""

    model: str
    """The current model."""
    explaining: bool = False
    """Whether `reason` is wanted; the data path does without."""
    action: Action = "allow"
    assignment: Assignment | None = None
    severity: str | None = None
    refusal: Refusal | None = None
    triggered: list[str] = field(default_factory=list)
    reason: str = ""


Act = Callable[[RequestFacts, Walk], bool]
"""What a policy does to a request that meets its conditions; False when it did not apply after all."""


@dataclass(frozen=True, slots=True)
class NotEnforced:
    """Something the file asks for that this version does not do."""

    policy: str
    kind: str
    line: int


@dataclass(frozen=True, slots=True)
class Compiled:
    """A policy ready to decide. `act` is None when its type is not enforced."""

    name: str
    kind: str
    line: int
    enabled: bool
    conditions: Conditions
    act: Act | None


@dataclass(frozen=True, slots=True)
class Kind:
    """A policy type: its name in files, its model, what it does."""

    name: str
    doc: str
    """One line for the reference and the editor."""
    model: type[ConditionedSpec]
    act: Callable[[Any], Act] | None
    """Makes the decision step from a model; None: the type is read and checked but not enforced."""
    aliases: tuple[str, ...] = ()
    partly: Callable[[Any], Iterable[NotEnforced]] = lambda policy: ()
    """Parts of an enforced policy that this version does not do."""
    models: Callable[[Any], Mapping[str, str]] = lambda policy: {}
    """Models the policy can send a request to, each with the field that names it."""

    def compile(self, policy: ConditionedSpec, zone: tzinfo) -> Compiled:
        """`policy` ready to decide; `zone` is what a date in its conditions means."""
        return Compiled(
            policy.name,
            self.name,
            policy.line,
            policy.enabled,
            compile_conditions(policy.conditions, zone),
            self.act(policy) if self.act is not None else None,
        )
