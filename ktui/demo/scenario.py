"""The script of the demo: it moves a rollout through its phases, with time compressed, by the call a slider makes."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import aiohttp

from proxy.base.secret import Secret

SPEED = 7_200
"""How many seconds of the plan pass in one: a canary of three days takes 36 s."""
LOOK_EVERY_S = 0.5


def badge(speed: float) -> str:
    """What the header says of it."""
    return f"demo ×{speed:g}"


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a split stands: its live phase, the next one, and how long the live one is planned to hold."""

    split: str
    phase: str | None
    next_phase: str | None
    hold_s: float | None
    off_plan: bool

    @classmethod
    def of(cls, split: dict[str, Any]) -> Stage:
        """From the control API's view of a split."""
        phases, live = split["phases"], split["phase"]
        index = next((i for i, phase in enumerate(phases) if phase["name"] == live), None)
        following = phases[index + 1]["name"] if index is not None and index + 1 < len(phases) else None
        hold = phases[index]["duration_s"] if index is not None else None
        return cls(split["name"], live, following, hold, bool(split["off_plan"]))


class Script:
    """When to move on. Weights changed by hand leave the plan: then it waits until they are back on it."""

    def __init__(self, speed: float = SPEED) -> None:
        self._speed = speed
        self._phase: str | None = None
        self._since_s = 0.0

    def next_phase(self, stage: Stage, now_s: float) -> str | None:
        """The phase to promote to now, or None to wait. A phase that somebody else began is held from then on."""
        if stage.off_plan:
            self._phase = None
            return None
        if stage.phase != self._phase:
            self._phase, self._since_s = stage.phase, now_s
        if stage.next_phase is None or stage.hold_s is None:
            return None
        return stage.next_phase if now_s - self._since_s >= stage.hold_s / self._speed else None


class Scenario:
    """Plays the script against a control API."""

    def __init__(self, api: str, token: Secret, *, speed: float = SPEED) -> None:
        self._api = api.rstrip("/")
        self._token = token
        self._script = Script(speed)

    async def run(self) -> None:
        """Until cancelled. A gateway that does not answer is asked again."""
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        timeout = aiohttp.ClientTimeout(total=10)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout, trust_env=False) as session:
            while True:
                try:
                    await self._look(session)
                except (aiohttp.ClientError, TimeoutError, KeyError, ValueError):
                    # Not there yet, going away, or answering with an error: the next look tells.
                    await asyncio.sleep(LOOK_EVERY_S)
                await asyncio.sleep(LOOK_EVERY_S)

    async def _look(self, session: aiohttp.ClientSession) -> None:
        async with session.get(f"{self._api}/v1/status") as answer:
            answer.raise_for_status()
            status = await answer.json()
        split = next((split for split in status["splits"] if split["enabled"] and split["phases"]), None)
        if split is None:
            return
        stage = Stage.of(split)
        following = self._script.next_phase(stage, asyncio.get_running_loop().time())
        if following is not None:
            await self._promote(session, stage, following, status["config"]["hash"])

    async def _promote(
        self, session: aiohttp.ClientSession, stage: Stage, phase: str, base_hash: str
    ) -> None:
        body = {"phase": phase, "through": "demo", "why": f"the demo's script: {stage.phase} has been held"}
        # A change made since the look is a conflict, and then nothing is written.
        async with session.put(
            f"{self._api}/v1/splits/{quote(stage.split, safe='')}/weights",
            json=body,
            headers={"If-Match": f'"{base_hash}"'},
        ) as answer:
            await answer.read()
