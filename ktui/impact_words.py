"""What a replay found, as rows: how many requests would go elsewhere, be refused, cost more; which policies fire."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from rich.text import Text

from ktui.number_words import duration_ms, sum_cost
from ktui.themes import role
from ktui.workbench_answers import CostImpact, Impact, Move, PolicyImpact, Route
from proxy.base.sanitise import sanitise

Show = dict[str, str | int]
"""What to ask the gateway for to see the requests behind a number."""

_LABEL = 13
_NUMBER = 9
_BAR = 16
_EIGHTHS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class ImpactRow:
    """One number of an impact. `share` of 0..1 is drawn as a bar; `show` asks for the requests behind it."""

    label: str
    number: int | None
    words: str = ""
    role: str = "text"
    share: float | None = None
    show: Show | None = None

    @property
    def title(self) -> str:
        """What the list of its requests is called."""
        number = f"{self.number:,} requests, " if self.number is not None else ""
        return f"{number}{self.label}" + (f": {self.words}" if self.words else "")


def rows_of(impact: Impact) -> list[ImpactRow]:
    """The numbers, the moves, the cost, then the policies in file order."""
    whole = max(impact.requests, 1)

    def row(label: str, number: int, name: str, kind: str | None, words: str = "") -> ImpactRow:
        show: Show | None = {"kind": kind} if kind is not None and number else None
        return ImpactRow(label, number, words, name if number else "muted", number / whole, show)

    refused, redirected = impact.newly("block"), impact.newly("redirect")
    freed = sum(item.requests for item in impact.decisions if item.before == "block" != item.after)
    rows = [
        row("same route", impact.same, "text", None),
        row("other route", impact.changed, "strong", "changed"),
        row("redirected", redirected, "warn", "redirected"),
        row("blocked", refused, "bad", "blocked"),
    ]
    if freed:
        rows.append(row("let through", freed, "ok", None, "no longer blocked"))
    if impact.cannot_tell:
        why = sanitise(impact.reasons[0].reason, 120) if impact.reasons else ""
        rows.append(row("cannot tell", impact.cannot_tell, "unknown", "cannot_tell", why))
    rows += [_move(index, move) for index, move in enumerate(impact.moves)]
    if impact.cost is not None:
        rows.append(ImpactRow("cost", None, cost_words(impact.cost)))
    return rows + [_policy(item, whole) for item in impact.policies]


def route_words(route: Route, tagged: bool = True) -> str:
    """`gpt-4o`, with its variant, or `blocked`."""
    if route.decision == "block":
        return "blocked"
    model = sanitise(route.model or "unknown model", 60)
    return f"{model} ({sanitise(route.variant, 24)})" if tagged and route.variant else model


def move_words(before: Route, after: Route) -> str:
    """From where to where; variants are named only where the models do not tell them apart."""
    tagged = before.model == after.model and "block" not in (before.decision, after.decision)
    return f"{route_words(before, tagged)} → {route_words(after, tagged)}"


def _move(index: int, move: Move) -> ImpactRow:
    words = move_words(move.before, move.after)
    return ImpactRow("moved", move.requests, words, show={"kind": "move", "index": index})


def _policy(item: PolicyImpact, whole: int) -> ImpactRow:
    name = sanitise(item.policy, 60)
    show: Show | None = {"kind": "policy", "name": item.policy} if item.would_fire else None
    # The label says already that it would never fire.
    told = item.note if item.note != "would never fire" else None
    note = f" · {sanitise(told, 120)}" if told else ""
    if not item.would_fire:
        return ImpactRow("never fires", None, f"{name}{note}", "warn")
    before = f", fired {item.fired:,}" if item.fired is not None and item.fired != item.would_fire else ""
    return ImpactRow("would fire", item.would_fire, f"{name}{before}{note}", show=show)


def cost_words(cost: CostImpact) -> str:
    """`+$0.64 (+0.9 %) over these requests, estimate; 12 unpriced are left out`."""
    difference, now = _decimal(cost.difference), _decimal(cost.now)
    if difference is None:
        words = "unknown"
    else:
        sign = "+" if difference > 0 else "-" if difference < 0 else "±"
        words = f"{sign}{sum_cost(str(abs(difference)))}"
        if now:
            words += f" ({difference / now * 100:+.1f} %)"
        words += " over these requests"
    if cost.estimate and difference is not None:
        words += ", estimate"
    return words + (f"; {cost.unpriced:,} unpriced are left out" if cost.unpriced else "")


def _decimal(value: str | None) -> Decimal | None:
    try:
        amount = Decimal(value) if value is not None else None
    except InvalidOperation:
        return None
    return amount if amount is not None and amount.is_finite() else None


def meta_words(impact: Impact) -> str:
    """What was replayed: `last 10,000 requests · 0.41 s`."""
    took = f" · {duration_ms(impact.took_ms)}" if impact.took_ms is not None else ""
    noun = "request" if impact.requests == 1 else "requests"
    return f"last {impact.requests:,} {noun} replayed{took}"


def paint_row(app: object, row: ImpactRow, width: int) -> Text:
    """One row: label, number, bar or words."""
    muted = role(app, "muted")
    line = Text(f"{row.label:<{_LABEL}}", style=muted, no_wrap=True, end="")
    number = f"{row.number:,}" if row.number is not None else ""
    line.append(f"{number:>{_NUMBER}}", role(app, row.role))
    if row.share is not None and width > _LABEL + _NUMBER + _BAR + 4:
        line.append("  ").append(f"{_bar(row.share):<{_BAR}}", role(app, "info"))
    style = row.role if row.role in ("unknown", "warn") else "text"
    return line.append("  ").append(row.words, role(app, style))


def _bar(share: float) -> str:
    eighths = round(min(max(share, 0.0), 1.0) * _BAR * 8)
    if share > 0:
        eighths = max(eighths, 1)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest] if rest else "")
