"""Alerts in the log, for who runs a gateway without a screen: one line when one fires, one when it is over."""

from __future__ import annotations

import asyncio
import logging

from proxy.base.sanitise import sanitise
from proxy.events.alert_text import counted, limit_text
from proxy.events.alerts import Alerts, AlertState, Rule

LOOK_EVERY_S = 1.0

logger = logging.getLogger(__name__)


class AlertLog:
    """Looks at `alerts` every second: one that is over is so without any further request."""

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._firing: set[Rule] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin; on the event loop of the alerts."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End, with a last look."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._task = None
        self.look()

    def look(self) -> None:
        """Log what changed since the last look. An alert that left the policy file is no longer spoken of."""
        states = self._alerts.states()
        for state in states:
            fires = state.since_ms is not None
            if fires == (state.rule in self._firing):
                continue
            if fires:
                logger.warning("%s", _fires(state))
            else:
                logger.info("alert %s is over: %s", sanitise(state.rule.name, 80), _counted(state))
        self._firing = {state.rule for state in states if state.since_ms is not None}

    async def _run(self) -> None:
        while True:
            self.look()
            await asyncio.sleep(LOOK_EVERY_S)


def _fires(state: AlertState) -> str:
    rule = state.rule
    limit = limit_text(rule.limit, is_share=rule.is_share)
    return (
        f"alert {sanitise(rule.name, 80)}: {_counted(state)}, more than {limit}: {sanitise(rule.filter, 200)}"
    )


def _counted(state: AlertState) -> str:
    rule = state.rule
    return counted(state.requests, state.of, rule.within_ms // 1_000, is_share=rule.is_share)
