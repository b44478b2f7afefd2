"""Work of more than a few milliseconds, as functions of plain values: run in the worker process, or in `kt` itself.

Every job takes what it needs and answers what the control API answers. DraftError and StoreError are for the caller.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

from proxy.base.money import to_decimal_string
from proxy.base.times import rfc3339
from proxy.base.worker import JobError
from proxy.config.state import text_hash
from proxy.events.recorded_requests import read_requests, usage_of
from proxy.policy.diagnostics import Diagnostic
from proxy.policy.difference import changed_values, unified
from proxy.policy.facts import Decision
from proxy.policy.impact import Impact, Outcome, Route, move_of, named_target, replay, why
from proxy.policy.lint import LintResult, Surroundings, lint
from proxy.policy.meaning import MeaningError, meaning_of_texts
from proxy.policy.plan import Plan, compile_plan, not_enforced
from proxy.policy.recorded import RecordedRequest
from proxy.policy.schema import PolicyFile, effective_targets
from proxy.policy.targets import TargetSpec
from proxy.prices.book import PriceBook

SHOW_KINDS = ("changed", "blocked", "unblocked", "redirected", "cannot_tell", "move", "policy")


class DraftError(JobError, ValueError):
    """A text with errors, which no request can be replayed against."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__("the text has errors")
        self.diagnostics = diagnostics

    def __reduce__(self) -> tuple[type[DraftError], tuple[Any, ...]]:
        return DraftError, (self.diagnostics,)


@dataclass(frozen=True, slots=True)
class Show:
    """Which requests to list: all of a kind, those of the move at `index`, or those a policy `name` would fire on."""

    kind: str = "changed"
    index: int = 0
    name: str = ""


@dataclass(frozen=True, slots=True)
class ImpactWanted:
    """A draft and what to replay it over."""

    text: str
    last: int = 10_000
    since_ms: int | None = None
    show: Show = Show()
    limit: int = 100


def portable(surroundings: Surroundings) -> Surroundings:
    """A copy that can be handed to another process: its read-only tables as plain ones."""
    tables: dict[str, Any] = {
        item.name: dict(value)
        for item in fields(surroundings)
        if isinstance(value := getattr(surroundings, item.name), Mapping)
    }
    return replace(surroundings, **tables)


def clean_plan(text: str, surroundings: Surroundings) -> tuple[PolicyFile, Plan]:
    """`text` compiled. Raises DraftError."""
    result = lint(text, surroundings)
    if result.policy_file is None:
        raise DraftError(result.diagnostics)
    return result.policy_file, compile_plan(result.policy_file, text_hash(text))


def impact(store: Path, wanted: ImpactWanted, surroundings: Surroundings) -> dict[str, Any]:
    """The draft replayed over what the store at `store` holds. Raises DraftError and StoreError.

    `took_ms` is all of it: lint, read and replay.
    """
    began = time.perf_counter()
    policy_file, plan = clean_plan(wanted.text, surroundings)
    requests = read_requests(store, wanted.last, wanted.since_ms)
    found = replay(plan, requests, Pricer(policy_file, surroundings.env))
    answer = impact_json(found, plan, wanted)
    answer["took_ms"] = round((time.perf_counter() - began) * 1e3, 1)
    return answer


class Pricer:
    """Prices recorded tokens at what the draft's own targets and prices say."""

    def __init__(self, policy_file: PolicyFile, env: Mapping[str, str]) -> None:
        self._targets = effective_targets(policy_file, env)
        self._book = PriceBook({target.id: target.pricing for target in self._targets}, policy_file.prices)
        self._found: dict[tuple[str, str | None], TargetSpec | None] = {}

    def __call__(self, request: RecordedRequest, decision: Decision) -> int | None:
        return self.price(decision.model, request, named_target(decision))

    def price(self, model: str, request: RecordedRequest, named: str | None = None) -> int | None:
        """Nano-dollars of the tokens of `request` at `model`, at the target `named`; None: no price, or no tokens."""
        target = self._target(model, named)
        if target is None:
            return None
        return self._book.cost(self._book.quote(target.provider, model, target), usage_of(request))[0]

    def answers(self, model: str) -> bool:
        """Whether a target serves `model` and there is a price for what it writes, so that it is one that writes."""
        target = self._target(model, None)
        quote = self._book.quote(target.provider, model, target) if target is not None else None
        return quote is not None and quote.output is not None

    def _target(self, model: str, named: str | None) -> TargetSpec | None:
        key = (model, named)
        if key not in self._found:
            self._found[key] = next(
                (
                    target
                    for target in self._targets
                    if (target.id == named if named is not None else target.serves(model))
                ),
                None,
            )
        return self._found[key]


def impact_json(found: Impact, plan: Plan, wanted: ImpactWanted) -> dict[str, Any]:
    """`found` as the control API answers it, `took_ms` left out."""
    outcomes = found.outcomes
    moments = [outcome.request.timestamp_ms for outcome in outcomes]
    moves = found.moves()
    decisions = found.decisions()
    cannot_tell, changed = found.cannot_tell, found.changed
    return {
        "requests": len(outcomes),
        "asked": wanted.last,
        "from": rfc3339(min(moments)) if moments else None,
        "to": rfc3339(max(moments)) if moments else None,
        "same": len(outcomes) - changed - cannot_tell,
        "changed": changed,
        "cannot_tell": cannot_tell,
        "blocked": sum(count for a, b, count in decisions if b == "block" and a != "block"),
        "unblocked": sum(count for a, b, count in decisions if a == "block" and b != "block"),
        "redirected": sum(count for a, b, count in decisions if b == "redirect" and a != "redirect"),
        "moves": [
            {"from": _place(*before), "to": _place(*after), "requests": count}
            for (before, after), count in moves
        ],
        "decisions": [{"from": a, "to": b, "requests": count} for a, b, count in decisions],
        "cost": {
            "now": to_decimal_string(found.cost.now),
            "draft": to_decimal_string(found.cost.draft),
            "difference": to_decimal_string(found.cost.draft - found.cost.now),
            "unpriced": found.cost.unpriced,
            "estimate": True,
        },
        "policies": [
            {
                "policy": item.policy,
                "type": item.kind,
                "line": item.line,
                "fired": item.fired,
                "would_fire": item.would_fire,
                "note": item.note,
            }
            for item in found.policies
        ],
        "reasons": [{"reason": reason, "requests": count} for reason, count in found.reasons()],
        "examples": [_example(plan, outcome) for outcome in _shown(found, wanted)],
    }


def _shown(found: Impact, wanted: ImpactWanted) -> list[Outcome]:
    """The newest requests of the kind that is asked for."""
    picks: Mapping[str, Callable[[Outcome], bool]] = {
        "changed": lambda outcome: outcome.changed,
        "blocked": lambda outcome: _becomes(outcome, "block"),
        "unblocked": lambda outcome: outcome.changed and outcome.before.decision == "block",
        "redirected": lambda outcome: _becomes(outcome, "redirect"),
        "cannot_tell": lambda outcome: outcome.after is None,
        "policy": lambda outcome: wanted.show.name in outcome.fired,
    }
    if wanted.show.kind == "move":
        moves = found.moves()
        if not 0 <= wanted.show.index < len(moves):
            return []
        move = moves[wanted.show.index][0]
        return list(islice((item for item in found.outcomes if move_of(item) == move), wanted.limit))
    return list(islice(filter(picks[wanted.show.kind], found.outcomes), wanted.limit))


def _becomes(outcome: Outcome, decision: str) -> bool:
    after = outcome.after
    return after is not None and after.decision == decision and outcome.before.decision != decision


def _place(model: str, variant: str | None) -> dict[str, Any]:
    return {"model": model, "variant": variant}


def _route(route: Route | None) -> dict[str, Any] | None:
    if route is None:
        return None
    return {"decision": route.decision, "model": route.model, "variant": route.variant}


def _example(plan: Plan, outcome: Outcome) -> dict[str, Any]:
    request = outcome.request
    return {
        "id": request.id,
        "timestamp": rfc3339(request.timestamp_ms),
        "requested_model": request.requested_model,
        "from": _route(outcome.before),
        "to": _route(outcome.after) or {"decision": None, "model": None, "variant": None},
        "why": why(plan, outcome),
    }


def lint_json(result: LintResult) -> dict[str, Any]:
    """What is wrong with a text, and what it asks for that is not done."""
    missing = not_enforced(result.policy_file.policies) if result.policy_file is not None else ()
    return {
        "valid": result.clean,
        "diagnostics": [item.to_json() for item in result.diagnostics],
        "not_enforced": [{"policy": item.policy, "type": item.kind, "line": item.line} for item in missing],
    }


def diff_json(a: str, b: str) -> dict[str, Any]:
    """What differs between two texts: in meaning, in lines and in values."""
    changes = [
        {"path": item.path, "before": item.before, "after": item.after} for item in changed_values(a, b)
    ]
    return {"meaning": _meaning(a, b), "unified": unified(a, b), "values": changes}


def _meaning(a: str, b: str) -> list[str]:
    try:
        return meaning_of_texts(a, b)
    except MeaningError as error:
        return [f"{error}; only the lines can be compared"]


def lint_text(text: str, surroundings: Surroundings) -> dict[str, Any]:
    """`lint_json` of `text`."""
    return lint_json(lint(text, surroundings))
