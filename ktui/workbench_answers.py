"""What the control API answers about a draft and about one request's decision, typed.

Unknown keys are ignored, so an older screen reads a newer gateway; keys that may be absent have a default.
"""

from __future__ import annotations

import msgspec


class Route(msgspec.Struct, frozen=True):
    """Where a request goes: the decision, the model and the variant's tag (None: no split took part)."""

    decision: str | None = None
    model: str | None = None
    variant: str | None = None


class Move(msgspec.Struct, frozen=True):
    """Requests that would go elsewhere, from one route to another."""

    before: Route = msgspec.field(name="from", default=Route())
    after: Route = msgspec.field(name="to", default=Route())
    requests: int = 0


class DecisionChange(msgspec.Struct, frozen=True):
    """How many requests change from one decision to another (`allow` to `block`, say)."""

    before: str = msgspec.field(name="from", default="")
    after: str = msgspec.field(name="to", default="")
    requests: int = 0


class CostImpact(msgspec.Struct, frozen=True):
    """Dollars as decimal strings over the replayed requests; `unpriced` counts those left out of both sums."""

    now: str | None = None
    draft: str | None = None
    difference: str | None = None
    unpriced: int = 0
    estimate: bool = True


class PolicyImpact(msgspec.Struct, frozen=True):
    """How often one policy of the draft fired and would fire."""

    policy: str
    type: str = ""
    line: int = 0
    fired: int | None = None
    would_fire: int = 0
    note: str | None = None


class Reason(msgspec.Struct, frozen=True):
    """Why the route of some requests cannot be told."""

    reason: str
    requests: int = 0


class Example(msgspec.Struct, frozen=True):
    """One replayed request."""

    id: str
    timestamp: str
    requested_model: str | None = None
    before: Route = msgspec.field(name="from", default=Route())
    after: Route = msgspec.field(name="to", default=Route())
    why: str | None = None


class Impact(msgspec.Struct, frozen=True):
    """POST /v1/policy/impact: the draft, replayed over recorded requests. `took_ms` is the replay alone."""

    requests: int = 0
    asked: int = 0
    since: str | None = msgspec.field(name="from", default=None)
    until: str | None = msgspec.field(name="to", default=None)
    took_ms: float | None = None
    same: int = 0
    changed: int = 0
    cannot_tell: int = 0
    moves: tuple[Move, ...] = ()
    decisions: tuple[DecisionChange, ...] = ()
    cost: CostImpact | None = None
    policies: tuple[PolicyImpact, ...] = ()
    reasons: tuple[Reason, ...] = ()
    examples: tuple[Example, ...] = ()

    def newly(self, decision: str) -> int:
        """Requests that end in `decision` under the draft and did not before."""
        return sum(
            item.requests for item in self.decisions if item.after == decision and item.before != decision
        )


class Step(msgspec.Struct, frozen=True):
    """One policy that was looked at. `outcome` is a word of the engine (`matched`, `skipped`, ...)."""

    policy: str
    type: str = ""
    line: int = 0
    outcome: str = ""
    reason: str = ""


class ArmScore(msgspec.Struct, frozen=True):
    """An arm's score in the draw; the chosen one won."""

    tag: str
    weight: float | None = None
    score: float | None = None
    chosen: bool = False


class Assignment(msgspec.Struct, frozen=True):
    """Which unit chose the variant, and by which hash. The raw value is not kept, only its digest."""

    split: str = ""
    unit_kind: str | None = None
    unit_digest: str | None = None
    salt: str | None = None
    phase: str | None = None
    arms: tuple[ArmScore, ...] = ()


class RanVersion(msgspec.Struct, frozen=True):
    """The version that decided."""

    number: int = 0
    hash: str = ""
    applied_at: str | None = None


class Explanation(msgspec.Struct, frozen=True):
    """GET /v1/events/{id}/explain: why a request went where it went, under the version that ran."""

    decision: str | None = None
    model: str | None = None
    variant: str | None = None
    steps: tuple[Step, ...] = ()
    assignment: Assignment | None = None
    version: RanVersion | None = None
    cannot_tell: tuple[str, ...] = ()
    text: str = ""


class ModelPrice(msgspec.Struct, frozen=True):
    """What a model costs at a target, dollars per million tokens as decimal strings; None: not known."""

    model: str
    target: str = ""
    input: str | None = None
    output: str | None = None
