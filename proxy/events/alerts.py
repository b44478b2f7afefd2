"""Alerts: too many requests of a kind within a window. Fed with what is stored; pure but for the clock.

A request counts when it ended, in steps of a sixtieth of the window. The alert fires while more than its limit
ended within the window, and is over when no more than that did for a tenth of the window: at its limit it would
come and go with every request.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from proxy.base.times import now_ms as wall_clock_ms
from proxy.events.event import Event
from proxy.events.filter.match import Test, matcher
from proxy.events.filter.standing import standing

LEAST_FOR_A_SHARE = 20
"""Of fewer requests no share is taken: two of three say nothing."""
_STEPS = 60
_LEAST_STEP_MS = 1_000
_CALM = 10
"""The part of the window that it must have been quiet for."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What to watch: as the policy file says it. `limit`: requests, or percent of those that match `of`."""

    name: str
    filter: str
    limit: float
    within_ms: int
    is_share: bool = False
    of: str | None = None


@dataclass(frozen=True, slots=True)
class AlertState:
    """How an alert stands."""

    rule: Rule
    requests: int
    """That match and ended within the window."""
    of: int
    """Of so many that ended within it; what the share is taken of."""
    since_ms: int | None
    """Since when it fires; None: it does not."""
    newest: str | None
    """Id of the newest request that matched and is in the window."""


@dataclass(slots=True)
class _Step:
    at: int
    requests: int = 0
    of: int = 0
    newest: str | None = None


class _Watch:
    """Counts for one rule."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self._test: Test = matcher(standing(rule.filter))
        self._of: Test | None = None if rule.of is None else matcher(standing(rule.of))
        self._step_ms = max(_LEAST_STEP_MS, rule.within_ms // _STEPS)
        self._steps: deque[_Step] = deque()
        self._since_ms: int | None = None
        self._held_ms = 0
        """When there were too many for the last time."""

    def observe(self, event: Event, now: int) -> None:
        """Count `event` where its end is in the window."""
        ended = min(now, event.timestamp_ms + int(event.latency_ms))
        matches = self._test(event)
        base = self._of is None or self._of(event)
        if ended <= now - self.rule.within_ms or not (matches or base):
            return
        step = self._step(ended // self._step_ms)
        step.of += base
        if matches:
            step.requests += 1
            step.newest = event.id

    def _step(self, at: int) -> _Step:
        """That of a moment. Requests come nearly in the order of their end, so it is one of the last."""
        place = len(self._steps)
        while place and self._steps[place - 1].at > at:
            place -= 1
        if place and self._steps[place - 1].at == at:
            return self._steps[place - 1]
        step = _Step(at)
        self._steps.insert(place, step)
        return step

    def state(self, now: int) -> AlertState:
        """How it stands at `now`."""
        first = (now - self.rule.within_ms) // self._step_ms
        while self._steps and self._steps[0].at <= first:
            self._steps.popleft()
        requests = sum(step.requests for step in self._steps)
        of = sum(step.of for step in self._steps)
        if self._too_many(requests, of):
            self._held_ms = now
            self._since_ms = now if self._since_ms is None else self._since_ms
        elif now - self._held_ms > self.rule.within_ms // _CALM:
            self._since_ms = None
        newest = next((step.newest for step in reversed(self._steps) if step.newest is not None), None)
        return AlertState(self.rule, requests, of, self._since_ms, newest)

    def _too_many(self, requests: int, of: int) -> bool:
        if self.rule.is_share:
            return of >= LEAST_FOR_A_SHARE and requests * 100 > self.rule.limit * of
        return requests > self.rule.limit


class Alerts:
    """All alerts of the running version."""

    def __init__(self, clock_ms: Callable[[], int] = wall_clock_ms) -> None:
        self._clock_ms = clock_ms
        self._watches: list[_Watch] = []

    def keep(self, rules: Sequence[Rule]) -> list[Rule]:
        """From now on watch these; those that did not change keep what they have counted. Returns the new ones."""
        there = {watch.rule: watch for watch in self._watches}
        self._watches = [there.get(rule) or _Watch(rule) for rule in rules]
        return [rule for rule in rules if rule not in there]

    def observe_all(self, events: Iterable[Event], only: Sequence[Rule] | None = None) -> None:
        """Count events; with `only` for these rules. Fits as a listener of a store."""
        if not self._watches:
            return
        now = self._clock_ms()
        watches = [watch for watch in self._watches if only is None or watch.rule in only]
        for event in events:
            for watch in watches:
                watch.observe(event, now)
        for watch in watches:
            watch.state(now)

    def states(self) -> list[AlertState]:
        """How each stands now, in file order."""
        now = self._clock_ms()
        return [watch.state(now) for watch in self._watches]
