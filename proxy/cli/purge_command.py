"""`kt events purge`: remove events, or only what was said in them."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from proxy.base.times import rfc3339
from proxy.cli.event_options import ApiOption, FilterOption, StateOption, read_filter, read_moment
from proxy.cli.exits import UsageError, exits, say
from proxy.cli.places import default_state_dir, environment, find_gateway

if TYPE_CHECKING:
    from proxy.cli.api import Api
    from proxy.cli.own_store import OwnStore
    from proxy.events.purge import Purge

_STEP_S = 5.0


@dataclass(frozen=True, slots=True)
class Step:
    """What a step removed, or what all of them would."""

    events: int
    bodies: int
    more: bool = False
    traces: bool = False


def purge(
    bodies: Annotated[
        bool, typer.Option("--bodies", help="Only what was asked and answered; the events stay.")
    ] = False,
    before: Annotated[
        str | None,
        typer.Option(help="Only what arrived before: a span back from now such as 7d, or an RFC 3339 time."),
    ] = None,
    filter_text: FilterOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Remove events with their bodies and feedback, or with --bodies only the bodies. Says first how many; cannot be undone."""
    with exits():
        before_ms = None if before is None else read_moment("--before", before)
        read_filter(filter_text)
        with _purger(api, state_dir, bodies, before_ms, filter_text) as purger:
            found = purger.count()
            number = found.bodies if bodies else found.events
            if not number:
                say(f"nothing to remove: {_subject(bodies, before_ms, filter_text, purger.place)}")
                return
            say(f"{_amount(found, bodies)}: {_subject(bodies, before_ms, filter_text, purger.place)}")
            if not yes and not sys.stdin.isatty():
                raise UsageError(
                    "nobody can be asked here, so nothing was removed; say --yes when it is meant"
                )
            if not yes and not typer.confirm("Remove for good?", default=False):
                say("nothing was removed")
                return
            done = _all_steps(purger, number, bodies)
            kept = "the events stay" if bodies else "the figures of the past stay"
            say(f"removed {_amount(done, bodies)}; {kept}")
            if done.traces:
                say(
                    "a read under way keeps older pages on disk; run the command again later to empty the log"
                )


def _all_steps(purger: Purger, number: int, bodies: bool) -> Step:
    events = removed = 0
    while True:
        step = purger.remove()
        events, removed = events + step.events, removed + step.bodies
        if not step.more:
            return Step(events, removed, traces=step.traces)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{(removed if bodies else events):,} of {number:,} removed")
            sys.stderr.flush()


def _amount(step: Step, bodies: bool) -> str:
    if bodies:
        return f"the bodies of {_counted(step.bodies, 'request')}"
    return f"{_counted(step.events, 'event')}, {step.bodies:,} of them with bodies"


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _subject(bodies: bool, before_ms: int | None, filter_text: str | None, place: str) -> str:
    which = [
        f"arrived before {rfc3339(before_ms)}" if before_ms is not None else None,
        f"{filter_text}" if filter_text else None,
    ]
    told = " and ".join(part for part in which if part) or "everything there is"
    return f"{told}, in {place}"


class Purger(Protocol):
    """Counts and removes. `place`: where."""

    place: str

    def count(self) -> Step:
        """What would be removed."""

    def remove(self) -> Step:
        """Remove for a few seconds."""


@contextmanager
def _purger(
    api: str | None, state_dir: Path | None, bodies: bool, before_ms: int | None, filter_text: str | None
) -> Iterator[Purger]:
    env = environment()
    state = (state_dir or default_state_dir(env)).absolute()
    gateway = find_gateway(api, state, env)
    if gateway is not None:
        from proxy.cli.api import Api

        asked = {
            "what": "bodies" if bodies else "events",
            "before": None if before_ms is None else rfc3339(before_ms),
            "filter": filter_text,
        }
        yield ApiPurger(Api(gateway), asked, gateway.api)
        return
    from proxy.cli.own_store import own_store
    from proxy.events.purge import Purge

    where = read_filter(filter_text)
    with own_store(state) as own:
        yield StorePurger(own, state, Purge("bodies" if bodies else "events", before_ms, where))


class ApiPurger:
    """Through the gateway, which alone writes while it runs."""

    def __init__(self, api: Api, asked: dict[str, Any], place: str) -> None:
        self._api = api
        self._asked = asked
        self.place = place

    def count(self) -> Step:
        """See Purger."""
        return Step(**self._api.post("/v1/events/purge", {**self._asked, "dry_run": True}))

    def remove(self) -> Step:
        """See Purger."""
        key = {"Idempotency-Key": secrets.token_hex(16)}
        return Step(**self._api.post("/v1/events/purge", self._asked, headers=key))


class StorePurger:
    """In the store itself, whose lock is held."""

    def __init__(self, own: OwnStore, state: Path, purge: Purge) -> None:
        self._own = own
        self._purge = purge
        self.place = str(state)

    def count(self) -> Step:
        """See Purger."""
        found = self._own.run(self._own.store.count_purge(self._purge))
        return Step(found.events, found.bodies)

    def remove(self) -> Step:
        """See Purger."""
        done = self._own.run(self._own.store.purge(self._purge, _STEP_S))
        return Step(done.removed.events, done.removed.bodies, done.more, done.traces)
