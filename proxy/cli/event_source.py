"""Where the commands about events read them: the control API, or the store itself when no gateway runs."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from proxy.cli.event_options import no_store
from proxy.cli.exits import ProblemError
from proxy.cli.places import default_state_dir, environment, find_gateway

if TYPE_CHECKING:
    from proxy.cli.api import Api
    from proxy.events.sqlite_reader import EventReader
    from proxy.events.store import EventQuery

Record = dict[str, Any]
SHORTEST_PREFIX = 6
"""Characters of an id that are taken for one: they begin with the time, so fewer fit thousands."""
_ALIKE = 5
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Asked:
    """Which events. Texts as they were given; the filter was read before, so that it is known to be sound."""

    since: str | None = None
    until: str | None = None
    model: str | None = None
    filter: str | None = None
    limit: int | None = None
    oldest: bool = False
    unknown_null: bool = True

    def parameters(self) -> dict[str, str]:
        """For the API."""
        given = {"since": self.since, "until": self.until, "model": self.model, "filter": self.filter}
        found = {name: value for name, value in given.items() if value is not None}
        if self.limit is not None:
            found["limit"] = str(self.limit)
        if self.oldest:
            found["order"] = "oldest"
        return {**found, "unknown": "null" if self.unknown_null else "zero"}

    def query(self) -> EventQuery:
        """For the store."""
        from proxy.base.times import now_ms, parse_moment
        from proxy.events.filter import parse
        from proxy.events.store import EventQuery

        now = now_ms()
        return EventQuery(
            since_ms=None if self.since is None else parse_moment(self.since, now),
            until_ms=None if self.until is None else parse_moment(self.until, now),
            model=self.model,
            where=None if self.filter is None else parse(self.filter, now),
            limit=self.limit,
            ascending=self.oldest,
            keep_oldest=self.oldest,
        )


@dataclass(frozen=True, slots=True)
class Detail:
    """All that is known of one event."""

    event: Record
    """As `GET /v1/events/{id}` answers it."""
    bodies: Record | None = None
    no_bodies: str | None = None
    """Why there are none, where they were asked for."""


class Source(Protocol):
    """Every failure is a ProblemError with one sentence."""

    def events(self, asked: Asked) -> Iterator[Record]:
        """The events asked for, newest first unless `oldest`."""

    def detail(self, event_id: str, with_bodies: bool) -> Detail:
        """One event by its whole id."""


def event_source(api: str | None, state_dir: Path | None) -> Source:
    """The gateway that is meant, else the store of the state directory. Raises UsageError when there is neither."""
    env = environment()
    state = state_dir or default_state_dir(env)
    gateway = find_gateway(api, state, env)
    if gateway is not None:
        from proxy.cli.api import Api

        return ApiSource(Api(gateway))
    path = state / "events.db"
    if not path.exists():
        raise no_store(state)
    return StoreSource(path)


def whole_id(source: Source, given: str) -> str:
    """The only event id that begins with `given`. Raises ProblemError when there is none, or more than one."""
    wanted = given.strip().lower()
    if len(wanted) >= 36 or not wanted or not set(wanted) <= set("0123456789abcdef-"):
        return given.strip()
    if len(wanted) < SHORTEST_PREFIX:
        raise ProblemError(
            f"{given!r} is too short for an id: give at least {SHORTEST_PREFIX} characters of it"
        )
    found = list(source.events(Asked(filter=f"id:{wanted}", limit=_ALIKE + 1)))
    if not found:
        raise ProblemError(f"there is no event whose id begins with {wanted}")
    if len(found) > 1:
        names = ", ".join(record["id"] for record in found[:_ALIKE])
        rest = ", ..." if len(found) > _ALIKE else ""
        raise ProblemError(f"several ids begin with {wanted}: {names}{rest}")
    return str(found[0]["id"])


class ApiSource:
    """Through the control API."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def events(self, asked: Asked) -> Iterator[Record]:
        """See Source."""
        with self._api.stream("/v1/events", {**asked.parameters(), "format": "jsonl"}) as answer:
            for line in answer.iter_lines():
                if line:
                    yield json.loads(line)

    def detail(self, event_id: str, with_bodies: bool) -> Detail:
        """See Source."""
        from proxy.cli.api import RefusedError

        path = f"/v1/events/{quote(event_id, safe='')}"
        try:
            event = self._api.get(path, {"unknown": "null"})
        except RefusedError as error:
            if error.status == 404:
                raise ProblemError(f"there is no event {event_id}") from None
            raise
        if not with_bodies:
            return Detail(event)
        try:
            return Detail(event, self._api.get(f"{path}/body"))
        except RefusedError as error:
            if error.code == "no_bodies":
                return Detail(event, None, error.message)
            raise


class StoreSource:
    """Out of the store, which is only read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def events(self, asked: Asked) -> Iterator[Record]:
        """See Source."""
        from proxy.events.event import Event
        from proxy.events.sqlite_reader import EventReader
        from proxy.events.wire_form import event_json

        reader = EventReader(self._path)
        with _told(), asyncio.Runner() as loop:
            events = reader.query(asked.query())

            async def some() -> list[Event]:
                page: list[Event] = []
                async for event in events:
                    page.append(event)
                    if len(page) == _AT_ONCE:
                        break
                return page

            try:
                while page := loop.run(some()):
                    for event in page:
                        yield event_json(event, asked.unknown_null)
            finally:
                loop.run(reader.close())

    def detail(self, event_id: str, with_bodies: bool) -> Detail:
        """See Source."""
        from proxy.events.sqlite_reader import EventReader

        async def read() -> Detail:
            reader = EventReader(self._path)
            try:
                return await _read(reader, event_id, with_bodies)
            finally:
                await reader.close()

        with _told():
            return asyncio.run(read())


async def _read(reader: EventReader, event_id: str, with_bodies: bool) -> Detail:
    from proxy.control.body_routes import body_json, why_none
    from proxy.control.feedback_routes import feedback_json
    from proxy.events.wire_form import event_json

    event = await reader.get(event_id)
    if event is None:
        raise ProblemError(f"there is no event {event_id}")
    said = [feedback_json(item) for item in await reader.feedback_of(event_id)]
    record = {**event_json(event, unknown_null=True), "attempt_log": event.attempt_log, "feedback": said}
    if not with_bodies:
        return Detail(record)
    found = await reader.bodies_of(event_id)
    if found is None or found.bodies is None:
        return Detail(record, None, why_none(found) if found is not None else None)
    sides = {"request": found.bodies.request, "response": found.bodies.response}
    return Detail(record, {name: body_json(side) for name, side in sides.items()})


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong in the store, in one sentence."""
    from proxy.events.errors import StoreError

    try:
        yield
    except StoreError as error:
        raise ProblemError(str(error)) from None
