"""Weights and units of a split."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from proxy.policy.check import Context, Finding, check
from proxy.policy.checks.fixes import write_weights
from proxy.policy.document import Path, shown
from proxy.policy.kinds.traffic_split import TrafficSplit
from proxy.policy.weights import WHOLE, to_percentages, to_tenths

Weights = Mapping[str, Decimal]


@check(
    "weights-zero",
    "error",
    "All weights are 0",
    why="A weight of 0 takes no requests; when all are 0 nobody could be served.",
    mend="Give at least one variant a weight above 0.",
    bad="""
    policies:
      - name: ab
        type: traffic_split
        «variants»:
          - {model: gpt-4o, weight: 0}
          - {model: gpt-4o-mini, weight: 0}
    """,
    good="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 100}
          - {model: gpt-4o-mini, weight: 0}
    """,
)
def weights_zero(context: Context) -> Iterable[Finding]:
    """A split of nothing cannot run."""
    for weights, place, what, _ in _weight_sets(context):
        if sum(weights.values()) == 0:
            message = f"all weights of {what} are 0: nobody could be served"
            yield Finding(message, place, key=True)


@check(
    "weights-sum",
    "info",
    "Weights do not sum to 100",
    why="That is allowed: a share is weight / sum. The message says what the shares are.",
    mend="Write the shares as percentages, so that the file says what happens.",
    bad="""
    policies:
      - name: ab
        type: traffic_split
        «variants»:
          - {model: gpt-4o, weight: 2}
          - {model: gpt-4o-mini, weight: 1}
    """,
    good="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 66.7}
          - {model: gpt-4o-mini, weight: 33.3}
    """,
)
def weights_sum(context: Context) -> Iterable[Finding]:
    """A sum other than 100 is only said."""
    for weights, place, what, places in _weight_sets(context):
        total = sum(weights.values(), Decimal(0))
        if total not in (0, 100):
            shares = ", ".join(
                f"{shown(tag, 32)} {tenths / 10:g} %" for tag, tenths in to_tenths(weights).items()
            )
            message = f"the weights of {what} sum to {total.normalize():f}; shares are {shares}"
            percent = to_percentages(weights)
            title = f"write {'/'.join(f'{share:f}'.removesuffix('.0') for share in percent.values())}"
            fix = write_weights(context.document, title, {places[tag]: percent[tag] for tag in weights})
            yield Finding(message, place, key=True, fix=fix)


@check(
    "weight-below-step",
    "info",
    "A share is too small to be steered",
    why="""Sliders and reports work in tenths of a percent. A share below that is served, but shows as 0 %, and the next
    drag of a slider rounds it away.""",
    mend="Give the variant at least 0.1 %, or 0 to drain it.",
    bad="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 99.96}
          - {model: gpt-4o-mini, weight: «0.04»}
    """,
    good="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: 99.9}
          - {model: gpt-4o-mini, weight: 0.1}
    """,
)
def weight_below_step(context: Context) -> Iterable[Finding]:
    """A share no screen can show."""
    for weights, _, _, places in _weight_sets(context):
        total = sum(weights.values(), Decimal(0))
        for tag, weight in weights.items():
            if 0 < weight * WHOLE < total:
                share = (weight * 100 / total).quantize(Decimal("0.001")).normalize()
                message = f"the share of {shown(tag)} is {share:f} %, less than a slider's step of 0.1 %"
                yield Finding(message, places[tag])


@check(
    "unit-not-seen",
    "warning",
    "Recent traffic does not carry the unit a split asks for",
    why="""A split keeps a unit (a user, a header's value) on its arm. Requests without any unit of the chain are dealt at
    random, one by one, so a user would see both arms.""",
    mend="Name a unit that clients send, or have them send this one.",
    bad="""
    policies:
      - name: ab
        type: traffic_split
        unit: [«header:x-team», user]
        variants:
          - {model: gpt-4o, weight: 50}
          - {model: gpt-4o-mini, weight: 50}
    """,
    good="""
    policies:
      - name: ab
        type: traffic_split
        unit: [user]
        variants:
          - {model: gpt-4o, weight: 50}
          - {model: gpt-4o-mini, weight: 50}
    """,
)
def unit_not_seen(context: Context) -> Iterable[Finding]:
    """A unit that no recent request carried. Only kinds that traffic was asked for can be told."""
    seen = context.surroundings.recent_units
    for split in context.splits if seen else ():
        for index, kind in enumerate(split.unit or ()) if split.enabled else ():
            if seen is not None and seen.get(kind) == 0:
                message = f"no recent request carried {shown(kind)}"
                yield Finding(message, context.item(split, "unit", index))


def _weight_sets(context: Context) -> Iterable[tuple[Weights, Path, str, dict[str, Path]]]:
    """Live and planned weights: (by tag, where the set stands, what to call it, where each weight stands)."""
    for split in context.splits:
        if len(split.weights) < len(split.variants):
            continue  # Two variants share a tag, which is said elsewhere.
        yield split.weights, (*split.path, "variants"), shown(split.name), live_places(split)
        for phase in split.rollout.phases if split.rollout else ():
            path = (*phase.path, "weights")
            places: dict[str, Path] = {tag: (*path, tag) for tag in phase.weights}
            yield phase.weights, path, f"phase {shown(phase.name)}", places


def live_places(split: TrafficSplit) -> dict[str, Path]:
    """Where the live weight of each tag stands."""
    return {variant.label: (*variant.path, "weight") for variant in split.variants}
