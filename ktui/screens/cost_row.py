"""CostRowScreen: one row of the breakdown with its trend and what its sum is made of."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from ktui.cost_answers import Cost
from ktui.cost_table import CostRow
from ktui.cost_words import WINDOWS, kinds, unit_cost
from ktui.number_words import NONE, count, percent, sum_cost
from ktui.themes import role
from ktui.widgets.sparkline import spark
from proxy.base.sanitise import sanitise

_MODELS = 3
"""Models without a price that are named."""


def facts(app: object, cost: Cost, row: CostRow) -> Text:
    """The lines of the box."""
    told = row.measures
    muted, strong, plain = role(app, "muted"), role(app, "strong"), role(app, "text")
    lines = [
        Text(f" {sum_cost(told.spend)}", style=strong if told.spend is not None else role(app, "unknown"))
    ]
    words = {seconds: name for _, seconds, name in WINDOWS}.get(cost.window_s, "the window")
    lines[0].append(f" in {words}", f"not bold {muted}")
    if told.share is not None and row.group is not None:
        lines[0].append(f", {told.share * 100:.1f} % of the known sum", f"not bold {muted}")
    if any(row.trend):
        lines += [Text(), _trend(app, row)]
    lines += [Text(), *kinds(app, told).split("\n"), Text()]
    lower = told.at_least
    for name, value in (
        ("a request", unit_cost(told.per_request)),
        ("1,000 tokens", unit_cost(told.per_1k_tokens, at_least=lower)),
        ("a success", unit_cost(told.per_success, at_least=lower)),
        ("a quality point", unit_cost(told.per_quality)),
    ):
        lines.append(Text(f" {name:<16}", style=muted).append(f"{value:>10}", plain))
    failed = percent(told.errors / told.requests) if told.requests else NONE
    quality = NONE if told.quality is None else f"{told.quality:.3f} of {count(told.scored)} scored"
    lines.append(Text(f" {'failed':<16}", style=muted).append(f"{failed:>10}", plain))
    lines.append(Text(f" {'quality':<16}", style=muted).append(f"{quality:>10}", plain))
    if lower:
        lines.append(Text(" ≥: unpriced requests are among the tokens and the successes", style=muted))
    if told.unpriced:
        lines += [Text(), *_unpriced(app, cost)]
    return Text("\n").join(lines)


def _unpriced(app: object, cost: Cost) -> list[Text]:
    """Which models of the window lack a price, and how requests get one that comes late."""
    muted, unknown = role(app, "muted"), role(app, "unknown")
    shown = cost.unpriced_models[:_MODELS]
    lines = [Text(" without a price in this window", style=muted)]
    lines += [
        Text(f" ? {sanitise(item.model, 40):<42}", style=unknown).append(f"{count(item.requests):>10}", muted)
        for item in shown
    ]
    more = len(cost.unpriced_models) - len(shown)
    lines += [Text(f"   and {more} models more", style=muted)] if more else []
    return [*lines, Text(" prices: in the policy, then kt prices reprice", style=muted)]


def _trend(app: object, row: CostRow) -> Text:
    """Two cells a step, the highest told."""
    drawn = spark(row.trend, len(row.trend), from_zero=True)
    line = Text(" ", no_wrap=True).append("".join(f"{mark}{mark} " for mark in drawn), role(app, "text"))
    return line.append(f" peak {sum_cost(max(row.trend))}", role(app, "muted"))


class CostRowScreen(ModalScreen[None]):
    """The box; `esc` closes it."""

    DEFAULT_CSS = """
    CostRowScreen { align: center middle; background: transparent; }
    CostRowScreen > VerticalScroll {
        width: 66; max-width: 96%; height: auto; max-height: 96%; padding: 0 1; background: $kt-dialog; color: $kt-text; scrollbar-size-vertical: 1;
        border: solid $kt-rule; border-title-color: $kt-strong; border-subtitle-color: $kt-muted;
    }
    CostRowScreen Static { height: auto; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "close", "Close", show=False)]

    def __init__(self, cost: Cost, row: CostRow) -> None:
        super().__init__()
        self._cost = cost
        self._row = row

    def compose(self) -> ComposeResult:
        """What is known of the row."""
        with VerticalScroll() as box:
            what = "All requests" if self._row.group is None else f"{self._cost.group_by} {self._row.name}"
            box.border_title = Text(what).markup
            box.border_subtitle = "esc closes"
            yield Static(facts(self.app, self._cost, self._row), markup=False)

    def action_close(self) -> None:
        """Back."""
        self.dismiss(None)
