"""`kt prices reprice`: costs of recorded requests at the prices of now."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from proxy.base.times import rfc3339
from proxy.cli.event_options import (
    ApiOption,
    FilterOption,
    StateOption,
    UntilOption,
    read_filter,
    read_moment,
)
from proxy.cli.exits import UsageError, exits, say
from proxy.cli.places import default_state_dir, environment, find_gateway

if TYPE_CHECKING:
    from proxy.prices.late import LatePrices

_STEP_S = 5.0
Step = Callable[[int, bool], dict[str, Any]]
"""From (after_seq, whether it is only told) to what the control API answers."""


@dataclass(slots=True)
class Sum:
    """What all steps did, or would do."""

    changed: int = 0
    before: Decimal = Decimal(0)
    after: Decimal = Decimal(0)
    unpriced: int = 0
    unclear: int = 0

    def add(self, step: dict[str, Any]) -> None:
        """One step more."""
        self.changed += step["changed"]
        self.unpriced += step["unpriced"]
        self.unclear += step["unclear"]
        self.before += Decimal(step["before"])
        self.after += Decimal(step["after"])


def reprice(
    since: Annotated[
        str | None,
        typer.Option(help="Only what arrived since: a span back from now such as 7d, or an RFC 3339 time."),
    ] = None,
    until: UntilOption = None,
    filter_text: FilterOption = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also requests that have a price; else only those without.")
    ] = False,
    file: Annotated[
        Path | None, typer.Option(help="Without a gateway: the policy file whose prices hold.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    api: ApiOption = None,
    state_dir: StateOption = None,
) -> None:
    """Give recorded requests the cost they have at the prices of now. Says first what would change."""
    with exits():
        asked = {
            "since": None if since is None else rfc3339(read_moment("--since", since)),
            "until": None if until is None else rfc3339(read_moment("--until", until)),
            "filter": filter_text,
            "all": every,
        }
        read_filter(filter_text)
        with _steps(api, state_dir, file, asked) as step:
            found = _all_steps(step, dry_run=True)
            for line in _told(found, every):
                say(line)
            if not found.changed or not _agreed(yes):
                return
            done = _all_steps(step, dry_run=False)
            say(f"done: {_requests(done.changed)} cost ${done.after:f} now; every figure of the past follows")


def _agreed(yes: bool) -> bool:
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("nobody can be asked here, so nothing was changed; say --yes when it is meant")
    if typer.confirm("Change their costs?", default=False):
        return True
    say("nothing was changed")
    return False


def _told(found: Sum, every: bool) -> Iterator[str]:
    if found.changed:
        yield f"{_requests(found.changed)} would cost ${found.after:f} instead of ${found.before:f}"
    else:
        yield "no request would get another cost" if every else "no request without a price would get one"
    if found.unpriced:
        yield f"{_requests(found.unpriced)} still without a price: kt prices missing names the models"
    if found.unclear:
        yield (
            f"{_requests(found.unclear)} left as they are: audio, images or an hour of cache have prices of their own "
            "there, and how much of each was used is not kept"
        )


def _requests(number: int) -> str:
    return f"{number:,} {'request' if number == 1 else 'requests'}"


def _all_steps(step: Step, *, dry_run: bool) -> Sum:
    done, after_seq = Sum(), 0
    while True:
        answer = step(after_seq, dry_run)
        done.add(answer)
        if answer["next_seq"] is None:
            return done
        after_seq = answer["next_seq"]
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done.changed:,} requests {'found' if dry_run else 'changed'} so far")
            sys.stderr.flush()


@contextmanager
def _steps(
    api: str | None, state_dir: Path | None, file: Path | None, asked: dict[str, Any]
) -> Iterator[Step]:
    env = environment()
    state = (state_dir or default_state_dir(env)).absolute()
    gateway = find_gateway(api, state, env)
    if gateway is not None:
        if file is not None:
            raise UsageError("a gateway runs here, whose own prices hold; leave --file out")
        from proxy.cli.api import Api

        client = Api(gateway)
        yield lambda after, dry_run: client.post(
            "/v1/prices/reprice",
            {**asked, "after_seq": after, "dry_run": dry_run},
            headers={"Idempotency-Key": secrets.token_hex(16)},
        )
        return
    if file is None:
        raise UsageError("no gateway runs here; name the policy file whose prices hold with --file")
    from proxy.base.times import now_ms
    from proxy.cli.own_store import own_store
    from proxy.control.price_routes import read_repricing, repriced_json

    prices, now = _prices_of(file, env), now_ms()
    with own_store(state) as own:

        def step(after: int, dry_run: bool) -> dict[str, Any]:
            wanted = read_repricing({**asked, "after_seq": after}, now)
            return repriced_json(own.run(own.store.reprice(wanted, prices, _STEP_S, dry_run=dry_run)))

        yield step


def _prices_of(path: Path, env: dict[str, str]) -> LatePrices:
    from proxy.cli.policy_snapshot import snapshot_of
    from proxy.service.data_plane_view import late_prices

    return late_prices(snapshot_of(path, env))
