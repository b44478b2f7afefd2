"""Simulated applications: a stable population of users whose requests go to the gateway over real connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Any

import aiohttp

from ktui.demo.words import prose, task

REQUESTS_PER_S = 7.0
POPULATION = 3_000
_FIRST_USER = 20_000
_MOST_IN_FLIGHT = 256
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Use:
    """One kind of use the applications make of the gateway."""

    name: str
    share: float
    model: str
    streamed: float
    """Share of these requests that ask for a stream."""
    prompt_words: tuple[int, int]
    max_tokens: tuple[int, int] | None = None


USES = (
    Use("assist", 0.62, "gpt-4o", 0.75, (380, 1_500)),
    Use("report", 0.04, "gpt-4o", 0.30, (900, 1_700), (2_048, 4_096)),
    Use("classify", 0.295, "gpt-4o", 0.25, (250, 460), (64, 256)),
    Use("legacy", 0.03, "gpt-4-turbo", 0.50, (400, 900)),
    Use("curious", 0.015, "o1-pro", 0.50, (120, 300)),
)


def chat_request(random: Random) -> dict[str, Any]:
    """The body of one request."""
    use = random.choices(USES, weights=[use.share for use in USES])[0]
    body: dict[str, Any] = {
        "model": use.model,
        "user": user_name(random),
        "messages": [
            {"role": "system", "content": "You help the people of a shop. Be brief and exact."},
            {
                "role": "user",
                "content": f"{task(random)}\n\n{prose(random, random.randint(*use.prompt_words))}",
            },
        ],
    }
    if use.max_tokens is not None:
        body["max_tokens"] = random.randint(*use.max_tokens)
    if random.random() < use.streamed:
        body["stream"] = True
    return body


def user_name(random: Random) -> str:
    """Some users come often, most of them seldom."""
    return f"u-{_FIRST_USER + int(POPULATION * random.random() ** 1.6)}"


class Traffic:
    """Poisson arrivals at `rate` per second, each a task of its own, so that a slow answer delays no other request.

    `counts`: answers by status, and `broken` for those that broke off.
    """

    def __init__(self, url: str, *, rate: float = REQUESTS_PER_S, seed: int | None = None) -> None:
        self.counts: Counter[str] = Counter()
        self._url = f"{url.rstrip('/')}/v1/chat/completions"
        self._rate = rate
        self._random = Random(None if seed is None else f"{seed}:traffic")
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled; then what is in flight is cut off."""
        timeout = aiohttp.ClientTimeout(total=_PATIENCE_S)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector, trust_env=False) as session:
            try:
                await self._arrivals(session)
            finally:
                for request in self._running:
                    request.cancel()
                await asyncio.gather(*self._running, return_exceptions=True)

    async def _arrivals(self, session: aiohttp.ClientSession) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due += self._random.expovariate(self._rate)
            await asyncio.sleep(max(0.0, due - loop.time()))
            if len(self._running) >= _MOST_IN_FLIGHT:
                continue
            request = loop.create_task(self._one(session, chat_request(self._random)))
            self._running.add(request)
            request.add_done_callback(self._running.discard)

    async def _one(self, session: aiohttp.ClientSession, body: dict[str, Any]) -> None:
        try:
            async with session.post(self._url, json=body) as answer:
                async for _chunk in answer.content.iter_any():
                    continue
                self.counts[str(answer.status)] += 1
        except (aiohttp.ClientError, TimeoutError, OSError):
            self.counts["broken"] += 1
