"""Why a request went where it went: as data, and as the text that `kt`, the screen and the API all show."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from proxy.policy.assignment import Rendezvous
from proxy.policy.document import shown
from proxy.policy.facts import Assignment, Decision, RequestFacts
from proxy.policy.plan import Plan

_MARKS = {"matched": "●", "skipped": "○", "not_enforced": "–", "cannot_tell": "?"}
_ACTIONS = {
    "allow": "allowed",
    "warn": "allowed with a warning",
    "redirect": "redirected",
    "block": "refused",
}
_SHOWN_DIGEST = 12


def explanation(plan: Plan, facts: RequestFacts) -> dict[str, Any]:
    """What `plan` does with a request, step by step, in the form of the control API.

    `version` is None: whoever knows which version `plan` is fills it in.
    """
    decision = plan.explain(facts)
    assigned = decision.assignment
    unknown = [f"{step.policy}: {step.reason}" for step in decision.steps if step.outcome == "cannot_tell"]
    return {
        "decision": decision.action,
        "model": decision.model,
        "variant": assigned.tag if assigned is not None else None,
        "requested_model": facts.requested_model,
        "steps": [
            {
                "policy": step.policy,
                "type": step.kind,
                "line": step.line,
                "outcome": step.outcome,
                "reason": step.reason,
            }
            for step in decision.steps
        ],
        "assignment": _assignment(plan, assigned) if assigned is not None else None,
        "version": None,
        "cannot_tell": unknown,
        "refusal": _refusal(decision),
    }


def _refusal(decision: Decision) -> dict[str, Any] | None:
    refusal = decision.refusal
    if refusal is None:
        return None
    return {"policy": refusal.policy, "line": refusal.line, "message": refusal.message}


def _assignment(plan: Plan, assigned: Assignment) -> dict[str, Any]:
    split = next((split for split in plan.splits if split.name == assigned.split), None)
    weights = {arm.tag: arm.weight for arm in split.arms} if split is not None else {}
    scores: Mapping[str, float] = {}
    if any(weight > 0 for weight in weights.values()):
        arms = [(tag, float(weight)) for tag, weight in weights.items()]
        scores = Rendezvous(assigned.salt, assigned.split, arms).distances(assigned.unit_digest)
    return {
        "split": assigned.split,
        "unit_kind": assigned.unit_kind,
        "unit_digest": assigned.unit_digest,
        "salt": assigned.salt,
        "phase": assigned.phase,
        "arms": [
            {
                "tag": tag,
                "weight": float(weight),
                "score": scores.get(tag),
                "chosen": tag == assigned.tag,
            }
            for tag, weight in weights.items()
        ],
    }


def render(explanation: Mapping[str, Any]) -> str:
    """`explanation` as lines of plain text, without a newline at the end. Names from outside are made safe."""
    return "\n".join(_lines(explanation))


def _lines(told: Mapping[str, Any]) -> Iterable[str]:
    yield _headline(told)
    served = told.get("served_model")
    if served and served != told.get("model"):
        yield f"answered by the fallback {shown(served)}"
    version = told.get("version")
    if version:
        when = f", applied {version['applied_at']}" if version.get("applied_at") else ""
        yield f"decided by version {version['number']} ({version['hash'][:7]}{when})"
    steps = told.get("steps") or ()
    if steps:
        yield ""
    for step in steps:
        head = f"{shown(step['policy'])} · {step['type']} · line {step['line']}"
        yield f"{_MARKS.get(step['outcome'], '·')} {head}"
        yield f"    {step['outcome'].replace('_', ' ')}" + (f": {step['reason']}" if step["reason"] else "")
    if told.get("assignment"):
        yield ""
        yield from _assignment_lines(told["assignment"])
    unknown = told.get("cannot_tell") or ()
    if unknown:
        yield ""
        yield from (f"cannot tell: {reason}" for reason in unknown)


def _headline(told: Mapping[str, Any]) -> str:
    asked, model = told.get("requested_model"), told.get("model")
    if told.get("cannot_tell") and not told.get("decision"):
        return "it cannot be told what becomes of it"
    action = _ACTIONS.get(str(told.get("decision")), str(told.get("decision")))
    variant = f", variant {shown(told['variant'])}" if told.get("variant") else ""
    if told.get("decision") == "block":
        refusal = told.get("refusal")
        why = f": {refusal['message']}" if refusal else ""
        return f"{action} as {shown(str(model))}{why}"
    if asked and asked != model:
        return f"{action}: {shown(str(asked))} → {shown(str(model))}{variant}"
    return f"{action}: {shown(str(model))}{variant}"


def _assignment_lines(assigned: Mapping[str, Any]) -> Iterable[str]:
    digest = str(assigned["unit_digest"])[:_SHOWN_DIGEST]
    phase = f", phase {shown(assigned['phase'])}" if assigned.get("phase") else ""
    salt = f", salt {shown(assigned['salt'])}" if assigned.get("salt") else ""
    yield f"unit {shown(assigned['unit_kind'])} {digest}… in split {shown(assigned['split'])}{phase}{salt}"
    yield "the arm with the lowest score, -ln(hash) / weight, is chosen"
    arms = assigned["arms"]
    width = max((len(shown(arm["tag"], 32)) for arm in arms), default=0)
    for arm in arms:
        score = f"score {arm['score']:.4g}" if arm["score"] is not None else "never chosen"
        mark = "●" if arm["chosen"] else "○"
        yield f"{mark} {shown(arm['tag'], 32):<{width}}  weight {arm['weight']:g}  {score}"
