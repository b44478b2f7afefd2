"""What recorded requests would have cost elsewhere. Every figure is that of a draft, replayed. Nothing is applied."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from proxy.base.money import to_decimal_string
from proxy.base.sanitise import sanitise
from proxy.config.state import text_hash
from proxy.control.jobs import DraftError, Pricer, clean_plan
from proxy.control.quality_words import Scores, verdict
from proxy.events.recorded_requests import read_requests
from proxy.events.rollups.cells import DAY_MS
from proxy.policy.conditions import is_glob
from proxy.policy.document import parse
from proxy.policy.facts import GENERATION
from proxy.policy.impact import replay
from proxy.policy.kinds.model_filter import ModelFilter
from proxy.policy.kinds.traffic_split import TrafficSplit
from proxy.policy.lint import Surroundings
from proxy.policy.recorded import RecordedRequest
from proxy.policy.schema import PolicyFile
from proxy.policy.spelling import Value
from proxy.policy.structure_edits import EditError, insert_item
from proxy.policy.text_edits import apply_edits

MOST_REPLAYED = 20_000
"""Requests that are looked at, the newest of the window."""
MOST_FINDINGS = 5
SHORT_CHARS = 2_000
"""A prompt of fewer characters is short."""
_LEAST_REQUESTS = 20
"""Fewer are no finding."""
_MOST_KEYS = 5
_MOST_ALIKE = 2
"""Findings of one kind on one model: many keys would leave room for nothing else."""
_MOST_TRIED = 16
_LEAST_SHARE = 0.1
"""Of what the requests cost: a smaller saving is no finding."""


@dataclass(frozen=True, slots=True)
class AdviceWanted:
    """The text that runs and the window: milliseconds since 1970, until exclusive.

    `spent`: known nano-dollars of the whole window and `covered_ms` how much of it there was traffic in: with more
    requests than are looked at, a week is reckoned from these.
    """

    text: str
    since_ms: int
    until_ms: int | None
    now_ms: int
    spent: int = 0
    covered_ms: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """Requests for `model` that are alike, and the conditions that say which. `ends`: when its vendor ends the model."""

    name: str
    model: str
    requests: tuple[RecordedRequest, ...]
    conditions: Mapping[str, str]
    key: str | None = None
    ends: date | None = None


def advice(store: Path, wanted: AdviceWanted, surroundings: Surroundings) -> dict[str, Any]:
    """The findings over what the store at `store` holds, the largest saving first.

    Raises DraftError when the text that runs no longer lints clean, StoreError.
    """
    began = time.perf_counter()
    policy_file, _ = clean_plan(wanted.text, surroundings)
    requests = read_requests(store, MOST_REPLAYED, wanted.since_ms, wanted.until_ms)
    search = _Search(wanted, policy_file, surroundings, requests)
    moments = [one.timestamp_ms for one in requests]
    return {
        "version": text_hash(wanted.text),
        "from": wanted.since_ms // 1_000,
        "to": (wanted.until_ms or wanted.now_ms) // 1_000,
        "requests": len(requests),
        "complete": len(requests) < MOST_REPLAYED,
        "covered_s": (wanted.now_ms - min(moments)) // 1_000 if moments else 0,
        "findings": search.findings(),
        "took_ms": round((time.perf_counter() - began) * 1e3, 1),
    }


class _Search:
    """One look at `requests`."""

    def __init__(
        self,
        wanted: AdviceWanted,
        policy_file: PolicyFile,
        surroundings: Surroundings,
        requests: Sequence[RecordedRequest],
    ) -> None:
        self._wanted = wanted
        self._file = policy_file
        self._surroundings = surroundings
        self._requests = [
            one
            for one in requests
            if one.endpoint in GENERATION and one.went_upstream and one.cost_nanos is not None
        ]
        self._pricer = Pricer(policy_file, surroundings.env)
        self._all_cost = sum(one.cost_nanos or 0 for one in requests)
        self._scores: dict[str, Scores] = defaultdict(Scores)
        for one in self._requests:
            self._scores[one.served or one.model].add(one.quality)

    def findings(self) -> list[dict[str, Any]]:
        """Those worth telling."""
        tried = []
        for kind in kinds(self._requests, self._surroundings):
            cost = sum(one.cost_nanos or 0 for one in kind.requests)
            for model in self._cheaper(kind):
                saving = cost - self._price(kind.requests, model)
                if saving > cost * _LEAST_SHARE:
                    tried.append((saving, kind, model))
        found: dict[tuple[str, str, str | None], dict[str, Any]] = {}
        alike: Counter[tuple[str, str]] = Counter()
        replays = 0
        for _, kind, model in sorted(tried, key=lambda item: (-item[0], item[1].name, item[2])):
            place = (kind.name, kind.model, kind.key)
            if place in found or alike[place[:2]] >= _MOST_ALIKE or replays >= _MOST_TRIED:
                continue
            replays += 1
            finding = self._finding(kind, model)
            if finding is not None and finding["verdict"] != "worse":
                found[place] = finding
                alike[place[:2]] += 1
        return sorted(found.values(), key=lambda item: -item.pop("nanos"))[:MOST_FINDINGS]

    def _price(self, requests: Iterable[RecordedRequest], model: str) -> int:
        """What `requests` would have cost at `model`; those without a price there at what they did cost."""
        prices = ((one, self._pricer.price(model, one)) for one in requests)
        return sum((one.cost_nanos or 0) if price is None else price for one, price in prices)

    def _cheaper(self, kind: Kind) -> list[str]:
        """Models that the file's targets serve, that answer in words and that have no announced end."""
        named = {one.model for one in self._requests} | set(_named_models(self._file))
        ending = self._surroundings.lifecycles
        return sorted(
            model
            for model in named - {kind.model}
            if self._pricer.answers(model)
            and (model not in ending or ending[model].deprecated > self._surroundings.today)
        )

    def _finding(self, kind: Kind, model: str) -> dict[str, Any] | None:
        name = _free_name(f"cheaper-{kind.name}-{kind.model}", self._file)
        try:
            text = _draft(self._wanted.text, name, kind, model)
            _, plan = clean_plan(text, self._surroundings)
        except (EditError, DraftError):
            return None
        tried = replay(plan, kind.requests, self._pricer)
        moved = [one.request for one in tried.outcomes if one.changed and name in one.fired]
        cost = replay(plan, moved, self._pricer).cost
        if len(moved) < _LEAST_REQUESTS or cost.now - cost.draft <= 0:
            return None
        reported = replay(plan, [one for one in moved if not one.estimated], self._pricer).cost
        low, high = sorted((reported.now - reported.draft, cost.now - cost.draft))
        now, then = Scores(), self._scores[model]
        for one in moved:
            now.add(one.quality)
        week = self._week()
        return {
            "nanos": high,
            "kind": kind.name,
            "model": sanitise(kind.model, 128),
            "to": sanitise(model, 128),
            "key": None if kind.key is None else sanitise(kind.key, 128),
            "ends": None if kind.ends is None else kind.ends.isoformat(),
            "requests": len(moved),
            "in_split": sum(one.tag is not None for one in moved),
            "unpriced": cost.unpriced,
            "cost": to_decimal_string(cost.now),
            "would_cost": to_decimal_string(cost.draft),
            "saving": _range(low, high),
            "saving_per_week": None if week is None else _range(round(low * week), round(high * week)),
            "quality": {"now": now.to_json(), "then": then.to_json()},
            "verdict": verdict(now, then),
            "policy": name,
            "text": text,
        }

    def _week(self) -> float | None:
        """How many times what was looked at makes a week; None with less than a day of traffic."""
        wanted = self._wanted
        if wanted.covered_ms < DAY_MS or not self._all_cost:
            return None
        return max(wanted.spent / self._all_cost, 1.0) * 7 * DAY_MS / wanted.covered_ms


def kinds(requests: Sequence[RecordedRequest], surroundings: Surroundings) -> list[Kind]:
    """Kinds of requests that may go elsewhere: short ones, those of one key, those for a model that ends."""
    by_model: dict[str, list[RecordedRequest]] = defaultdict(list)
    for one in requests:
        by_model[one.requested_model].append(one)
    found = []
    for model, asked in by_model.items():
        if is_glob(model) or model != sanitise(model, 256):
            continue
        short = tuple(one for one in asked if _is_short(one))
        conditions = {"prompt_chars_lt": str(SHORT_CHARS), "has_tools": "false", "has_images": "false"}
        found.append(Kind("short", model, short, {"model": model, **conditions}))
        keys = Counter(one.key for one in asked if one.key is not None)
        if len(keys) > 1:
            for key, _ in keys.most_common(_MOST_KEYS):
                if is_glob(key) or key != sanitise(key, 256):
                    continue
                mine = tuple(one for one in asked if one.key == key)
                found.append(Kind("key", model, mine, {"model": model, "key": key}, key=key))
        end = surroundings.lifecycles.get(model)
        if end is not None and end.deprecated <= surroundings.today:
            found.append(Kind("ending", model, tuple(asked), {"model": model}, ends=end.retired))
    return [kind for kind in found if len(kind.requests) >= _LEAST_REQUESTS]


def _is_short(request: RecordedRequest) -> bool:
    chars = request.kept.get("prompt_chars")
    rich = request.kept.get("has_tools") or request.kept.get("has_images")
    return isinstance(chars, int) and chars < SHORT_CHARS and not rich


def _named_models(policy_file: PolicyFile) -> Iterable[str]:
    """Models that the policies send requests to by name."""
    for policy in policy_file.policies:
        if isinstance(policy, TrafficSplit):
            yield from (variant.model for variant in policy.variants)
        elif isinstance(policy, ModelFilter):
            if policy.preferred_model is not None:
                yield policy.preferred_model
            yield from (name for name in policy.allowed_models or () if not is_glob(name))


def _free_name(wanted: str, policy_file: PolicyFile) -> str:
    taken = {policy.name for policy in policy_file.policies}
    name = "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in wanted)[:60]
    return next(one for one in (name, *(f"{name}-{n}" for n in range(2, 1_000))) if one not in taken)


def _draft(text: str, name: str, kind: Kind, model: str) -> str:
    """`text` with a filter before all others that sends `kind` to `model`. Raises EditError.

    It stands first, where the model is still the one that was asked for: so no split has assigned the request yet.
    """
    policy: dict[str, Value] = {
        "name": name,
        "type": "model_filter",
        "conditions": dict(kind.conditions),
        "preferred_model": model,
    }
    return apply_edits(text, [insert_item(parse(text), ("policies",), 0, policy)])


def _range(low: int, high: int) -> dict[str, str]:
    return {"low": to_decimal_string(low), "high": to_decimal_string(high)}
