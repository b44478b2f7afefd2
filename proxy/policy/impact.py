"""A draft, replayed over recorded requests: what would have become of each of them. Pure.

Policies of types that are not enforced yet (limits, scorers) decide nothing here, as they decide nothing in the
gateway. A request whose outcome depends on what was not kept of it is counted apart, never guessed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from proxy.policy.facts import Decision, NotRecordedError, RequestFacts
from proxy.policy.plan import Plan, told
from proxy.policy.recorded import RecordedRequest, UserNames, facts_of

Reprice = Callable[[RecordedRequest, Decision], int | None]
"""Nano-dollars of the recorded tokens at what a decision would be priced; None: no price, or tokens not known."""


Place = tuple[str, str | None]
"""Model and variant."""
Move = tuple[Place, Place]
"""Before and after."""


@dataclass(frozen=True, slots=True)
class Route:
    """What became of a request."""

    decision: str
    model: str
    variant: str | None


@dataclass(slots=True)
class Outcome:
    """One request under the draft. `after` is None when it cannot be told; `reason` then says why."""

    request: RecordedRequest
    before: Route
    after: Route | None
    fired: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def changed(self) -> bool:
        """Whether it surely ends elsewhere."""
        return self.after is not None and self.after != self.before


@dataclass(slots=True)
class CostChange:
    """Nano-dollars over the requests whose cost is known before and after; the others are only counted."""

    now: int = 0
    draft: int = 0
    unpriced: int = 0
    """Requests left out of both sums, for want of a price or of tokens."""


@dataclass(frozen=True, slots=True)
class PolicyImpact:
    """How often a policy fired, and would fire."""

    policy: str
    kind: str
    line: int
    fired: int
    would_fire: int
    note: str | None


@dataclass(frozen=True, slots=True)
class Impact:
    """The replay, newest request first, and what it adds up to."""

    outcomes: Sequence[Outcome]
    cost: CostChange
    policies: tuple[PolicyImpact, ...]

    @property
    def changed(self) -> int:
        """Requests that surely end elsewhere."""
        return sum(outcome.changed for outcome in self.outcomes)

    @property
    def cannot_tell(self) -> int:
        """Requests whose end depends on what was not recorded."""
        return sum(outcome.after is None for outcome in self.outcomes)

    def moves(self) -> list[tuple[Move, int]]:
        """Requests that change model or variant, by where from and where to, the most frequent first."""
        counted = Counter(move for outcome in self.outcomes if (move := move_of(outcome)) is not None)
        return sorted(counted.items(), key=lambda item: (-item[1], str(item[0])))

    def decisions(self) -> list[tuple[str, str, int]]:
        """Requests by decision before and after, also where it stays, the most frequent first."""
        counted = Counter(
            (outcome.before.decision, outcome.after.decision)
            for outcome in self.outcomes
            if outcome.after is not None
        )
        ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        return [(before, after, count) for (before, after), count in ranked]

    def reasons(self) -> list[tuple[str, int]]:
        """Why requests cannot be told, the most frequent first."""
        return Counter(outcome.reason for outcome in self.outcomes if outcome.reason).most_common()


def move_of(outcome: Outcome) -> Move | None:
    """Model and variant before and after, if they differ and the request is not refused before or after."""
    after = outcome.after
    if after is None or after.decision == "block" or outcome.before.decision == "block":
        return None
    places = (outcome.before.model, outcome.before.variant), (after.model, after.variant)
    return places if places[0] != places[1] else None


def replay(draft: Plan, requests: Iterable[RecordedRequest], reprice: Reprice) -> Impact:
    """What `draft` would have made of each of `requests`."""
    names = UserNames.of(draft.user_patterns)
    cost = CostChange()
    outcomes = []
    for request in requests:
        outcome, decision = _outcome(draft, request, names)
        outcomes.append(outcome)
        if decision is not None:
            _add_cost(cost, outcome, decision, reprice)
    return Impact(outcomes, cost, tuple(_policies(draft, outcomes)))


def _outcome(draft: Plan, request: RecordedRequest, names: UserNames) -> tuple[Outcome, Decision | None]:
    before = Route(request.decision, request.model, request.tag)
    try:
        decision = draft.decide(facts_of(request, names))
    except NotRecordedError as missing:
        reason = f"depends on {told(missing.fact)}, which was not recorded"
        return Outcome(request, before, None, reason=reason), None
    assigned = decision.assignment
    after = Route(decision.action, decision.model, assigned.tag if assigned is not None else None)
    return Outcome(request, before, after, decision.triggered), decision


def _add_cost(cost: CostChange, outcome: Outcome, decision: Decision, reprice: Reprice) -> None:
    request = outcome.request
    now = request.cost_nanos if request.went_upstream else 0
    draft: int | None
    if decision.action == "block":
        draft = 0
    elif not request.went_upstream:
        # Refused before, or failed on our side: what it would have used is not known unless it fails again.
        draft = None if outcome.changed else 0
    elif decision.model == request.model and _same_target(request, decision):
        draft = now
    else:
        draft = reprice(request, decision)
    if now is None or draft is None:
        cost.unpriced += 1
    else:
        cost.now += now
        cost.draft += draft


def _same_target(request: RecordedRequest, decision: Decision) -> bool:
    named = named_target(decision)
    return named is None or named == request.target


def named_target(decision: Decision) -> str | None:
    """The target that the chosen variant names, unless a later policy sent the request elsewhere."""
    assigned = decision.assignment
    return assigned.target if assigned is not None and assigned.model == decision.model else None


def _policies(draft: Plan, outcomes: Sequence[Outcome]) -> Iterable[PolicyImpact]:
    fired: Counter[str] = Counter()
    would: Counter[str] = Counter()
    for outcome in outcomes:
        fired.update(outcome.request.triggered)
        would.update(outcome.fired)
    for policy in draft.chain:
        note = None
        if not policy.enabled:
            note = "disabled"
        elif policy.act is None:
            note = f"{policy.kind} is not enforced by this version"
        elif outcomes and not would[policy.name]:
            note = "would never fire"
        name = policy.name
        yield PolicyImpact(name, policy.kind, policy.line, fired[name], would[name], note)
    named = {policy.name for policy in draft.chain}
    for name, count in fired.most_common():
        if name not in named:
            yield PolicyImpact(name, "", 0, count, 0, "not in the draft")


def why(draft: Plan, outcome: Outcome) -> str:
    """One clause: which policy of the draft sends the request where it would go."""
    if outcome.reason is not None:
        return outcome.reason
    facts: RequestFacts = facts_of(outcome.request, UserNames.of(draft.user_patterns))
    decisive = [step for step in draft.explain(facts).steps if step.policy in outcome.fired]
    if not decisive:
        return "no policy touches it"
    return "; ".join(f"{step.policy} (line {step.line}): {step.reason}" for step in decisive[-3:])
