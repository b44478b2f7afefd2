"""What lint asks of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from proxy.policy.diagnostics import Diagnostic, Fix
from proxy.policy.document import Path, shown
from proxy.policy.text_edits import EditError, replace_scalar
from proxy.policy.weights import spell, to_tenths

if TYPE_CHECKING:
    from proxy.policy.check import Context
    from proxy.policy.kinds.traffic_split import TrafficSplit


def duplicate_tags(policy: TrafficSplit, context: Context) -> Iterable[Diagnostic]:
    """Arms are told apart by tag."""
    seen: set[str] = set()
    for variant in policy.variants:
        if variant.label in seen:
            place = (*variant.path, "tag" if variant.tag else "model")
            message = f"two variants are called {shown(variant.label)}; give each a tag of its own"
            yield context.report("duplicate-tag", "error", message, place)
        seen.add(variant.label)


def weights_add_up(policy: TrafficSplit, context: Context) -> Iterable[Diagnostic]:
    """A split of nothing cannot run; a sum other than 100 is only said."""
    yield from _sum(policy.weights, (*policy.path, "variants"), f"{shown(policy.name)}", context)


def phase_weights_add_up(policy: TrafficSplit, context: Context) -> Iterable[Diagnostic]:
    """The same for every planned phase."""
    for phase in policy.rollout.phases if policy.rollout else ():
        yield from _sum(phase.weights, (*phase.path, "weights"), f"phase {shown(phase.name)}", context)


def _sum(weights: Mapping[str, Decimal], place: Path, what: str, context: Context) -> Iterable[Diagnostic]:
    total = sum(weights.values(), Decimal(0))
    if total == 0:
        yield context.report(
            "weights-zero", "error", f"all weights of {what} are 0: nobody could be served", place
        )
    elif total != 100:
        shares = ", ".join(
            f"{shown(tag, 32)} {tenths / 10:g} %" for tag, tenths in to_tenths(weights).items()
        )
        message = f"the weights of {what} sum to {spell(total)}; shares are {shares}"
        yield context.report("weights-sum", "info", message, place, key=True)


def phases_name_the_variants(policy: TrafficSplit, context: Context) -> Iterable[Diagnostic]:
    """Every phase must give each variant a weight, and nothing else."""
    for phase in policy.rollout.phases if policy.rollout else ():
        for tag in phase.weights:
            if tag not in policy.weights:
                message = f"phase {shown(phase.name)} names {shown(tag)}, which is no variant of this split"
                yield context.report(
                    "phase-unknown-tag", "error", message, (*phase.path, "weights", tag), key=True
                )
        for tag in policy.weights:
            if tag not in phase.weights:
                message = f"phase {shown(phase.name)} gives {shown(tag)} no weight"
                yield context.report(
                    "phase-missing-tag", "error", message, (*phase.path, "weights"), key=True
                )


def duplicate_phases(policy: TrafficSplit, context: Context) -> Iterable[Diagnostic]:
    """Phases are told apart by name, and two names are kept for rollbacks."""
    from proxy.policy.kinds.traffic_split import RESERVED_PHASES

    seen: set[str] = set()
    for phase in policy.rollout.phases if policy.rollout else ():
        place = (*phase.path, "name")
        if phase.name in seen:
            yield context.report(
                "duplicate-phase", "error", f"two phases are called {shown(phase.name)}", place
            )
        elif phase.name in RESERVED_PHASES:
            yield context.report("reserved-phase", "error", f"{phase.name} is a reserved name", place)
        seen.add(phase.name)


def live_phase_exists(policy: TrafficSplit, context: Context) -> Iterable[Diagnostic]:
    """`phase:` and `control:` must name something that is there."""
    from proxy.policy.kinds.traffic_split import RESERVED_PHASES

    rollout = policy.rollout
    if rollout is None:
        return
    names = [phase.name for phase in rollout.phases]
    if rollout.phase is not None and rollout.phase not in names and rollout.phase not in RESERVED_PHASES:
        message = (
            f"there is no phase {shown(rollout.phase)}; one of {', '.join(shown(name) for name in names)}"
        )
        yield context.report("unknown-phase", "error", message, (*rollout.path, "phase"))
    if rollout.control is not None and rollout.control not in policy.weights:
        message = f"control names {shown(rollout.control)}, which is no variant of this split"
        yield context.report("unknown-control", "error", message, (*rollout.path, "control"))


def live_weights_follow_the_phase(policy: TrafficSplit, context: Context) -> Iterable[Diagnostic]:
    """Weights off the plan are valid, but the next promotion overwrites them."""
    rollout = policy.rollout
    phase = next((item for item in rollout.phases if item.name == rollout.phase), None) if rollout else None
    if phase is None or phase.weights.keys() != policy.weights.keys():
        return
    live, planned = policy.weights, phase.weights
    if not sum(live.values()) or not sum(planned.values()) or same_shares(live, planned):
        return
    plan = ", ".join(spell(planned[tag]) for tag in live)
    variant = next(item for item in policy.variants if item.weight != planned[item.label])
    message = f"differs from phase {shown(phase.name)} ({plan}); the next promote overwrites it"
    yield context.report(
        "split-not-phase",
        "warning",
        message,
        (*variant.path, "weight"),
        fix=_write_to_phase(live, (*phase.path, "weights"), context),
    )


def plan_ends(policy: TrafficSplit, context: Context) -> Iterable[Diagnostic]:
    """A plan whose last phase still splits never comes to an end."""
    if policy.rollout is None:
        return
    last = policy.rollout.phases[-1]
    if sum(weight > 0 for weight in last.weights.values()) > 1:
        message = (
            f"the last phase, {shown(last.name)}, still splits: the rollout ends without a single winner"
        )
        yield context.report("plan-open-end", "info", message, (*last.path, "weights"), key=True)


def same_shares(a: Mapping[str, Decimal], b: Mapping[str, Decimal]) -> bool:
    """Whether two sets of weights over the same tags mean the same split."""
    sum_a, sum_b = sum(a.values(), Decimal(0)), sum(b.values(), Decimal(0))
    return a.keys() == b.keys() and all(a[tag] * sum_b == b[tag] * sum_a for tag in a)


def _write_to_phase(weights: Mapping[str, Decimal], place: Path, context: Context) -> Fix | None:
    try:
        edits = [
            replace_scalar(context.document, (*place, tag), spell(weight)) for tag, weight in weights.items()
        ]
    except EditError:
        return None
    return Fix(f"write {'/'.join(spell(weight) for weight in weights.values())} to the phase", tuple(edits))


CHECKS: tuple[Callable[[TrafficSplit, Context], Iterable[Diagnostic]], ...] = (
    duplicate_tags,
    weights_add_up,
    phase_weights_add_up,
    phases_name_the_variants,
    duplicate_phases,
    live_phase_exists,
    live_weights_follow_the_phase,
    plan_ends,
)
