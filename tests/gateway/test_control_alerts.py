"""Alerts of the policy file: requests fire them, and everybody who asks is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from control_support import Running, gateway, split_policy, until_answer, vendor
from test_control_kt import kt

ALERTS = """\
events:
  alerts:
    - {name: many-a, filter: "variant:a", more_than: 3, within: 1h}
    - {name: b-share, filter: "variant:b", more_than_percent: 90, within: 1h}
"""


async def alerts(running: Running) -> dict[str, Any]:
    async with running.control() as control:
        return {one["name"]: one for one in (await control.get("/v1/status")).json()["alerts"]}


async def test_the_log_tells_by_itself(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with vendor() as url, gateway(tmp_path, ALERTS + split_policy(url, 100, 0)) as running:
        await running.ask(4)

        async def told() -> bool:
            return "alert many-a: 4 in 1h, more than 3: variant:a" in caplog.messages

        await until_answer(told)


async def test_requests_fire_an_alert_and_status_metrics_and_doctor_tell(tmp_path: Path) -> None:
    async with vendor() as url, gateway(tmp_path, ALERTS + split_policy(url, 100, 0)) as running:
        assert [one["firing"] for one in (await alerts(running)).values()] == [False, False]
        code, out, _ = await kt(tmp_path, "doctor", "--state-dir", running.state)
        assert code == 0 and "✓ alert     many-a: 0 in 1h, limit 3" in out
        answers = await running.ask(4)
        told = (await alerts(running))["many-a"]
        assert told["firing"] and told["since"] and (told["requests"], told["of"]) == (4, 4)
        assert told["newest"] == answers[-1].headers["x-kt-request-id"]
        assert not (await alerts(running))["b-share"]["firing"], "no share is taken of four requests"
        async with running.control() as control:
            text = (await control.get("/metrics")).text
        assert 'ktui_alert_firing{alert="many-a"} 1.0' in text
        assert 'ktui_alert_requests{alert="b-share"} 0.0' in text
        code, out, _ = await kt(tmp_path, "doctor", "--state-dir", running.state)
        assert code == 1 and "✗ alert     many-a: 4 in 1h, limit 3; since " in out


async def test_a_new_rule_and_a_new_process_count_what_the_store_holds(tmp_path: Path) -> None:
    async with vendor() as url:
        async with gateway(tmp_path, split_policy(url, 100, 0)) as running:
            await running.ask(5)
            new = {"text": ALERTS + split_policy(url, 100, 0)}
            async with running.control() as control:
                answer = await control.put("/v1/config", json=new, headers={"If-Match": "*"})
                assert answer.status_code == 200

            async def fired() -> bool:
                return bool((await alerts(running))["many-a"]["requests"] == 5)

            await until_answer(fired)
            await running.ask(1)
            assert (await alerts(running))["many-a"]["requests"] == 6
        async with gateway(tmp_path, ALERTS + split_policy(url, 100, 0)) as running:

            async def again() -> bool:
                return bool((await alerts(running))["many-a"]["requests"] == 6)

            await until_answer(again)


async def test_a_filter_that_cannot_be_read_is_refused_where_it_stands(tmp_path: Path) -> None:
    async with vendor() as url, gateway(tmp_path, split_policy(url)) as running, running.control() as control:
        text = ALERTS.replace('"variant:a"', '"varient:a"') + split_policy(url)
        answer = await control.put("/v1/config", json={"text": text}, headers={"If-Match": "*"})
        assert answer.status_code == 422
        found = answer.json()["diagnostics"][0]
        assert (found["code"], found["line"], found["path"]) == (
            "alert-filter",
            3,
            "events.alerts[name=many-a].filter",
        )
        assert "did you mean variant?" in found["message"]
