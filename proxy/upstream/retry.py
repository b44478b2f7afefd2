"""Which failures are tried again, where, and after how long. Pure: clock and chance are handed in.

A failure is of one of three kinds. *Final*: the request itself is at fault, every target would say the same.
*Elsewhere*: this target cannot answer it, or may already be working on it; another target may be asked.
*Again*: the same target may answer a little later (rate limits, overload, no connection).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Literal

from proxy.upstream.transport import FailureKind

Remedy = Literal["final", "elsewhere", "again"]

_AGAIN = frozenset({408, 409, 425, 429})
_NEVER = frozenset({501, 505})
_ACCOUNT_WORDS = (
    b"insufficient_quota",
    b"billing_not_active",
    b"billing_hard_limit_reached",
    b"credit balance is too low",
)
_LONGEST_NUMBER = 12


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How persistent the gateway is. Times in seconds."""

    max_attempts: int = 3
    """Requests sent upstream for one request of a client, retries and fallbacks together."""
    base_s: float = 0.5
    cap_s: float = 8.0
    floor_s: float = 0.05
    """The shortest pause before the same target is asked again."""
    retry_after_cap_s: float = 60.0
    """A longer Retry-After is not waited for: the error goes to the client, which may wait."""
    fallback_after_s: float = 2.0
    """A Retry-After longer than this is not waited for while there is a model to fall back to."""


DEFAULT_RULES = RetryRules()


@dataclass(frozen=True, slots=True)
class Failure:
    """One attempt that brought no usable answer."""

    remedy: Remedy
    reason: str
    """Short code: `connect`, `timeout`, `upstream_503`, `empty_stream`, ..."""
    status: int | None = None
    retry_after_s: float | None = None
    blames_target: bool = True
    """Whether it counts against the target (an error of the caller never does)."""


def of_error(kind: FailureKind, *, retry_on_timeout: bool) -> Failure:
    """What a request that got no answer means.

    Sent in full and not answered in time: the upstream may be working on it and would be paid twice, so that
    is tried again only where the target allows it.
    """
    if kind == "timeout":
        return Failure("again" if retry_on_timeout else "final", "timeout")
    if kind in ("connect", "stale"):
        return Failure("again", kind)
    return Failure("elsewhere", kind)


def of_status(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Failure | None:
    """What an answer with `status` means; None when it is an answer (below 300).

    `headers`: names in lower case. `body`: the beginning of an error body. A vendor's `x-should-retry`
    decides over the status, as it does in the vendors' own clients.
    """
    if status < 300:
        return None
    if status < 400:
        return Failure("elsewhere", "redirect", status)
    reason = f"upstream_{status}"
    wait = retry_after(headers, now)
    account = status in (400, 402, 403, 429) and any(word in body for word in _ACCOUNT_WORDS)
    if account:
        return Failure("elsewhere", "account_exhausted", status, wait)
    advice = headers.get("x-should-retry", "").strip().lower()
    retryable = status in _AGAIN or (status >= 500 and status not in _NEVER)
    # A rate limit is no fault of the target: it is alive and says when it can be asked again.
    blames = status == 408 or status >= 500
    if advice == "false":
        return Failure("final", reason, status, wait, blames)
    if retryable or advice == "true":
        return Failure("again", reason, status, wait, blames)
    return Failure("final", reason, status, wait, blames)


def retry_after(headers: Mapping[str, str], now: Callable[[], datetime]) -> float | None:
    """Seconds an upstream asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.

    None when it says nothing that can be read. RFC 9110, 10.2.3.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1e3
    text = headers.get("retry-after", "").strip()
    seconds = _number(text)
    if seconds is not None:
        return seconds
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now()).total_seconds())


def _number(text: str) -> float | None:
    text = text.strip()
    if (
        not text
        or len(text) > _LONGEST_NUMBER
        or not text.replace(".", "", 1).isdigit()
        or not text.isascii()
    ):
        return None
    return float(text)


class RetryBudget:
    """Keeps retries from becoming a flood while an upstream is down: a token bucket.

    Every request puts in a tenth of a token, every second ten; asking a target again that has just failed takes
    one out. Asking another target takes none.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        share: float = 0.1,
        per_s: float = 10.0,
        capacity: float = 100.0,
    ) -> None:
        """`clock`: monotonic seconds."""
        self._clock = clock
        self._share = share
        self._per_s = per_s
        self._capacity = capacity
        self._tokens = capacity
        self._at = clock()

    def deposit(self) -> None:
        """A request came."""
        self._tokens = min(self._capacity, self._tokens + self._share)

    def withdraw(self) -> bool:
        """Whether there is room for a retry, which is then taken."""
        now = self._clock()
        self._tokens = min(self._capacity, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


@dataclass(frozen=True, slots=True)
class Step:
    """The next attempt: which stop (an index), and how long to wait before it."""

    stop: int
    wait_s: float = 0.0


class Itinerary:
    """The order of the attempts of one request.

    `primary` stops serve the model that was decided on, `fallback` stops (numbered behind them) another
    model. The decided model is tried first, at every target once; while attempts are left its targets are
    tried again, but one attempt is kept for a model to fall back to.
    """

    def __init__(
        self,
        primary: int,
        fallback: int,
        rules: RetryRules = DEFAULT_RULES,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance` gives numbers in [0, 1)."""
        self._primary = primary
        self._stops = primary + fallback
        self._rules = rules
        self._chance = chance
        self._at = 0
        self._closed: set[int] = set()
        self._ready: dict[int, float] = {}
        self._rounds: dict[int, int] = {}

    def after(self, failure: Failure, attempts: int, now_s: float) -> Step | None:
        """What to try after `failure` at the current stop, `attempts` having been made; None: give up.

        `now_s`: a monotonic clock in seconds.
        """
        if failure.remedy == "final" or attempts >= self._rules.max_attempts:
            return None
        self._note(failure, now_s)
        last_call = attempts == self._rules.max_attempts - 1
        fallback = self._best(range(self._primary, self._stops), now_s)
        primary = self._next_primary(now_s)
        if fallback is not None and (
            last_call or primary is None or primary.wait_s > self._rules.fallback_after_s
        ):
            primary = None
        step = primary or fallback
        if step is None or step.wait_s > self._rules.retry_after_cap_s:
            return None
        self._at = step.stop
        return step

    def _note(self, failure: Failure, now_s: float) -> None:
        here = self._at
        if failure.remedy == "elsewhere":
            self._closed.add(here)
            return
        wait = failure.retry_after_s
        if wait is None:
            rounds = self._rounds.get(here, 0)
            self._rounds[here] = rounds + 1
            rules = self._rules
            wait = max(rules.floor_s, self._chance() * min(rules.cap_s, rules.base_s * 2**rounds))
        self._ready[here] = now_s + wait

    def _next_primary(self, now_s: float) -> Step | None:
        if self._at >= self._primary:
            return self._best(range(self._primary), now_s)
        later = range(self._at + 1, self._primary)
        return self._best([*later, *range(self._at + 1)], now_s)

    def _best(self, stops: range | list[int], now_s: float) -> Step | None:
        """The stop that can be asked soonest; of several, the first."""
        steps = [
            Step(stop, max(0.0, self._ready.get(stop, now_s) - now_s))
            for stop in stops
            if stop not in self._closed
        ]
        return min(steps, key=lambda step: step.wait_s, default=None)
