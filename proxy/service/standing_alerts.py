"""Alerts of the running version: their rules, and what the store already holds of their windows."""

from __future__ import annotations

import asyncio
import logging

from proxy.base.times import now_ms
from proxy.events.alerts import Alerts, Rule
from proxy.events.errors import StoreError
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.store import EventQuery
from proxy.policy.schema import AlertSpec, PolicyFile
from proxy.policy.spec import seconds_of

LONGEST_ANSWER_MS = 600_000
"""Requests that came so long before a window may have ended in it."""
_MOST_EVENTS = 50_000

logger = logging.getLogger(__name__)


def rules_of(policy_file: PolicyFile) -> list[Rule]:
    """What the file wants to be warned of, in its order."""
    return [_rule(alert) for alert in policy_file.events.alerts]


def _rule(alert: AlertSpec) -> Rule:
    within_ms = round((seconds_of(alert.within) or 0.0) * 1_000)
    if alert.more_than is not None:
        return Rule(alert.name, alert.filter, alert.more_than, within_ms)
    return Rule(alert.name, alert.filter, alert.more_than_percent or 0.0, within_ms, True, alert.of)


class StandingAlerts:
    """Keeps `alerts` at the rules of what runs. Used on the event loop of `store`."""

    def __init__(self, alerts: Alerts, store: SqliteEventStore) -> None:
        self._alerts = alerts
        self._store = store
        self._counting: set[asyncio.Task[None]] = set()

    def apply(self, policy_file: PolicyFile) -> None:
        """Watch what this file names; a new rule also counts what the store holds of its window."""
        new = self._alerts.keep(rules_of(policy_file))
        if new:
            # What listeners were not told of yet reaches the alerts by itself.
            task = asyncio.create_task(self._count_past(new, self._store.told_seq))
            self._counting.add(task)
            task.add_done_callback(self._counting.discard)

    async def stop(self) -> None:
        """End what is under way."""
        for task in list(self._counting):
            task.cancel()
        await asyncio.gather(*self._counting, return_exceptions=True)

    async def _count_past(self, rules: list[Rule], last_seq: int) -> None:
        since = now_ms() - max(rule.within_ms for rule in rules) - LONGEST_ANSWER_MS
        query = EventQuery(since_ms=since, before_seq=last_seq + 1, limit=_MOST_EVENTS)
        try:
            events = [event async for event in self._store.query(query)]
        except StoreError as error:
            logger.warning("alerts begin without what was stored before: %s", error)
            return
        self._alerts.observe_all(reversed(events), rules)
