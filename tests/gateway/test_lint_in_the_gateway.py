"""A gateway hands lint what it knows of prices and of the traffic it has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from control_support import Running, gateway, split_policy, until_answer, vendor

from proxy.events.recent_units import ENOUGH

BUDGET = "  - {name: budget, type: cost_limit, limit_usd: 5}\n"
OTHERS = "  - name: filler-%d\n    type: log\n    conditions: {user: someone-%d}\n"


async def told(running: Running, text: str) -> set[tuple[str, str]]:
    async with running.control() as control:
        answer: dict[str, Any] = (await control.post("/v1/policy/lint", json={"text": text})).json()
    return {(item["code"], item["path"]) for item in answer["diagnostics"]}


async def test_unpriced_models_under_a_limit_are_told(tmp_path: Path) -> None:
    async with vendor() as url, gateway(tmp_path, split_policy(url)) as running:
        text = split_policy(url).replace("claude-sonnet-4-20250514", "gpt-in-house") + BUDGET
        assert ("no-price", "policies[name=ab-test-models].variants[tag=variant-b].model") in await told(
            running, text
        )
        assert not {code for code, _ in await told(running, split_policy(url) + BUDGET)} & {"no-price"}


async def test_a_unit_that_traffic_never_carries_is_told_also_of_a_long_draft(tmp_path: Path) -> None:
    async with vendor() as url:
        text = split_policy(url, 100, 0) + "    unit: [header:x-team, user]\n"
        async with gateway(tmp_path, text) as running:
            assert "unit-not-seen" not in {code for code, _ in await told(running, text)}
            assert all(answer.status_code == 200 for answer in await running.ask(ENOUGH))

            async def unseen() -> set[tuple[str, str]]:
                return {item for item in await told(running, text) if item[0] == "unit-not-seen"}

            expected = {("unit-not-seen", "policies[name=ab-test-models].unit[0]")}
            assert await until_answer(unseen) == expected
            long = text + "".join(OTHERS % (number, number) for number in range(110))
            assert long.count("\n") > 300
            assert {item for item in await told(running, long) if item[0] == "unit-not-seen"} == expected
