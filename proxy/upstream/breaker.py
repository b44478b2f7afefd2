"""A circuit breaker for each target. Pure: the clock is handed in.

*Closed*: requests go there. *Open*: after too many failures none do, for a while. *Half-open*: the while is
over; one request at a time finds out whether the target answers again. Errors of the caller count as neither.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "open", "half-open"]
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class BreakerRules:
    """When a breaker opens. Times in seconds."""

    failures: int = 5
    """So many of the last `window` results must be failures ..."""
    share: float = 0.5
    """... and at least this share of them."""
    window: int = 20
    memory_s: float = 60.0
    """Older results are forgotten."""
    open_s: float = 10.0
    """For how long it opens first; doubled by each probe that fails."""
    longest_open_s: float = 120.0


DEFAULT_RULES = BreakerRules()


class Breaker:
    """The breaker of one target."""

    __slots__ = ("_opened_for", "_probing", "_resting_until", "_results", "_retry_at", "_rules")

    def __init__(self, rules: BreakerRules = DEFAULT_RULES) -> None:
        self._rules = rules
        self._results: deque[tuple[float, bool]] = deque(maxlen=rules.window)
        self._retry_at: float | None = None
        self._opened_for = 0.0
        self._probing = False
        self._resting_until = 0.0

    def state(self, now_s: float) -> State:
        """What it is at `now_s`."""
        if self._retry_at is None:
            return "closed"
        return "open" if now_s < self._retry_at else "half-open"

    def reopens_at(self) -> float:
        """When it can be asked again; 0 when it can be asked now."""
        return max(self._retry_at or 0.0, self._resting_until)

    def admits(self, now_s: float) -> bool:
        """Whether a request may go there now. Claims nothing."""
        if now_s < self._resting_until:
            return False
        state = self.state(now_s)
        return state == "closed" or (state == "half-open" and not self._probing)

    def begin(self, now_s: float) -> bool:
        """A request goes there; True when it is the probe. Every begin must be followed by `end`."""
        if self.state(now_s) == "half-open" and not self._probing:
            self._probing = True
            return True
        return False

    def end(self, now_s: float, result: Literal["ok", "failed", "neither"], *, probe: bool) -> None:
        """How it ended. `neither`: it says nothing of the target (the caller's error, or the client left)."""
        if probe:
            self._probing = False
        if result == "neither":
            return
        if self._retry_at is not None:
            if result == "ok":
                self._close()
            elif probe:
                self._open(now_s)
            return
        self._results.append((now_s, result == "failed"))
        while self._results and self._results[0][0] < now_s - self._rules.memory_s:
            self._results.popleft()
        failed = sum(bad for _, bad in self._results)
        if failed >= self._rules.failures and failed >= self._rules.share * len(self._results):
            self._open(now_s)

    def rest(self, until_s: float) -> None:
        """The target asked to be left alone until then (a rate limit). It is no failure."""
        self._resting_until = max(self._resting_until, until_s)

    def _open(self, now_s: float) -> None:
        doubled = self._opened_for * 2
        self._opened_for = min(doubled or self._rules.open_s, self._rules.longest_open_s)
        self._retry_at = now_s + self._opened_for
        self._results.clear()

    def _close(self) -> None:
        self._retry_at = None
        self._opened_for = 0.0
        self._results.clear()


class Breakers:
    """The breakers of all targets, by their fingerprint: a target that the file changes begins anew."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, rules: BreakerRules = DEFAULT_RULES
    ) -> None:
        """`clock`: monotonic seconds."""
        self.clock = clock
        self._rules = rules
        self._known: dict[str, Breaker] = {}

    def of(self, fingerprint: str) -> Breaker:
        """The breaker of a target."""
        found = self._known.get(fingerprint)
        if found is None:
            if len(self._known) >= _REMEMBERED:
                del self._known[next(iter(self._known))]
            found = self._known[fingerprint] = Breaker(self._rules)
        return found

    def usable(self, fingerprints: Sequence[str]) -> list[int]:
        """Places of the targets that may be asked now, in order.

        Never empty unless there are no targets: when none may be asked, the one that could be soonest is.
        """
        if len(fingerprints) < 2:
            return list(range(len(fingerprints)))
        now = self.clock()
        breakers = [self.of(fingerprint) for fingerprint in fingerprints]
        usable = [place for place, breaker in enumerate(breakers) if breaker.admits(now)]
        return usable or [min(range(len(breakers)), key=lambda place: breakers[place].reopens_at())]
