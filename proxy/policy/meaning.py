"""What differs between two policy files for the requests that meet them, as sentences.

Comments, order of keys, quoting and spelling of numbers mean nothing; neither do descriptions, defaults that are
written out, or weights with the same shares. The order of policies and of targets does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from proxy.policy.document import parse, shown
from proxy.policy.kinds import SPELLINGS
from proxy.policy.kinds.registry import ConditionedSpec
from proxy.policy.kinds.traffic_split import TrafficSplit
from proxy.policy.meaning_words import ARROW, changes, differences, listed, number, plain, word
from proxy.policy.schema import PolicyFile, read

__all__ = ["MeaningError", "meaning", "meaning_of_texts"]


class MeaningError(ValueError):
    """A text that cannot be read as a policy file; its text is one sentence."""


def meaning_of_texts(
    a: str, b: str, name_a: str = "the first text", name_b: str = "the second text"
) -> list[str]:
    """What `b` means that `a` does not, most weighty first within the file's order. Raises MeaningError."""
    return meaning(_read(a, name_a), _read(b, name_b))


def meaning(a: PolicyFile, b: PolicyFile) -> list[str]:
    """What `b` means that `a` does not; empty when they mean the same."""
    return [*_policies(a.policies, b.policies), *_targets(a, b), *_prices(a, b), *_rest(a, b)]


def _read(text: str, name: str) -> PolicyFile:
    document = parse(text)
    policy_file, problems = read(document) if document.root is not None else (PolicyFile(), [])
    for problem in (*document.problems, *problems):
        if problem.severity == "error":
            raise MeaningError(f"{shown(name)} cannot be read: line {problem.line}: {problem.message}")
    return policy_file


# -- policies


def _policies(a: Sequence[ConditionedSpec], b: Sequence[ConditionedSpec]) -> Iterator[str]:
    old, new = {policy.name: policy for policy in a}, {policy.name: policy for policy in b}
    for name, policy in new.items():
        if name not in old:
            yield f"policy {shown(name)} added ({_kind(policy)}{'' if policy.enabled else ', switched off'})"
        else:
            yield from _policy(old[name], policy)
    for name, policy in old.items():
        if name not in new:
            yield f"policy {shown(name)} removed (was a {_kind(policy)})"
    yield from _moves([name for name in old if name in new], [name for name in new if name in old], "policy")


def _kind(policy: ConditionedSpec) -> str:
    return SPELLINGS[policy.type].name


def _policy(old: ConditionedSpec, new: ConditionedSpec) -> Iterator[str]:
    name = shown(new.name)
    if _kind(old) != _kind(new):
        yield f"{name} is now a {_kind(new)}, was a {_kind(old)}"
        return
    if old.enabled != new.enabled:
        yield f"{name} switched {'on' if new.enabled else 'off'}"
    before, after = plain(old), plain(new)
    for told in _TOLD.get(_kind(new), ()):
        yield from (f"{name} {sentence}" for sentence in told(before, after))
    if isinstance(old, TrafficSplit) and isinstance(new, TrafficSplit):
        yield from (f"{name}{sentence}" for sentence in _split(old, new, before, after))
    yield from (f"{name} {sentence}" for sentence in _conditions(before, after))
    yield from (f"{name}: {change}" for change in changes(before, after))


def _lists(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """`now also blocks gpt-4`; takes what it tells out of both."""
    for key, verb in (("blocked_models", "block"), ("allowed_models", "allow")):
        old, new = before.pop(key, None), after.pop(key, None)
        gained, lost = differences(old or (), new or ())
        if old is None and gained:
            yield f"now {verb}s {'only ' if verb == 'allow' else ''}{listed(gained)}"
        elif new is None and lost:
            yield (
                f"no longer {verb}s only {listed(lost)}"
                if verb == "allow"
                else f"no longer {verb}s {listed(lost)}"
            )
        else:
            if gained:
                yield f"now also {verb}s {listed(gained)}"
            if lost:
                yield f"no longer {verb}s {listed(lost)}"


def _preferred(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    old, new = before.pop("preferred_model", None), after.pop("preferred_model", None)
    if old == new:
        return
    if new is None:
        yield f"no longer redirects to {word(old)}"
    else:
        yield f"now redirects to {word(new)}" + (f" instead of {word(old)}" if old is not None else "")


def _budget(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    old = (before.pop("limit_usd", None), before.pop("window", None))
    new = (after.pop("limit_usd", None), after.pop("window", None))
    if old != new:
        yield f"limit {_dollars(*old)} {ARROW} {_dollars(*new)}"


def _dollars(limit: Any, window: Any) -> str:
    return (f"{word(limit)} $" if limit is not None else "none") + (f"/{word(window)}" if window else "")


_TOLD = {"model_filter": (_lists, _preferred), "cost_limit": (_budget,)}


def _conditions(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    old, new = before.pop("conditions", {}), after.pop("conditions", {})
    for key in dict.fromkeys((*old, *new)):
        if key not in old:
            yield f"now also asks for {shown(key)} {word(new[key])}"
        elif key not in new:
            yield f"no longer asks for {shown(key)} {word(old[key])}"
        else:
            yield from (f"asks for another {change}" for change in changes(old[key], new[key], key))


# -- splits


def _split(
    old: TrafficSplit, new: TrafficSplit, before: dict[str, Any], after: dict[str, Any]
) -> Iterator[str]:
    shares_a, shares_b = _shares(old.weights), _shares(new.weights)
    moved = [
        f"{shown(tag)} {_percent(shares_a.get(tag))} {ARROW} {_percent(shares_b.get(tag))}"
        for tag in _greatest_change_first(shares_a, shares_b)
    ]
    if moved:
        yield ": " + ", ".join(moved)
    old_arms = {item.label: item for item in old.variants}
    for arm in new.variants:
        was = old_arms.get(arm.label)
        if was is None:
            yield f": {shown(arm.label)} added, goes to {_place(arm)}"
        elif _place(was) != _place(arm):
            yield f": {shown(arm.label)} goes to {_place(arm)} instead of {_place(was)}"
    if old.salt != new.salt or old.chain != new.chain:
        what = (
            "salt changed" if old.chain == new.chain else f"unit {word(old.chain)} {ARROW} {word(new.chain)}"
        )
        yield f": {what}, so units are dealt anew"
    for tree in (before, after):
        for key in ("variants", "salt", "unit"):
            tree.pop(key, None)
    for tree, split in ((before, old), (after, new)):
        # What is planned is compared as shares, too.
        for phase, planned in zip(tree.get("rollout", {}).get("phases", ()), _phases(split), strict=True):
            phase["weights"] = planned


def _phases(split: TrafficSplit) -> list[dict[str, str]]:
    phases = split.rollout.phases if split.rollout is not None else ()
    return [
        {tag: _percent(share) for tag, share in sorted(_shares(phase.weights).items())} for phase in phases
    ]


def _place(arm: Any) -> str:
    return shown(arm.model) + (f" at {shown(arm.target)}" if arm.target else "")


def _shares(weights: Mapping[str, Decimal]) -> dict[str, Decimal]:
    total = sum(weights.values(), Decimal(0))
    return {tag: weight * 100 / total if total else Decimal(0) for tag, weight in weights.items()}


def _greatest_change_first(a: Mapping[str, Decimal], b: Mapping[str, Decimal]) -> list[str]:
    """Tags whose share changed: those that gained first."""
    tags = [tag for tag in dict.fromkeys((*a, *b)) if a.get(tag) != b.get(tag)]
    return sorted(tags, key=lambda tag: a.get(tag, Decimal(0)) - b.get(tag, Decimal(0)))


def _percent(share: Decimal | None) -> str:
    return "none" if share is None else f"{number(round(share, 3))} %"


# -- the rest of the file


def _targets(a: PolicyFile, b: PolicyFile) -> Iterator[str]:
    if a.names_targets != b.names_targets:
        yield (
            "targets are now those the file names" if b.names_targets else "targets are now the vendors' own"
        )
    old = {target.id: target for target in a.targets}
    new = {target.id: target for target in b.targets}
    for name, target in new.items():
        if name not in old:
            yield f"target {shown(name)} added"
        else:
            told = changes(plain(old[name]), plain(target))
            yield from (f"target {shown(name)}: {change}" for change in told)
    yield from (f"target {shown(name)} removed" for name in old if name not in new)
    yield from _moves([name for name in old if name in new], [name for name in new if name in old], "target")


def _prices(a: PolicyFile, b: PolicyFile) -> Iterator[str]:
    for model in dict.fromkeys((*a.prices, *b.prices)):
        old, new = plain(a.prices.get(model)) or {}, plain(b.prices.get(model)) or {}
        for change in changes(old, new):
            yield f"price of {shown(model)}: {change} $ per million tokens"


def _rest(a: PolicyFile, b: PolicyFile) -> Iterator[str]:
    yield from (f"gateway: {change}" for change in changes(plain(a.gateway), plain(b.gateway)))
    yield from (f"events: {change}" for change in changes(plain(a.events), plain(b.events)))
    old, new = plain(a.fallback_models), plain(b.fallback_models)
    for model in dict.fromkeys((*old, *new)):
        before, after = old.get(model), new.get(model)
        if before != after:
            to = f"falls back to {word(after)}" if after else "no longer falls back"
            yield f"{shown(model)} {to}" + (f" (was {word(before)})" if before else "")


def _moves(before: Sequence[str], after: Sequence[str], what: str) -> Iterator[str]:
    """The fewest names that moved, each with the one it now stands before."""
    place = {name: index for index, name in enumerate(before)}
    stay = _longest_rising([place[name] for name in after])
    for index, name in enumerate(after):
        if place[name] not in stay:
            follower = next((other for other in after[index + 1 :]), None)
            where = f"before {shown(follower)}" if follower is not None else "to the end"
            yield f"{what} {shown(name)} moved {where}"


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    """The members of a longest rising subsequence (patience sorting)."""
    tails: list[int] = []
    previous: dict[int, int | None] = {}
    for value in numbers:
        index = bisect_left(tails, value)
        previous[value] = tails[index - 1] if index else None
        tails[index : index + 1] = [value]
    found: set[int] = set()
    value_or_none = tails[-1] if tails else None
    while value_or_none is not None:
        found.add(value_or_none)
        value_or_none = previous[value_or_none]
    return found
