"""The sentences of the Rollout screen: what state it is in, what to do, what a draft would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.text import Text

from ktui.answers import Split
from ktui.geometry import WIDE
from ktui.glyphs import arm_glyph
from ktui.ladder import Ghosts, Rung, Shares, next_rung
from ktui.themes import arm_role, role
from ktui.widgets.bars import percent
from proxy.base.sanitise import sanitise

NEXT_S = 300
"""Seconds the preview looks ahead."""


def sentence(app: object, split: Split | None, rows: Sequence[Rung], ghosts: Ghosts) -> Text:
    """What the reader sees first: state, evidence, what to do."""
    line = Text(overflow="ellipsis")
    if split is None:
        line.append("This policy splits no traffic.", f"bold {role(app, 'muted')}")
        return line.append(" Add a traffic_split policy on screen 2, Policy.", role(app, "muted"))
    live = next((rung for rung in rows if rung.live), None)
    if live is None:
        return line
    if not split.enabled:
        line.append("○ Disabled.", f"bold {role(app, 'muted')}")
        return line.append(" The file has enabled: false; nothing is split.", role(app, "muted"))
    head, state = _state(split, live, rows)
    line.append(head, f"bold {role(app, state)}")
    line.append(f" {_seen(split)}", role(app, "text"))
    line.append(f" {_advice(rows, ghosts, narrow=_is_narrow(app))}", role(app, "text"))
    return line


def _is_narrow(app: object) -> bool:
    size = getattr(app, "size", None)
    return size is not None and size.width < WIDE


def _state(split: Split, live: Rung, rows: Sequence[Rung]) -> tuple[str, str]:
    name = sanitise(live.name, 30)
    if live.name == "rolled-back":
        return "✗ Rolled back.", "bad"
    if not live.planned:
        return "● Weights by hand.", "live"
    if live.off_plan:
        return f"! Off plan: {name} plans {_list(live.plan)}.", "warn"
    phases = [rung for rung in rows if rung.planned]
    number = phases.index(live) + 1
    if number == len(phases):
        return f"✓ {name}, the last phase.", "ok"
    return f"● Running {name}, phase {number} of {len(phases)}.", "live"


def _list(shares: Shares) -> str:
    return "/".join(percent(tenths) for tenths in shares.values())


def _seen(split: Split) -> str:
    last = split.arms[-1]
    units = sum(arm.observed_units for arm in split.arms)
    tag = sanitise(last.tag, 30)
    if last.observed_share is None:
        return f"{tag} is set to {last.share:.1f} %; no request seen since."
    noun = "unit" if units == 1 else "units"
    return f"{tag} is set to {last.share:.1f} %, seen {last.observed_share:.1f} % of {units:,} {noun}."


def _advice(rows: Sequence[Rung], ghosts: Ghosts, *, narrow: bool) -> str:
    if ghosts.drafts:
        return "A reviews the draft." if narrow else "Your draft moves nothing until A; esc forgets it."
    following = next_rung(tuple(rows))
    if following is None:
        return "" if narrow else "Drag a bar to try other weights."
    return (
        f"P: {sanitise(following.name, 20)} {_list(following.plan)}."
        if narrow
        else (f"P promotes to {sanitise(following.name, 30)}, {_list(following.plan)}.")
    )


def preview(
    app: object, split: Split, rung: Rung, would: Shares, rate: float, costs: Mapping[str, float | None]
) -> list[Text]:
    """What a draft of the live rung would do, from the present rate and observed units."""
    muted = role(app, "muted")
    ahead = Text("  next 5 min   ", style=muted)
    shown = list(enumerate(split.tags))
    for index, tag in shown[-1:] if _is_narrow(app) else shown:
        now, then = (rate * NEXT_S * shares[tag] / 1000 for shares in (rung.shares, would))
        ahead.append(f"{arm_glyph(index)} about {then:,.0f} requests", role(app, arm_role(index)))
        ahead.append(f" (now {now:,.0f})   ", muted)
    return [ahead, _users(app, split, rung, would), _cost(app, split, rung, would, rate, costs)]


def _users(app: object, split: Split, rung: Rung, would: Shares) -> Text:
    units = sum(arm.observed_units for arm in split.arms)
    line = Text("  units        ", style=role(app, "muted"))
    if not units:
        return line.append("unknown: none seen since the weights changed", role(app, "unknown"))
    gains = {tag: (would[tag] - rung.shares[tag]) / 1000 * units for tag in split.tags}
    moved = [
        f"about {gain:,.0f} of {units:,} move to {sanitise(tag, 30)}"
        for tag, gain in gains.items()
        if gain > 0
    ]
    return line.append(", ".join(moved) + "; nobody moves back", role(app, "text"))


def _cost(
    app: object, split: Split, rung: Rung, would: Shares, rate: float, costs: Mapping[str, float | None]
) -> Text:
    line = Text("  cost         ", style=role(app, "muted"))
    changed = [tag for tag in split.tags if would[tag] != rung.shares[tag]]
    prices = {tag: costs.get(tag) for tag in changed}
    known = {tag: price for tag, price in prices.items() if price is not None}
    if len(known) < len(prices):
        return line.append("unknown: not every variant has priced requests yet", role(app, "unknown"))
    delta = sum((would[tag] - rung.shares[tag]) / 1000 * price for tag, price in known.items()) * rate * 3.6
    sign = "-" if delta < 0 else "+"
    return line.append(f"{sign}${abs(delta):,.2f} per hour at the present rate", role(app, "text"))
