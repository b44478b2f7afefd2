"""Models a policy names: whether anybody serves them, how long, and at what price."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase

from proxy.policy.check import Context, Finding, check
from proxy.policy.checks.fixes import remove_item, rewrite
from proxy.policy.checks.picks import fallbacks, picks
from proxy.policy.conditions import Matcher, is_glob
from proxy.policy.document import Path, shown
from proxy.policy.kinds.cost_limit import CostLimit
from proxy.policy.kinds.model_filter import ModelFilter
from proxy.policy.kinds.traffic_split import TrafficSplit
from proxy.policy.suggestions import nearest
from proxy.policy.targets import is_vendors_own

_COMPARED = 100
_ALIKE = 0.8
"""How alike two model names must be for one to be offered for the other."""


@check(
    "model-not-served",
    "warning",
    "No target serves a model",
    why="""A request sent to the model is answered 404. Usually the name is a slip, or a target's `models` lacks it.""",
    mend="Write a model that a target serves, or add it to a target's `models`.",
    bad="""
    policies:
      - {name: small, type: model_filter, preferred_model: «gtp-4o-mini»}
      - {name: approved, type: model_filter, allowed_models: [gpt-4o, gpt-4o-mini]}
    """,
    good="""
    policies:
      - {name: small, type: model_filter, preferred_model: gpt-4o-mini}
      - {name: approved, type: model_filter, allowed_models: [gpt-4o, gpt-4o-mini]}
    """,
)
def model_not_served(context: Context) -> Iterable[Finding]:
    """A model that no target serves, or not the target a variant names."""
    if not context.targets_read:
        return
    names = _served_names(context)
    for model, place in [*_picked(context), *((other, place) for _, other, place in fallbacks(context))]:
        if not _served(context, model):
            yield _unserved(context, model, place, names, "requests for it would be answered 404")
    virtual = _virtual(context)
    for policy in context.active:
        for index, model in enumerate((isinstance(policy, ModelFilter) and policy.allowed_models) or ()):
            if not is_glob(model) and model not in virtual and not _served(context, model):
                place = context.item(policy, "allowed_models", index)
                yield _unserved(context, model, place, names, "allowing it does nothing")
    for key in context.file.gateway.client_keys:
        for index, model in enumerate(key.allowed_models or ()):
            if not is_glob(model) and model not in virtual and not _served(context, model):
                place = context.item(key, "allowed_models", index)
                yield _unserved(context, model, place, names, "allowing it does nothing")
    ids = {target.id: target for target in context.targets}
    for policy in context.active:
        for variant in policy.variants if isinstance(policy, TrafficSplit) else ():
            target = ids.get(variant.target or "")
            if target is not None and not target.serves(variant.model) and _served(context, variant.model):
                message = f"target {shown(target.id)} does not serve {shown(variant.model)}"
                yield Finding(message, (*variant.path, "target"))


def _unserved(context: Context, model: str, place: Path, names: list[str], effect: str) -> Finding:
    near = nearest(model, names, _ALIKE)
    message = f"no target serves {shown(model)}: {effect}"
    if near is None:
        return Finding(message, place)
    fix = rewrite(context.document, f"write {shown(near)}", {place: near})
    return Finding(f"{message}; did you mean {shown(near)}?", place, fix=fix)


@check(
    "unknown-target",
    "error",
    "A variant names a target that does not exist",
    why="Its requests would have nowhere to go.",
    mend="Write the id of one of `providers.targets`.",
    bad="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 95, tag: a, target: «opnai»}
          - {model: gpt-4o-mini, weight: 5, tag: b}
    """,
    good="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 95, tag: a, target: openai}
          - {model: gpt-4o-mini, weight: 5, tag: b}
    """,
)
def unknown_target(context: Context) -> Iterable[Finding]:
    """A target that is not there."""
    ids = [target.id for target in context.targets]
    for split in context.splits if context.targets_read else ():
        for variant in split.variants if split.enabled else ():
            if variant.target is None or variant.target in ids:
                continue
            place = (*variant.path, "target")
            known = ", ".join(shown(name) for name in ids) or "none"
            near = nearest(variant.target, ids)
            fix = rewrite(context.document, f"write {shown(near)}", {place: near}) if near else None
            message = f"there is no target {shown(variant.target)}; targets are {known}"
            yield Finding(message, place, fix=fix)


@check(
    "model-retired",
    "warning",
    "A model its vendor has switched off",
    why="Requests for it fail. Only said of the vendor's own endpoint, by the dates the vendor announced.",
    mend="Send the requests to the model's successor.",
    bad="""
    policies:
      - {name: route, type: model_filter, preferred_model: «claude-sonnet-4-20250514»}
    """,
    good="""
    policies:
      - {name: route, type: model_filter, preferred_model: claude-sonnet-4-6}
    """,
)
def model_retired(context: Context) -> Iterable[Finding]:
    """A model its vendor has switched off, on the vendor's own endpoint."""
    today = context.surroundings.today
    for model, place in _chosen_at_the_vendor(context):
        life = context.surroundings.lifecycles.get(model)
        if life is not None and life.retired <= today:
            day = life.retired.isoformat()
            message = f"{shown(model)} was retired by its vendor on {day}: requests will fail"
            yield Finding(message, place)


@check(
    "model-deprecated",
    "warning",
    "A redirect leads to a model that is about to be switched off",
    why="""The vendor advises against the model and has announced the day it stops answering; a redirect would then fail
    all at once. (A split is told by `plan-outlasts-model`: there the old model may be the one that is being left.)""",
    mend="Redirect to the model's successor.",
    bad="""
    policies:
      - {name: route, type: model_filter, preferred_model: «claude-opus-4-1-20250805»}
    """,
    good="""
    policies:
      - {name: route, type: model_filter, preferred_model: claude-sonnet-4-6}
    """,
)
def model_deprecated(context: Context) -> Iterable[Finding]:
    """A deprecated model as the target of a redirect."""
    today = context.surroundings.today
    splits = {policy.path for policy in context.splits}
    for model, place in _chosen_at_the_vendor(context):
        life = context.surroundings.lifecycles.get(model)
        if life is not None and life.deprecated <= today < life.retired and place[:2] not in splits:
            day = life.retired.isoformat()
            message = f"{shown(model)} is deprecated: its vendor switches it off on {day}"
            yield Finding(message, place)


@check(
    "fallback-to-itself",
    "warning",
    "A model falls back to itself",
    why="When the model cannot be served, trying it again under the same name changes nothing.",
    mend="Remove it from its own fallbacks, or name another model.",
    bad="""
    providers:
      fallback_models: {gpt-4o: [«gpt-4o», gpt-4o-mini]}
    policies:
      - {name: marked, type: log}
    """,
    good="""
    providers:
      fallback_models: {gpt-4o: [gpt-4o-mini]}
    policies:
      - {name: marked, type: log}
    """,
)
def fallback_to_itself(context: Context) -> Iterable[Finding]:
    """A fallback that is none."""
    for model, other, place in fallbacks(context):
        if model == other:
            fix = remove_item(context.document, place)
            yield Finding(f"{shown(model)} stands among its own fallbacks", place, fix=fix)


@check(
    "no-price",
    "warning",
    "A cost limit covers a model without a price",
    why="""Neither the file nor the vendor data says what the model costs. Its requests count as unpriced, so the limit
    never sees them.""",
    mend="Write its price under `prices`, or name a priced model with the target's `price_as`.",
    bad="""
    providers:
      targets:
        - {id: local, base_url: "http://127.0.0.1:8000/v1", models: [in-house-7b]}
    policies:
      - {name: budget, type: cost_limit, limit_usd: 50}
      - {name: route, type: model_filter, preferred_model: «in-house-7b»}
    """,
    good="""
    providers:
      targets:
        - {id: local, base_url: "http://127.0.0.1:8000/v1", models: [in-house-7b]}
    prices:
      in-house-7b: {input: 0.1, output: 0.2}
    policies:
      - {name: budget, type: cost_limit, limit_usd: 50}
      - {name: route, type: model_filter, preferred_model: in-house-7b}
    """,
)
def no_price(context: Context) -> Iterable[Finding]:
    """A model under a cost limit that nobody knows the price of. Says nothing when prices cannot be looked up."""
    if context.surroundings.prices_known is None or not context.targets_read:
        return
    seen: set[str] = set()
    limits = [policy for policy in context.active if isinstance(policy, CostLimit)]
    for limit in limits:
        models = limit.conditions.model if limit.conditions is not None else None
        covered = Matcher(models) if models is not None else None
        for model, place in _named(context, limit):
            if model in seen or (covered is not None and not covered(model)) or _priced(context, model):
                continue
            seen.add(model)
            message = f"nobody says what {shown(model)} costs: {shown(limit.name)} on line {limit.line} never counts it"
            yield Finding(message, place)


def _named(context: Context, limit: CostLimit) -> Iterator[tuple[str, Path]]:
    """Models by name that requests may end up with."""
    conditions = limit.conditions
    for index, model in enumerate((conditions.model if conditions is not None else None) or ()):
        if conditions is not None and not is_glob(model):
            yield model, context.item(conditions, "model", index)
    yield from _picked(context)


def _priced(context: Context, model: str) -> bool:
    """Whether a price is known; also true where no target serves the model, which is said elsewhere."""
    target = context.server(model)
    known = context.surroundings.prices_known
    if target is None or known is None:
        return True
    names = [model, *([target.price_as] if target.price_as else [])]
    written = {**context.file.prices, **target.pricing}
    return any(
        pricing.input is not None and fnmatchcase(name, pattern)
        for pattern, pricing in written.items()
        for name in names
    ) or known(target, model)


def _picked(context: Context) -> Iterator[tuple[str, Path]]:
    for policy in context.active:
        yield from picks(context, policy)


def _chosen_at_the_vendor(context: Context) -> Iterator[tuple[str, Path]]:
    """Picks and fallbacks with an announced end, where a vendor's own endpoint would serve them."""
    if not context.targets_read:
        return
    vendors = [target for target in context.targets if is_vendors_own(target)]
    for model, place in [*_picked(context), *((other, place) for _, other, place in fallbacks(context))]:
        if model in context.surroundings.lifecycles and any(target.serves(model) for target in vendors):
            yield model, place


def _served(context: Context, model: str) -> bool:
    return context.server(model) is not None


def _served_names(context: Context) -> list[str]:
    """Names that are surely right: listed by a target, or used in the file and served; so many as are worth comparing."""
    names = {name: None for target in context.targets for name in target.named_models}
    for policy in context.active:
        allowed = (policy.allowed_models or ()) if isinstance(policy, ModelFilter) else ()
        for model in [*(model for model, _ in picks(context, policy)), *allowed]:
            if not is_glob(model) and _served(context, model):
                names[model] = None
    return list(names)[:_COMPARED]


def _virtual(context: Context) -> set[str]:
    """Names of our own: a condition gives them a meaning."""
    return {
        model
        for policy in context.file.policies
        if policy.conditions is not None
        for model in (policy.conditions.model or ())
    }
