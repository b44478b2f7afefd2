"""The promise of the split: right shares, the same user to the same variant, nobody moved back."""

from __future__ import annotations

import asyncio
import math

import aiohttp
from e2e_support import Running, Vendor, split_policy

USERS = 5_000
Z_999 = 3.2905  # two-sided 99.9 % of the normal distribution


async def variants_of(gateway: Running, users: range, rounds: int) -> list[dict[int, str]]:
    """The variant each user got, per round; `rounds` requests a user."""
    results: list[dict[int, str]] = [{} for _ in range(rounds)]
    waiting = iter([(r, u) for r in range(rounds) for u in users])

    async def worker(session: aiohttp.ClientSession) -> None:
        for round_, user in waiting:
            body = {"model": "gpt-4o", "user": f"u-{user}", "messages": [{"role": "user", "content": "hi"}]}
            async with session.post(f"{gateway.data}/v1/chat/completions", json=body) as answer:
                assert answer.status == 200, await answer.text()
                results[round_][user] = answer.headers["x-kt-variant"]

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=32)) as session:
        await asyncio.gather(*(worker(session) for _ in range(32)))
    return results


async def test_share_is_right_and_sticky_and_raising_moves_nobody_back(
    gateway: Running, vendor: Vendor
) -> None:
    first, second = await variants_of(gateway, range(USERS), rounds=2)
    assert first == second
    in_b = {user for user, variant in first.items() if variant == "variant-b"}
    margin = Z_999 * math.sqrt(0.05 * 0.95 / USERS)
    assert abs(len(in_b) / USERS - 0.05) <= margin

    async with gateway.control() as control:
        answer = await control.put(
            "/v1/splits/ab-test-models/weights",
            json={"weights": {"variant-a": 70, "variant-b": 30}},
            headers={"If-Match": "*"},
        )
        assert answer.status_code == 200, answer.text
    assert gateway.policy.read_text() == split_policy(vendor.url, 70, 30)

    (third,) = await variants_of(gateway, range(USERS), rounds=1)
    now_in_b = {user for user, variant in third.items() if variant == "variant-b"}
    assert in_b <= now_in_b
    assert abs(len(now_in_b) / USERS - 0.30) <= Z_999 * math.sqrt(0.3 * 0.7 / USERS)
