"""Conditions that cannot hold, and conditions that divide traffic by size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from proxy.policy.check import Context, Finding, check
from proxy.policy.checks.fixes import rewrite, turn_off
from proxy.policy.checks.reach import REMEMBERED, sends_all, terms
from proxy.policy.conditions import ConditionsSpec, Matcher, is_glob, parse_moment
from proxy.policy.document import Path, shown
from proxy.policy.kinds.cost_limit import CostLimit
from proxy.policy.kinds.model_filter import ModelFilter
from proxy.policy.kinds.rate_limit import RateLimit
from proxy.policy.kinds.registry import ConditionedSpec
from proxy.policy.suggestions import nearest

CREDENTIAL_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "proxy-authorization", "cookie"})
"""Never handed to policies."""
_SIZE = ("max_tokens_gt", "max_tokens_gte", "max_tokens_lt", "max_tokens_lte")
_NO_LIMIT = 1 << 62


@check(
    "never-holds",
    "warning",
    "Conditions that contradict each other",
    why="All conditions of a policy must hold; no request can meet these, so the policy never acts.",
    mend="Widen one of the bounds.",
    bad="""
    policies:
      - name: marked
        type: log
        «conditions»: {max_tokens_gt: 2000, max_tokens_lt: 1000}
    """,
    good="""
    policies:
      - name: marked
        type: log
        conditions: {max_tokens_gt: 1000, max_tokens_lt: 2000}
    """,
)
def never_holds(context: Context) -> Iterable[Finding]:
    """Bounds that exclude each other: the policy would never act."""
    for policy in context.file.policies:
        if not isinstance(policy, CostLimit | RateLimit):
            yield from contradictions(policy, context)


def contradictions(policy: ConditionedSpec, context: Context) -> Iterator[Finding]:
    """Why the conditions of `policy` never hold, if so."""
    conditions = policy.conditions
    if conditions is None:
        return
    for fact in ("max_tokens", "prompt_chars"):
        low, high = bounds(conditions, fact)
        if high < low:
            yield Finding(f"no request can meet these bounds on {fact}", conditions.path, key=True)
    if _ends_before_it_begins(conditions, context):
        message = "before is not later than after: the policy never acts"
        yield Finding(message, (*conditions.path, "before"))
    for name in conditions.header or {}:
        if name in CREDENTIAL_HEADERS:
            message = f"{name} carries a credential, which policies never see: this never holds"
            yield Finding(message, (*conditions.path, "header"), key=True)


def _ends_before_it_begins(conditions: ConditionsSpec, context: Context) -> bool:
    if conditions.after is None or conditions.before is None:
        return False
    return parse_moment(conditions.before, context.zone) <= parse_moment(conditions.after, context.zone)


def bounds(conditions: ConditionsSpec, fact: str) -> tuple[int, int]:
    """Lowest and highest value of `fact` that the conditions let through."""
    gt, gte, lt, lte = (getattr(conditions, f"{fact}_{relation}") for relation in ("gt", "gte", "lt", "lte"))
    lows = [limit for limit in (gte, None if gt is None else gt + 1) if limit is not None]
    highs = [limit for limit in (lte, None if lt is None else lt - 1) if limit is not None]
    return max(lows, default=0), min(highs, default=_NO_LIMIT)


@check(
    "window-over",
    "warning",
    "The time a policy was made for is over",
    why="`before` has passed, so the policy does not act any more.",
    mend="Remove the policy, or move `before`.",
    bad="""
    policies:
      - name: launch-week
        type: log
        conditions: {before: «2020-01-01»}
    """,
    good="""
    policies:
      - name: launch-week
        type: log
        conditions: {before: 2999-01-01}
    """,
)
def window_over(context: Context) -> Iterable[Finding]:
    """A policy whose end has passed, by the date alone."""
    for policy in context.active:
        before = policy.conditions.before if policy.conditions is not None else None
        if before is not None and parse_moment(before, context.zone).date() < context.surroundings.today:
            message = f"{shown(before)} has passed: the policy does not act any more"
            fix = turn_off(context.document, policy.path)
            yield Finding(message, (*policy.path, "conditions", "before"), fix=fix)


@check(
    "unknown-client-key",
    "warning",
    "A condition names a client key that does not exist",
    why="`key` is the name of a client key in `gateway.client_keys`; no request can show one of this name.",
    mend="Write the name of one of the keys.",
    bad="""
    gateway:
      client_keys:
        - {name: search-team, secret_key_ref: {env: OPENAI_API_KEY}}
    policies:
      - name: marked
        type: log
        conditions: {key: «serch-team»}
    """,
    good="""
    gateway:
      client_keys:
        - {name: search-team, secret_key_ref: {env: OPENAI_API_KEY}}
    policies:
      - name: marked
        type: log
        conditions: {key: search-team}
    """,
)
def unknown_client_key(context: Context) -> Iterable[Finding]:
    """A pattern no client key matches. Without keys in the file nothing can be said."""
    names = [key.name for key in context.file.gateway.client_keys]
    exact = set(names)
    for policy in context.file.policies if names else ():
        conditions = policy.conditions
        for index, pattern in enumerate((conditions.key if conditions is not None else None) or ()):
            if conditions is not None and pattern not in exact and not _matches_any(pattern, names):
                place = context.item(conditions, "key", index)
                near = nearest(pattern, names[:REMEMBERED])
                fix = rewrite(context.document, f"write {shown(near)}", {place: near}) if near else None
                yield Finding(f"no client key is called {shown(pattern)}", place, fix=fix)


def _matches_any(pattern: str, names: Sequence[str]) -> bool:
    """Whether a glob matches a name. Of very many names nobody asks."""
    if not is_glob(pattern):
        return False
    matches = Matcher([pattern])
    return len(names) > REMEMBERED or any(matches(name) for name in names)


@check(
    "max-tokens-gap",
    "warning",
    "Sizes between two redirects fall through",
    why="""Two filters divide requests by `max_tokens`, but some values lie between them, meet neither and keep their
    model. Often the bound itself was forgotten (`lt` where `lte` was meant).""",
    mend="Let one range begin right after the other ends.",
    bad="""
    policies:
      - {name: default, type: model_filter, preferred_model: gpt-4o-mini}
      - {name: small, type: model_filter, conditions: {max_tokens_lt: 2000}, preferred_model: gpt-4o-mini}
      - {name: large, type: model_filter, conditions: {max_tokens_gt: «2000»}, preferred_model: gpt-4o}
    """,
    good="""
    policies:
      - {name: default, type: model_filter, preferred_model: gpt-4o-mini}
      - {name: small, type: model_filter, conditions: {max_tokens_lt: 2000}, preferred_model: gpt-4o-mini}
      - {name: large, type: model_filter, conditions: {max_tokens_gte: 2000}, preferred_model: gpt-4o}
    """,
)
def max_tokens_gap(context: Context) -> Iterable[Finding]:
    """A hole between the ranges of filters that are alike but for the size."""
    for group in _by_size(context):
        ordered = sorted(group, key=_range)
        reached = _range(ordered[0])[1]
        for policy in ordered[1:]:
            low, high = _range(policy)
            if low > reached + 1 and policy.conditions is not None:
                values = f"{reached + 1}" if low == reached + 2 else f"{reached + 1} to {low - 1}"
                message = f"requests with max_tokens {values} meet neither policy and keep their model"
                place = _lower_bound(policy.conditions)
                fix = rewrite(context.document, *_begin_at(place, reached + 1)) if place else None
                yield Finding(message, place or policy.conditions.path, fix=fix)
            reached = max(reached, high)


@check(
    "max-tokens-overlap",
    "warning",
    "Two redirects claim the same sizes",
    why="""Two filters divide requests by `max_tokens`, and some values meet both. Both act, in file order, so the later
    one decides. (A later filter whose range lies inside an earlier one is taken for an exception and not reported.)""",
    mend="Let one range begin right after the other ends.",
    bad="""
    policies:
      - {name: default, type: model_filter, preferred_model: gpt-4o-mini}
      - {name: small, type: model_filter, conditions: {max_tokens_lte: 2000}, preferred_model: gpt-4o-mini}
      - {name: large, type: model_filter, conditions: {max_tokens_gte: «2000»}, preferred_model: gpt-4o}
    """,
    good="""
    policies:
      - {name: default, type: model_filter, preferred_model: gpt-4o-mini}
      - {name: small, type: model_filter, conditions: {max_tokens_lte: 2000}, preferred_model: gpt-4o-mini}
      - {name: large, type: model_filter, conditions: {max_tokens_gt: 2000}, preferred_model: gpt-4o}
    """,
)
def max_tokens_overlap(context: Context) -> Iterable[Finding]:
    """Ranges that cross."""
    for group in _by_size(context):
        for index, later in enumerate(group):
            crossing = next((item for item in group[:index] if _crosses(item, later)), None)
            if crossing is None or later.conditions is None:
                continue
            low = max(_range(crossing)[0], _range(later)[0])
            high = min(_range(crossing)[1], _range(later)[1])
            values = f"{low}" if low == high else f"{low} to {high}"
            message = (
                f"requests with max_tokens {values} also meet {shown(crossing.name)} on line {crossing.line}; "
                "this policy, the later one, decides"
            )
            place = _lower_bound(later.conditions)
            above = _range(crossing)[1] < _range(later)[1] and place is not None
            fix = rewrite(context.document, *_begin_at(place, high + 1)) if above and place else None
            yield Finding(
                message, place if above and place else (*later.conditions.path, _any_bound(later)), fix=fix
            )


@check(
    "max-tokens-absent",
    "info",
    "Requests that name no size meet none of the sized redirects",
    why="""A condition on something a request does not carry does not hold. Filters that divide traffic by `max_tokens`
    therefore leave out the requests that do not say it, which is most of them.""",
    mend="If they should be redirected too, put a filter without the condition before these.",
    bad="""
    policies:
      - {name: small, type: model_filter, «conditions»: {max_tokens_lte: 2000}, preferred_model: gpt-4o-mini}
      - {name: large, type: model_filter, conditions: {max_tokens_gt: 2000}, preferred_model: gpt-4o}
    """,
    good="""
    policies:
      - {name: default, type: model_filter, preferred_model: gpt-4o-mini}
      - {name: large, type: model_filter, conditions: {max_tokens_gt: 2000}, preferred_model: gpt-4o}
      - {name: larger, type: model_filter, conditions: {max_tokens_gt: 9000}, preferred_model: gpt-4.1}
    """,
)
def max_tokens_absent(context: Context) -> Iterable[Finding]:
    """What happens to requests that carry no max_tokens."""
    for group in _by_size(context):
        first = group[0]
        rest = _without_size(first)
        if first.conditions is None or any(
            isinstance(other, ModelFilter)
            and other.preferred_model is not None
            and (sends_all(other) or "*" in (other.blocked_models or ()))
            and all(rest.get(name) == value for name, value in terms(other.conditions).items())
            for other in context.active
        ):
            continue
        message = "requests that do not say max_tokens meet none of the policies by size and keep their model"
        yield Finding(message, first.conditions.path, key=True)


def _by_size(context: Context) -> list[list[ModelFilter]]:
    """Groups of two or more redirecting filters that differ in nothing but the size they ask for, in file order."""
    groups: dict[str, list[ModelFilter]] = {}
    for policy in context.active:
        if (
            isinstance(policy, ModelFilter)
            and sends_all(policy)
            and terms(policy.conditions).keys() & set(_SIZE)
        ):
            low, high = _range(policy)
            group = groups.setdefault(
                repr(sorted(_without_size(policy).items(), key=lambda item: item[0])), []
            )
            if low <= high and len(group) < REMEMBERED:
                group.append(policy)
    return [group for group in groups.values() if len(group) > 1]


def _without_size(policy: ModelFilter) -> dict[str, object]:
    return {name: value for name, value in terms(policy.conditions).items() if name not in _SIZE}


def _range(policy: ModelFilter) -> tuple[int, int]:
    return bounds(policy.conditions, "max_tokens") if policy.conditions is not None else (0, _NO_LIMIT)


def _crosses(earlier: ModelFilter, later: ModelFilter) -> bool:
    if earlier.preferred_model == later.preferred_model or earlier.preferred_model is None:
        return False
    models = later.conditions.model if later.conditions is not None else None
    if models is not None and not Matcher(models)(earlier.preferred_model):
        return False
    (low, high), (other_low, other_high) = _range(earlier), _range(later)
    inside = low <= other_low and other_high <= high
    return not inside and other_low <= high and low <= other_high


def _lower_bound(conditions: ConditionsSpec) -> Path | None:
    for name in ("max_tokens_gt", "max_tokens_gte"):
        if getattr(conditions, name) is not None:
            return (*conditions.path, name)
    return None


def _any_bound(policy: ModelFilter) -> str:
    return next(name for name in _SIZE if name in terms(policy.conditions))


def _begin_at(place: Path, value: int) -> tuple[str, dict[Path, str]]:
    """Title and values of a fix that makes a range begin at `value`."""
    bound = str(value - 1 if place[-1] == "max_tokens_gt" else value)
    return f"begin at {value}", {place: bound}
