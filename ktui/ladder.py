"""The phases of a split as the Rollout screen edits them: what runs, what is planned, what would run.

Pure. Shares are integers in tenths of a percent; those of one rung always sum to 1000.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from ktui.answers import Split
from proxy.policy.weights import rebalance, to_tenths

BY_HAND = "by hand"

Shares = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Rung:
    """One row: a phase, or the weights set by hand. `live`: its bars are what runs now."""

    name: str
    live: bool
    planned: bool
    """Whether the file plans it (a rung by hand is not planned)."""
    place: str
    """`now`, `done` or `later`."""
    shares: Shares
    plan: Shares
    """The planned shares; for the rung that runs, `shares` may differ from them (off plan)."""
    duration: str | None
    line: int

    @property
    def off_plan(self) -> bool:
        """Whether what runs is not what this phase plans."""
        return self.live and self.planned and dict(self.shares) != dict(self.plan)


def rungs(split: Split) -> tuple[Rung, ...]:
    """The rows of `split`, in file order; first one for weights by hand when no phase is live."""
    live = to_tenths({arm.tag: Decimal(str(arm.weight)) for arm in split.arms})
    index = split.phase_index
    found: list[Rung] = []
    if index is None:
        name = split.phase or BY_HAND
        found.append(Rung(name, True, False, "now", live, live, None, split.line))
    for number, phase in enumerate(split.phases):
        plan = _planned(phase.weights, split.tags)
        is_live = number == index
        place = "now" if is_live else "done" if index is not None and number < index else "later"
        found.append(
            Rung(
                phase.name, is_live, True, place, live if is_live else plan, plan, phase.duration, phase.line
            )
        )
    return tuple(found)


def _planned(weights: Mapping[str, float], tags: tuple[str, ...]) -> dict[str, int]:
    known = {tag: Decimal(str(weights.get(tag, 0.0))) for tag in tags}
    return to_tenths(known)


@dataclass(slots=True)
class Ghosts:
    """What would run: drafts of rungs by name. A draft that equals what is there is none."""

    drafts: dict[str, dict[str, int]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    """Arms that do not absorb."""

    def shares(self, rung: Rung) -> Shares:
        """The draft of `rung`, else what is there."""
        return self.drafts.get(rung.name, rung.shares)

    def move(self, rung: Rung, tag: str, tenths: int) -> None:
        """Set the share of `tag`; the arms that are not held absorb the difference in proportion."""
        after = rebalance(dict(self.shares(rung)), tag, max(0, min(tenths, 1000)), self.held - {tag})
        if after == dict(rung.shares):
            self.drafts.pop(rung.name, None)
        else:
            self.drafts[rung.name] = after

    def settle(self, rows: tuple[Rung, ...]) -> None:
        """Forget drafts that have come true or whose rung is gone."""
        known = {rung.name: rung for rung in rows}
        for name in list(self.drafts):
            rung = known.get(name)
            fits = rung is not None and self.drafts[name].keys() == rung.shares.keys()
            if not fits or self.drafts[name] == dict(known[name].shares):
                del self.drafts[name]

    def discard(self) -> None:
        """Forget all drafts."""
        self.drafts.clear()


@dataclass(frozen=True, slots=True)
class Request:
    """What the control API is asked to write."""

    weights: dict[str, float] | None
    phases: dict[str, dict[str, float]] | None


def request(rows: tuple[Rung, ...], ghosts: Ghosts) -> Request:
    """The drafts as weights in percent: of the live rung the weights, of the others their plan."""
    weights: dict[str, float] | None = None
    phases: dict[str, dict[str, float]] = {}
    for rung in rows:
        draft = ghosts.drafts.get(rung.name)
        if draft is None:
            continue
        percent = {tag: tenths / 10 for tag, tenths in draft.items()}
        if rung.live:
            weights = percent
        else:
            phases[rung.name] = percent
    return Request(weights, phases or None)


def next_rung(rows: tuple[Rung, ...]) -> Rung | None:
    """The phase that comes after the live one; the first planned one when none is live."""
    live = next((index for index, rung in enumerate(rows) if rung.live), -1)
    return next((rung for rung in rows[live + 1 :] if rung.planned), None)
