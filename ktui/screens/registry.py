"""Which screens exist: a tab exists when its screen does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ktui.link import GatewayLink
from ktui.refresh import Scheduler
from ktui.screens.cost import CostPane
from ktui.screens.history import HistoryPane
from ktui.screens.live import LivePane
from ktui.screens.pane import Pane
from ktui.screens.policy import PolicyPane
from ktui.screens.rollout import RolloutPane
from ktui.state import AppState


@dataclass(frozen=True)
class ScreenEntry:
    """One screen: its key, its name in ids and commands, its title, and how it is made."""

    key: str
    name: str
    title: str
    make: Callable[[GatewayLink, AppState, Scheduler], Pane]


SCREENS: tuple[ScreenEntry, ...] = (
    ScreenEntry(
        "1", "live", "Live", lambda link, state, scheduler: LivePane(link, state, scheduler, id="live")
    ),
    ScreenEntry("2", "policy", "Policy", lambda link, state, scheduler: PolicyPane(link, state, id="policy")),
    ScreenEntry(
        "3", "rollout", "Rollout", lambda link, state, scheduler: RolloutPane(link, state, id="rollout")
    ),
    ScreenEntry("5", "cost", "Cost", lambda link, state, scheduler: CostPane(link, state, id="cost")),
    ScreenEntry(
        "7", "history", "History", lambda link, state, scheduler: HistoryPane(link, state, id="history")
    ),
)
