"""Whatever is written into a parameter, an id, a header or a body of the control API of a real gateway, nothing happens.

Routes and parameters are those of the document that the gateway serves, so none can be forgotten.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from control_support import Running, gateway, until
from injections import SAID_BY_SQL, fingerprint, without_echo
from yarl import URL

from proxy.base.ids import uuid7
from proxy.base.sanitise import sanitise
from proxy.base.times import now_ms
from proxy.control.auth import AT_HEADER
from proxy.events.errors import StoreError
from proxy.events.event import Bodies, Body, Event
from proxy.events.sqlite_reader import EventReader

COUNT = 30
STOLEN = "stolen.db"
PAYLOADS = (
    "'", "\\", "\x00", "' OR '1'='1' --", "\") OR (\"1\"=\"1", "1 OR 1=1", "x'; DROP TABLE events; --", "1; DELETE FROM events",
    "' UNION SELECT sql,2,3 FROM sqlite_master --", "1 UNION ALL SELECT seq FROM events", "'||(SELECT group_concat(id) FROM events)||'",
    "' OR randomblob(1000000000) --", "1 AND (WITH RECURSIVE r(i) AS (SELECT 1 UNION ALL SELECT i FROM r) SELECT max(i) FROM r)",
    f"'; ATTACH DATABASE '{{here}}/{STOLEN}' AS s; CREATE TABLE s.t AS SELECT * FROM events; --", f"'; VACUUM INTO '{{here}}/{STOLEN}'; --",
    "load_extension('/tmp/x.so')", "writefile('{here}/stolen.db', 'x')", "'; PRAGMA journal_mode=DELETE; --", "CASE WHEN 1 THEN id END DESC",
    "../../events.db", "....//....//etc/passwd", "/etc/passwd\x00.json", "file:{here}/state/events.db?mode=rwc", "C:\\..\\events.db",
    "a\r\nX-Injected: 1\r\n\r\nHTTP/1.1 200 OK", "\r\nSet-Cookie: a=1", "%27%20OR%201%3D1", "%2527", "?1", "$1", ":seq", "{{7*7}}", "${{jndi:x}}",
    "\u02bc OR 1=1", "\uff07 OR 1=1", "\udc80", "\ufffe", "\u202e", "\U0010ffff", "\x1b[2J", "0x10", "1e309", "-1", "NaN", "9" * 40, "9" * 30 + "d",
    "9" * 400 + "w", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "9999-99-99", "((((((((((((((((" * 30, "variant:" + "a," * 1_500 + "a", "not " * 17 + "x", "a" * 5_000,
)  # fmt: skip
# Moments that there have been and will be; whatever is asked of them is few rows or none.
FAR = ("0001-01-01", "9999-12-31", "106751991167d", "1d", "1h")
FREE = frozenset({"model", "provider", "decision", "tag", "filter"})
"""Parameters in which any text has a meaning: nothing is found."""


def some_event(number: int) -> Event:
    return Event(
        id=uuid7(), timestamp_ms=now_ms() - (COUNT - number) * 60_000, endpoint="chat", requested_model="gpt-4o",
        model="gpt-4o", decision="allow", status=200, outcome="ok", latency_ms=float(number), attempts=1, provider="openai",
        target="openai", error="o'brien" if number % 2 else None, ab_tag="variant-a", split="ab", cost_nanos=7,
        cost_status="priced", policies_triggered=["ab"], bodies=Bodies(Body(b"{}", 2), None),
    )  # fmt: skip


@dataclass
class Answer:
    status: int
    text: str
    headers: dict[str, str]


@dataclass
class Client:
    """Sends what no well-behaved client would."""

    session: aiohttp.ClientSession
    base: str

    async def ask(self, target: str, method: str = "GET", **more: Any) -> Answer:
        """The answer; of a stream, which has no end, the beginning."""
        async with self.session.request(method, URL(self.base + target, encoded=True), **more) as answer:
            endless = answer.status == 200 and target.partition("?")[0].endswith("/stream")
            text = (await (answer.content.readany() if endless else answer.read())).decode()
            headers = dict(answer.headers)
            if endless:
                answer.close()
        return Answer(answer.status, text, headers)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with gateway(tmp_path) as found:
        store = found.service.hub.store
        for number in range(COUNT):
            store.append(some_event(number))
        await until(lambda: store.counters().stored == COUNT)
        yield found


@pytest.fixture
async def client(running: Running) -> AsyncIterator[Client]:
    headers = {"Authorization": f"Bearer {running.token}"}
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
        yield Client(session, running.api)


def said(payload: str, here: Path) -> str:
    """`payload` as it goes over the wire, percent-encoded."""
    return quote(filled(payload, here).encode("utf-8", "surrogatepass"), safe="")


def filled(payload: str, here: Path) -> str:
    return payload.replace("{here}", str(here))


def files(here: Path) -> set[str]:
    return {str(path.relative_to(here)) for path in here.rglob("*")}


async def at_once(jobs: Sequence[Callable[[], Awaitable[str | None]]]) -> list[str]:
    """What the jobs complain of; eight of them run at a time."""
    left = iter(jobs)
    found: list[str] = []

    async def work() -> None:
        for job in left:
            if (complaint := await job()) is not None:
                found.append(complaint)

    await asyncio.gather(*(work() for _ in range(8)))
    return found


def complaint(answer: Answer, payload: str, allowed: Sequence[int], most: int) -> str | None:
    """What is wrong with an answer."""
    if answer.status not in allowed:
        return f"status {answer.status}: {answer.text[:200]}"
    if "X-Injected" in answer.headers or "Set-Cookie" in answer.headers:
        return "a header was injected"
    if SAID_BY_SQL.search(without_echo(answer.text, payload)):
        return f"words of the database: {answer.text[:300]}"
    if len(answer.text) > most:
        return f"{len(answer.text)} characters, honest were {most}: {answer.text[:200]}"
    if answer.status >= 400:
        error = json.loads(answer.text)["error"]
        # What is no HTTP at all the listener refuses, whose errors are those of the data plane.
        if set(error) not in ({"code", "message", "where"}, {"code", "message", "type", "param"}) or error[
            "message"
        ] != sanitise(error["message"]):
            return f"not an error of ours: {answer.text[:200]}"
    return None


@dataclass(frozen=True)
class Place:
    """Where something can be written: `target` has `{}` there, `name` says what it is."""

    target: str
    name: str
    header: str = ""


def honest(schema: dict[str, Any]) -> str:
    return str(schema.get("enum", ["x"])[0])


def places(document: dict[str, Any]) -> Iterator[Place]:
    """Every path and query parameter of every GET route."""
    for path, methods in document["paths"].items():
        if "get" not in methods:
            continue
        given = methods["get"]["parameters"]
        in_path = [item["name"] for item in given if item["in"] == "path"]
        needed = [
            f"{item['name']}={honest(item['schema'])}"
            for item in given
            if item["in"] == "query" and item["required"]
        ]
        plain = path
        for name in in_path:
            yield Place(path.replace(f"{{{name}}}", "{}"), name)
            plain = plain.replace(f"{{{name}}}", "x")
        for name in [item["name"] for item in given if item["in"] == "query"]:
            rest = [item for item in needed if not item.startswith(f"{name}=")]
            yield Place(f"{plain}?{'&'.join([*rest, name + '={}'])}", name)
        if methods["get"].get("security") != []:
            yield Place(f"{plain}?{'&'.join(needed)}", AT_HEADER, AT_HEADER)  # fmt: skip


async def test_every_parameter_of_every_route(running: Running, client: Client, tmp_path: Path) -> None:
    document = json.loads((await client.ask("/v1/openapi.json")).text)
    found = list(places(document))
    assert len(found) > 60 and {"filter", "at", "metric", "window", "id", "hash", AT_HEADER} <= {
        place.name for place in found
    }
    before, there = fingerprint(running.state), files(tmp_path)
    plain: dict[str, int] = {}
    for place in found:
        path = place.target.partition("?")[0]
        if path not in plain:
            needed = "&".join(part for part in place.target.partition("?")[2].split("&") if "{}" not in part)
            plain[path] = len((await client.ask(f"{path.replace('{}', 'x')}?{needed}")).text)

    def job(place: Place, payload: str) -> Callable[[], Awaitable[str | None]]:
        async def ask() -> str | None:
            path = place.target.partition("?")[0]
            if place.header:
                sent = filled(payload, tmp_path)
                answer = await client.ask(place.target, headers={place.header: sent})
            else:
                answer = await client.ask(place.target.replace("{}", said(payload, tmp_path)))
            most = 10**6 if payload in FAR else plain[path] + 4 * len(payload) + 500
            allowed = (
                [400, 403, 404, 409, 422]
                if place.name in ("id", "hash", "name")
                else [200, 400, 404, 409, 422]
            )
            wrong = complaint(answer, filled(payload, tmp_path), allowed, most)
            if (
                wrong is None
                and path == "/v1/events"
                and answer.status == 200
                and payload not in FAR
                and answer.text != "[]\n"
            ):
                wrong = f"rows: {answer.text[:200]}"
            if (
                wrong is None
                and answer.status == 200
                and not place.header
                and place.name not in FREE
                and payload not in FAR
            ):
                wrong = "taken for something"
            return None if wrong is None else f"{place} {payload[:60]!r}: {wrong}"

        return ask

    jobs = [
        job(place, payload)
        for place in found
        for payload in (*PAYLOADS, *FAR)
        if not place.header or (payload.isascii() and payload.isprintable())
    ]
    assert await at_once(jobs) == []
    assert fingerprint(running.state) == before and before[0] == [("ok",)] and len(before[2]) == COUNT
    unharmed(running, tmp_path, before, there)


def unharmed(running: Running, here: Path, before: tuple[Any, ...], there: set[str]) -> None:
    """The store is sound and the same, and no file is new but those of the journal, which comes and goes."""
    after = fingerprint(running.state)
    assert after == before and after[0] == [("ok",)] and len(after[2]) == COUNT
    assert {name for name in files(here) - there if "/journal/" not in name} == set()


async def test_a_store_that_cannot_be_read_is_said(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> Any:
        raise StoreError("cannot read the event store")

    targets = {
        place.target.partition("?")[0].replace("{}", "x")
        for place in places(json.loads((await client.ask("/v1/openapi.json")).text))
    }
    for name in ("rows", "rollups"):
        monkeypatch.setattr(EventReader, name, broken)
    answers = {
        target: await client.ask(target + "?metric=requests" * target.endswith("/series"))
        for target in sorted(targets)
    }
    found = {target: answer.status for target, answer in answers.items()}
    assert set(found.values()) <= {200, 400, 404, 503}, found
    assert {"/v1/events/x", "/v1/events/x/body", "/v1/prices", "/v1/cost"} <= {
        target for target, answer in answers.items() if "cannot read the event store" in answer.text
    }


WAYS = (
    "filter=%27%20OR%201%3D1", "filter=%2527+OR+1", "filter=%ff%fe", "filter=%ED%A0%80", "filter=%c0%a7", "filter=%u0027", "filter=%", "filter=%zz",
    "filter[]=model:x", "filter[$ne]=", "filter", "filter=", "filter=a&filter=b", "filter=model:none;limit=1", "FILTER=x", "%66ilter=model:none",
    "limit=1%20UNION%20SELECT%201", "limit=+1", "limit=1.0", "limit=1e3", "limit=%31%00", "limit=\u0661", "limit=1,1", "limit=999999999999999999",
    "limit=9999999999999999999", "after_seq=999999999999999999", "before_seq=0", "after_seq=5&before_seq=5", "fields=", "fields=id,,id", "fields=*",
    "fields=__class__", "fields=metadata.__dict__", "fields=" + "id," * 3_000, "format=../json", "order=newest,oldest", "order=", "unknown=None",
    "since=1d&until=2d", "since=", "at=-1d", "x" * 8_000, "&".join(f"a{number}=1" for number in range(2_000)), "__proto__=1", "%00=1",
)  # fmt: skip


@pytest.mark.parametrize("path", ["/v1/events", "/v1/events/search", "/v1/events/stream"])
async def test_ways_to_write_a_query(running: Running, client: Client, tmp_path: Path, path: str) -> None:
    before, there = fingerprint(running.state), files(tmp_path)
    most = len((await client.ask("/v1/events")).text) + 500

    def job(way: str) -> Callable[[], Awaitable[str | None]]:
        async def ask() -> str | None:
            answer = await client.ask(f"{path}?{way}")
            wrong = complaint(answer, way, (200, 400, 414), most + 10 * len(way))
            return None if wrong is None else f"{way[:80]}: {wrong}"

        return ask

    assert await at_once([job(way) for way in WAYS]) == []
    unharmed(running, tmp_path, before, there)


async def test_a_link_to_the_next_page_carries_no_header(client: Client) -> None:
    text = "not 'a\r\nX-Injected: 1\r\n\r\n<b>'"
    answer = await client.ask(f"/v1/events?limit=1&filter={quote(text, safe='')}")
    assert answer.status == 200 and len(json.loads(answer.text)) == 1 and "X-Injected" not in answer.headers
    link = answer.headers["Link"]
    assert link.count("<") == 1 and "%0D%0AX-Injected" in link
    following = await client.ask(link[1 : link.index(">")])
    assert following.status == 200 and json.loads(following.text)[0]["id"] != json.loads(answer.text)[0]["id"]


PATHS = (
    "..", ".", "%2e%2e", "%2e%2e%2f%2e%2e%2fetc%2fpasswd", "..%5c..%5cevents.db", "..%2f..%2fstate%2fevents.db", "%00", "x%00.json", "%ff", "%c0%af",
    "%ED%A0%80", "%0d%0aX-Injected:%201", "*", "%25", "%", "a" * 7_000, "fe' OR '1'='1", "1 UNION SELECT 1", "events.db-wal", "%3Fid=1", "%23",
)  # fmt: skip


async def test_ways_to_write_an_id(running: Running, client: Client, tmp_path: Path) -> None:
    before, there = fingerprint(running.state), files(tmp_path)
    document = json.loads((await client.ask("/v1/openapi.json")).text)
    targets = [
        place.target for place in places(document) if place.name in ("id", "hash") and not place.header
    ]
    assert len(targets) >= 4
    wrong = []
    for target in targets:
        for path in PATHS:
            answer = await client.ask(target.replace("{}", path.replace(" ", "%20")))
            if (
                found := complaint(answer, path, (400, 403, 404, 405, 414), 10_000 + 4 * len(path))
            ) is not None:
                wrong.append((target, path[:60], found))
    assert wrong == []
    unharmed(running, tmp_path, before, there)


ODD_VALUES: tuple[Any, ...] = (None, True, -1, 1e308, 2**63, 2**64, [], {}, [[]], {"$ne": ""}, {"": 1}, ["a", "b"])  # fmt: skip


def bodies(document: dict[str, Any]) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """(method, path, property, honest body) of everything that takes a body; a purge would only count."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "requestBody" not in operation:
                continue
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            base: dict[str, Any] = {
                name: honest(schema["properties"][name]) for name in schema.get("required", ())
            }
            base |= {"dry_run": True} if "dry_run" in schema["properties"] else {}  # so that nothing goes
            for name in (*schema["properties"], "nosuch"):
                yield method.upper(), path, name, base


async def test_every_field_of_every_body(running: Running, client: Client, tmp_path: Path) -> None:
    before, there = fingerprint(running.state), files(tmp_path)
    text = running.policy.read_text()
    document = json.loads((await client.ask("/v1/openapi.json")).text)
    found = list(bodies(document))
    assert {"/v1/feedback", "/v1/events/purge", "/v1/events/{id}/feedback"} <= {
        path for _, path, _, _ in found
    }

    def job(
        method: str, path: str, body: dict[str, Any], payload: Any
    ) -> Callable[[], Awaitable[str | None]]:
        async def ask() -> str | None:
            target = path.replace("{id}", "x").replace("{name}", "x")
            answer = await client.ask(target, method, json=body)
            wrong = complaint(
                answer,
                filled(str(payload), tmp_path),
                (200, 400, 404, 409, 413, 422, 428),
                20_000 + 20 * len(str(body)),
            )
            if wrong is None and path.endswith("/purge") and answer.status == 200:
                wrong = (
                    None
                    if json.loads(answer.text)["events"] == 0 or not isinstance(payload, str)
                    else f"would remove {answer.text}"
                )
            return None if wrong is None else f"{method} {path} {str(body)[:100]}: {wrong}"

        return ask

    jobs = [
        job(
            method,
            path,
            {**base, name: filled(payload, tmp_path) if isinstance(payload, str) else payload},
            payload,
        )
        for method, path, name, base in found
        for payload in (*PAYLOADS, *ODD_VALUES)
        if not (name == "dry_run" and payload in (False, None))
    ]
    assert await at_once(jobs) == []
    unharmed(running, tmp_path, before, there)
    assert running.policy.read_text() == text


async def test_feedback_is_kept_as_it_was_said(running: Running, client: Client, tmp_path: Path) -> None:
    before, there = fingerprint(running.state), files(tmp_path)
    event = json.loads((await client.ask("/v1/events?limit=1")).text)[0]["id"]
    wrong, taken = [], 0
    for number, payload in enumerate(PAYLOADS):
        said = filled(payload, tmp_path)
        for field in ("label", "comment"):
            key = said if said.isascii() and said.isprintable() and len(said) < 190 else "key"
            more = {"json": {field: said}, "headers": {"Idempotency-Key": f"{field}{number}{key}"}}
            answer = await client.ask(f"/v1/events/{event}/feedback", "POST", **more)
            if answer.status == 201:
                taken += 1
                if json.loads(answer.text)[field] != said:
                    wrong.append((field, said, answer.text))
            elif (found := complaint(answer, said, (400,), 20_000)) is not None:
                wrong.append((field, said, found))
    assert wrong == [] and taken > len(PAYLOADS)
    kept = json.loads((await client.ask(f"/v1/events/{event}")).text)["feedback"]
    texts = {filled(payload, tmp_path) for payload in PAYLOADS}
    assert len(kept) > 1 and all(item["label"] in texts or item["comment"] in texts for item in kept)
    unharmed(running, tmp_path, before, there)
