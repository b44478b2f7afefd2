"""Rollout plans: phases, their weights, and where they lead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal

from proxy.policy.check import Context, Finding, check
from proxy.policy.checks.fixes import add_key, remove_entry, rename_key, rewrite, write_weights
from proxy.policy.document import shown
from proxy.policy.kinds.traffic_split import RESERVED_PHASES, Phase, Rollout, TrafficSplit
from proxy.policy.spec import seconds_of
from proxy.policy.suggestions import nearest
from proxy.policy.targets import is_vendors_own
from proxy.policy.weights import same_shares, spell

_SPLIT = """
policies:
  - name: ab
    type: traffic_split
    variants:
      - {model: gpt-4o, weight: 95, tag: a}
      - {model: gpt-4o-mini, weight: 5, tag: b}
    rollout:
"""
_GOOD = (
    _SPLIT
    + """\
      phase: canary
      phases:
        - {name: canary, weights: {a: 95, b: 5}, duration: 3d}
        - {name: complete, weights: {a: 0, b: 100}}
"""
)


@check(
    "phase-unknown-tag",
    "error",
    "A phase gives a weight to a variant the split does not have",
    why="The phase could not be entered: nobody knows where that share should go.",
    mend="Write the tag of a variant, or add the variant.",
    bad=_SPLIT
    + """\
      phases:
        - {name: canary, weights: {a: 95, b: 5, «c»: 0}, duration: 3d}
        - {name: complete, weights: {a: 0, b: 100}}
""",
    good=_GOOD,
)
def phase_unknown_tag(context: Context) -> Iterable[Finding]:
    """Every phase must give each variant a weight, and nothing else."""
    for split, _, phase in _phases(context):
        for tag in phase.weights:
            if tag not in split.weights:
                message = f"phase {shown(phase.name)} names {shown(tag)}, which is no variant of this split"
                place = (*phase.path, "weights", tag)
                free = [known for known in split.weights if known not in phase.weights]
                near = nearest(tag, free)
                if near is not None:
                    fix = rename_key(context.document, place, near)
                else:
                    fix = remove_entry(context.document, place, f"remove {shown(tag)}")
                yield Finding(message, place, key=True, fix=fix)


@check(
    "phase-missing-tag",
    "error",
    "A phase gives a variant no weight",
    why="A missing weight could be read as 0, as 1 or as unchanged; so it must be written.",
    mend="Write a weight for every variant, 0 to drain one.",
    bad=_SPLIT
    + """\
      phases:
        - {name: canary, «weights»: {a: 100}, duration: 3d}
        - {name: complete, weights: {a: 0, b: 100}}
""",
    good=_GOOD,
)
def phase_missing_tag(context: Context) -> Iterable[Finding]:
    """The other way round."""
    for split, _, phase in _phases(context):
        slips = {nearest(tag, split.weights) for tag in phase.weights if tag not in split.weights}
        for tag in split.weights:
            if tag not in phase.weights and tag not in slips:
                message = f"phase {shown(phase.name)} gives {shown(tag)} no weight"
                place = (*phase.path, "weights")
                fix = add_key(context.document, place, tag, "0")
                yield Finding(message, place, key=True, fix=fix)


@check(
    "unknown-phase",
    "error",
    "The live phase is not in the plan",
    why="`phase:` says which step of the plan is live.",
    mend="Write the name of one of the phases, or `rolled-back` or `aborted`.",
    bad=_SPLIT
    + """\
      phase: «cannary»
      phases:
        - {name: canary, weights: {a: 95, b: 5}, duration: 3d}
        - {name: complete, weights: {a: 0, b: 100}}
""",
    good=_GOOD,
)
def unknown_phase(context: Context) -> Iterable[Finding]:
    """`phase:` must name something that is there."""
    for _, rollout in _rollouts(context):
        names = [phase.name for phase in rollout.phases]
        if rollout.phase is None or rollout.phase in names or rollout.phase in RESERVED_PHASES:
            continue
        listed = ", ".join(shown(name) for name in names)
        near = nearest(rollout.phase, names)
        place = (*rollout.path, "phase")
        fix = rewrite(context.document, f"write {shown(near)}", {place: near}) if near else None
        yield Finding(f"there is no phase {shown(rollout.phase)}; one of {listed}", place, fix=fix)


@check(
    "unknown-control",
    "error",
    "The control arm is no variant",
    why="`control:` names the incumbent that the other arms are compared with.",
    mend="Write the tag of one of the variants.",
    bad=_SPLIT
    + """\
      control: «old»
      phases:
        - {name: canary, weights: {a: 95, b: 5}, duration: 3d}
        - {name: complete, weights: {a: 0, b: 100}}
""",
    good=_SPLIT
    + """\
      control: a
      phases:
        - {name: canary, weights: {a: 95, b: 5}, duration: 3d}
        - {name: complete, weights: {a: 0, b: 100}}
""",
)
def unknown_control(context: Context) -> Iterable[Finding]:
    """`control:` must name something that is there."""
    for split, rollout in _rollouts(context):
        if rollout.control is not None and rollout.control not in split.weights:
            place = (*rollout.path, "control")
            near = nearest(rollout.control, split.weights)
            fix = rewrite(context.document, f"write {shown(near)}", {place: near}) if near else None
            message = f"control names {shown(rollout.control)}, which is no variant of this split"
            yield Finding(message, place, fix=fix)


@check(
    "split-not-phase",
    "warning",
    "The live weights are not those of the live phase",
    why="They are valid and served, but the next promotion overwrites them, and no automatic promotion happens meanwhile.",
    mend="Write the live weights into the phase, or the phase's weights into the variants.",
    bad="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: gpt-4o, weight: «90», tag: a}
          - {model: gpt-4o-mini, weight: 10, tag: b}
        rollout:
          phase: canary
          phases:
            - {name: canary, weights: {a: 95, b: 5}, duration: 3d}
            - {name: complete, weights: {a: 0, b: 100}}
    """,
    good=_GOOD,
)
def split_not_phase(context: Context) -> Iterable[Finding]:
    """Weights off the plan."""
    for split, rollout in _rollouts(context):
        phase = next((item for item in rollout.phases if item.name == rollout.phase), None)
        if phase is None or phase.weights.keys() != split.weights.keys():
            continue
        live, planned = split.weights, phase.weights
        if not sum(live.values()) or not sum(planned.values()) or same_shares(live, planned):
            continue
        plan = ", ".join(spell(planned[tag]) for tag in live)
        variant = next(item for item in split.variants if item.weight != planned[item.label])
        message = f"differs from phase {shown(phase.name)} ({plan}); the next promote overwrites it"
        title = f"write {'/'.join(spell(weight) for weight in live.values())} to the phase"
        places = {(*phase.path, "weights", tag): weight for tag, weight in live.items()}
        fix = write_weights(context.document, title, places)
        yield Finding(message, (*variant.path, "weight"), fix=fix)


@check(
    "plan-open-end",
    "info",
    "The last phase still splits",
    why="The rollout would end without a single winner.",
    mend="Add a last phase that gives one variant everything.",
    bad=_SPLIT
    + """\
      phases:
        - {name: canary, weights: {a: 95, b: 5}, duration: 3d}
        - {name: equal, «weights»: {a: 50, b: 50}}
""",
    good=_GOOD,
)
def plan_open_end(context: Context) -> Iterable[Finding]:
    """A plan whose last phase still splits never comes to an end."""
    for _, rollout in _rollouts(context):
        last = rollout.phases[-1]
        if sum(weight > 0 for weight in last.weights.values()) > 1:
            message = (
                f"the last phase, {shown(last.name)}, still splits: the rollout ends without a single winner"
            )
            yield Finding(message, (*last.path, "weights"), key=True)


@check(
    "phases-out-of-order",
    "warning",
    "A later phase gives the challengers less than an earlier one",
    why="""Phases run in the order they stand in. A share that falls takes users back to the incumbent in the middle of
    the rollout, and what was measured on them is lost.""",
    mend="Order the phases by the challengers' share.",
    bad=_SPLIT
    + """\
      phases:
        - {name: equal, weights: {a: 70, b: 30}, duration: 3d}
        - {name: canary, «weights»: {a: 95, b: 5}, duration: 3d}
        - {name: complete, weights: {a: 0, b: 100}}
""",
    good=_GOOD,
)
def phases_out_of_order(context: Context) -> Iterable[Finding]:
    """The challengers' share goes down. A last phase that gives the incumbent everything is an ending, not a slip."""
    for split, rollout in _rollouts(context):
        planned = [phase for phase in rollout.phases if phase.weights.keys() == split.weights.keys()]
        if len(planned) < len(rollout.phases) or not all(sum(phase.weights.values()) for phase in planned):
            continue
        first = planned[0].weights
        control = rollout.control if rollout.control in first else max(first, key=lambda tag: first[tag])
        shares = [_challengers(phase.weights, str(control)) for phase in planned]
        for index in range(1, len(planned)):
            if shares[index] < shares[index - 1] and (shares[index] or index < len(planned) - 1):
                message = (
                    f"phase {shown(planned[index].name)} gives the challengers {_percent(shares[index])}, "
                    f"after {_percent(shares[index - 1])} in {shown(planned[index - 1].name)}"
                )
                yield Finding(message, (*planned[index].path, "weights"), key=True)


@check(
    "phase-no-duration",
    "info",
    "A phase that is not the last has no duration",
    why="It is held until somebody promotes by hand: nothing says when the plan should go on.",
    mend="Give every phase but the last a duration such as `3d`.",
    bad=_SPLIT
    + """\
      phases:
        - {name: «canary», weights: {a: 95, b: 5}}
        - {name: complete, weights: {a: 0, b: 100}}
""",
    good=_GOOD,
)
def phase_no_duration(context: Context) -> Iterable[Finding]:
    """A step without an end."""
    for _, rollout in _rollouts(context):
        for phase in rollout.phases[:-1]:
            if phase.duration is None:
                message = f"phase {shown(phase.name)} has no duration: it is held until promoted by hand"
                yield Finding(message, (*phase.path, "name"))


@check(
    "plan-outlasts-model",
    "warning",
    "The plan runs longer than a model",
    why="""The vendor has announced when the model stops answering. Counted from today, with the phases as long as they
    are planned, requests would still be sent to it after that day.""",
    mend="Shorten the phases that use the model, or plan with its successor.",
    bad="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: «claude-opus-4-1-20250805», weight: 95, tag: a}
          - {model: gpt-4o, weight: 5, tag: b}
        rollout:
          phase: canary
          phases:
            - {name: canary, weights: {a: 95, b: 5}, duration: 4w}
            - {name: equal, weights: {a: 50, b: 50}, duration: 4w}
            - {name: complete, weights: {a: 0, b: 100}}
    """,
    good="""
    policies:
      - name: ab
        type: traffic_split
        variants:
          - {model: claude-opus-4-1-20250805, weight: 95, tag: a}
          - {model: gpt-4o, weight: 5, tag: b}
        rollout:
          phase: canary
          phases:
            - {name: canary, weights: {a: 95, b: 5}, duration: 1w}
            - {name: equal, weights: {a: 50, b: 50}, duration: 1w}
            - {name: complete, weights: {a: 0, b: 100}}
    """,
)
def plan_outlasts_model(context: Context) -> Iterable[Finding]:
    """Phases beyond an announced retirement, counted from today."""
    today = context.surroundings.today
    for split, rollout in _rollouts(context) if context.targets_read else ():
        for variant in split.variants if split.enabled else ():
            life = context.surroundings.lifecycles.get(variant.model)
            if life is None or life.retired <= today or not _at_the_vendor(context, variant.model):
                continue
            days = _days_in_use(rollout, variant.label)
            if days is None or today + timedelta(days=min(days, 40_000)) > life.retired:
                until = "for good" if days is None else f"for {days:.3g} more days"
                message = (
                    f"the plan uses {shown(variant.model)} {until}, "
                    f"but its vendor retires it on {life.retired.isoformat()}"
                )
                yield Finding(message, (*variant.path, "model"))


def _days_in_use(rollout: Rollout, tag: str) -> float | None:
    """Days from now until the plan gives `tag` nothing any more; 0 when it gives it nothing at all; None: it keeps
    it. A phase without a duration counts as none: how long it is held cannot be told."""
    names = [phase.name for phase in rollout.phases]
    ahead = rollout.phases[names.index(rollout.phase) if rollout.phase in names else 0 :]
    elapsed = used = 0.0
    for phase in ahead:
        seconds = seconds_of(phase.duration) if phase.duration else None
        if phase.weights.get(tag, Decimal(0)) > 0:
            if seconds is None and phase is ahead[-1]:
                return None
            used = elapsed + (seconds or 0.0)
        elapsed += seconds or 0.0
    return used / 86_400


def _at_the_vendor(context: Context, model: str) -> bool:
    return any(is_vendors_own(target) and target.serves(model) for target in context.targets)


def _rollouts(context: Context) -> Iterator[tuple[TrafficSplit, Rollout]]:
    for split in context.splits:
        if split.rollout is not None:
            yield split, split.rollout


def _phases(context: Context) -> Iterator[tuple[TrafficSplit, Rollout, Phase]]:
    for split, rollout in _rollouts(context):
        for phase in rollout.phases:
            yield split, rollout, phase


def _challengers(weights: Mapping[str, Decimal], control: str) -> Decimal:
    """Percent of the arms other than `control`."""
    total = sum(weights.values(), Decimal(0))
    return (total - weights[control]) * 100 / total


def _percent(share: Decimal) -> str:
    return f"{spell(round(share, 1))} %"
