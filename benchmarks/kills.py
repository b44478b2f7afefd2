"""A gateway that is killed again and again under load: is every answered request in the store, exactly once?

    python -m benchmarks.kills [--kills 30] [--clients 12] [--seed N] [--state DIR]

`kt gateway run` in front of a vendor on loopback. Clients ask without a pause, half of them for streams, and note the
`x-kt-request-id` of every answer they have read to its end. At random moments, some of them while it starts, the
gateway gets SIGKILL, and the next one is started over the same state directory. The last one is let come to rest and
stopped orderly; then the database is read. Exit code 1 when an answer is missing or doubled, when the file is not
sound, or when anything still waits in the journal.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from benchmarks.gateway_process import GatewayProcess, unaccounted
from benchmarks.upstream import Connection

REST_WITHIN_S = 30.0
KILL_AFTER_S = (0.05, 1.2)
"""Of serving."""
KILL_STARTING_S = (0.05, 0.8)
"""Of the start, for every fifth kill."""
_PAUSE_S = 0.02
_BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Where is my parcel?"}]}


@dataclass
class Noted:
    """What the clients saw."""

    answered: list[str] = field(default_factory=list)
    """Ids of answers that were read to their end."""
    cut_off: int = 0
    """Requests that were under way when the gateway died, and those it answered with an error."""
    refused: int = 0
    """Requests that found no gateway."""


@dataclass
class Verdict:
    """What is wrong; nothing when all the lists are empty and `integrity` is ok."""

    answered: int
    stored: int
    missing: list[str]
    doubled: list[str]
    integrity: str
    left: list[str]
    """What is not at rest, in words."""

    @property
    def fine(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.missing or self.doubled or self.left) and self.integrity == "ok"

    def __str__(self) -> str:
        wrong = "; ".join(self.left) or "at rest"
        return (
            f"{self.answered:,} answers noted, {self.stored:,} events stored, {len(self.missing)} missing, "
            f"{len(self.doubled)} doubled, integrity_check {self.integrity}, {wrong}"
        )


async def client(http: aiohttp.ClientSession, port: int, noted: Noted, streamed: bool) -> None:
    """Ask for ever."""
    body = {**_BODY, "stream": True} if streamed else _BODY
    while True:
        try:
            async with http.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as answer:
                data = await answer.read()
                whole = data.rstrip().endswith(b"[DONE]") if streamed else answer.status == 200
                if whole:
                    noted.answered.append(answer.headers["x-kt-request-id"])
                else:
                    noted.cut_off += 1
        except aiohttp.ClientConnectorError:
            noted.refused += 1
            await asyncio.sleep(_PAUSE_S)
        except (aiohttp.ClientError, OSError):
            noted.cut_off += 1


async def at_rest(gateway: GatewayProcess, http: aiohttp.ClientSession) -> list[str]:
    """Wait until nothing is spilled; what is wrong with the counters then, in words."""
    until = time.monotonic() + REST_WITHIN_S
    while (events := await gateway.events(http))["spilled"] and time.monotonic() < until:
        await asyncio.sleep(0.05)
    wrong = []
    if events["spilled"] or events["dropped"]:
        wrong.append(f"{events['spilled']} spilled, dropped: {events['dropped'] or 'none'}")
    if unaccounted(events):
        wrong.append(f"{unaccounted(events)} events are not accounted for")
    return wrong


def judge(state: Path, answered: list[str], left: list[str]) -> Verdict:
    """Compare what the clients noted with what the database of a stopped gateway holds."""
    with sqlite3.connect(state / "events.db") as database:
        stored = Counter(row[0] for row in database.execute("SELECT id FROM events"))
        integrity = str(database.execute("PRAGMA integrity_check").fetchone()[0])
    database.close()
    waiting = [f"{path.name} is left" for path in (state / "journal").glob("*.journal")]
    missing = [one for one in dict.fromkeys(answered) if one not in stored]
    noted = Counter(answered)
    doubled = [one for one, number in {**stored, **noted}.items() if number > 1]
    return Verdict(len(answered), sum(stored.values()), missing, doubled, integrity, left + waiting)


async def run(directory: Path, kills: int, clients: int, seed: int) -> tuple[Verdict, Noted]:
    """The whole trial."""
    source = random.Random(seed)
    vendor = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    gateway, noted = GatewayProcess(directory, vendor.sockets[0].getsockname()[1]), Noted()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        asking = [
            asyncio.create_task(client(http, gateway.data, noted, streamed=number % 2 == 1))
            for number in range(clients)
        ]
        try:
            for number in range(1, kills + 1):
                await gateway.start()
                if number % 5:
                    await gateway.serving()
                    await asyncio.sleep(source.uniform(*KILL_AFTER_S))
                else:
                    await asyncio.sleep(source.uniform(*KILL_STARTING_S))
                await gateway.end(signal.SIGKILL)
            await gateway.start()
            await gateway.serving()
            await asyncio.sleep(KILL_AFTER_S[0])
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
            vendor.close()
        try:
            left = await at_rest(gateway, http)
        finally:
            code = await gateway.end(signal.SIGTERM)
    if code:
        left.append(f"the orderly end had exit code {code}")
    return judge(gateway.state, noted.answered, left), noted


def main() -> int:
    """Run it; 0 when nothing is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2), "big"))
    parser.add_argument("--state", type=Path, help="keep everything in this new directory")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ktui-kills-") as made:
        directory = given.state or Path(made)
        directory.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        verdict, noted = asyncio.run(run(directory, given.kills, given.clients, given.seed))
    sys.stdout.write(
        f"{given.kills} kills (seed {given.seed}) in {time.monotonic() - began:.0f} s: {verdict}; "
        f"{noted.cut_off:,} requests were cut off, {noted.refused:,} found no gateway\n"
    )
    for name, ids in (("missing", verdict.missing), ("doubled", verdict.doubled)):
        for one in ids[:20]:
            sys.stdout.write(f"{name}: {one}\n")
    return 0 if verdict.fine else 1


if __name__ == "__main__":
    sys.exit(main())
