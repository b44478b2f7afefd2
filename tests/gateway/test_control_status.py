"""The state of the gateway in one answer, over real traffic."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from control_support import SPLIT, Running, gateway

BUDGET = "  - {name: budget, type: cost_limit, limit_usd: 50, window: day, action: block}\n"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with gateway(tmp_path) as found:
        yield found


@pytest.fixture
async def control(running: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with running.control() as client:
        yield client


async def test_the_status_of_a_fresh_gateway_knows_no_zeros(
    running: Running, control: httpx.AsyncClient
) -> None:
    status = (await control.get("/v1/status")).json()
    gateway_ = status["gateway"]
    assert (gateway_["state"], gateway_["reason"], gateway_["pid"]) == ("serving", None, os.getpid())
    assert gateway_["listen"] == running.data.removeprefix("http://")
    assert gateway_["api"] == running.api.removeprefix("http://")
    assert status["config"]["short"] == status["config"]["hash"][:7]
    assert status["config"]["through"] == "start"
    traffic = status["traffic"]
    assert (traffic["requests"], traffic["error_rate"], traffic["latency_ms"]) == (0, None, None)
    assert traffic["cost_per_min"] is None and len(traffic["recent_per_s"]) == 8
    (split,) = status["splits"]
    assert [arm["observed_share"] for arm in split["arms"]] == [None, None]
    assert status["events"]["total"] == 0 and status["events"]["last_timestamp"] is None


async def test_traffic_shows_in_the_status(running: Running, control: httpx.AsyncClient) -> None:
    answers = await running.ask(30)
    assert {answer.status_code for answer in answers} == {200}
    in_b = sum(answer.headers["x-kt-variant"] == "variant-b" for answer in answers)
    status = (await control.get("/v1/status")).json()
    assert (status["traffic"]["requests"], status["traffic"]["error_rate"]) == (30, 0.0)
    assert 0 < status["traffic"]["latency_ms"]["p50"] <= status["traffic"]["latency_ms"]["p99"]
    assert float(status["traffic"]["cost_per_min"]) > 0
    (split,) = status["splits"]
    arms = {arm["tag"]: arm for arm in split["arms"]}
    assert arms["variant-b"]["observed_units"] == in_b
    assert arms["variant-a"]["requests"] + arms["variant-b"]["requests"] == 30
    assert sum(arm["observed_share"] for arm in split["arms"]) == pytest.approx(100)
    events = status["events"]
    assert events["accepted"] == events["stored"] == events["total"] == events["last_seq"] == 30
    assert (events["spilled"], events["dropped"]) == (0, {})


async def test_new_weights_begin_the_observed_shares_anew_and_mark_the_charts(
    running: Running, control: httpx.AsyncClient
) -> None:
    await running.ask(5)
    body = {"weights": {"variant-a": 50, "variant-b": 50}}
    await control.put(f"/v1/splits/{SPLIT}/weights", json=body, headers={"If-Match": "*"})
    (split,) = (await control.get("/v1/splits")).json()["splits"]
    assert [arm["requests"] for arm in split["arms"]] == [0, 0]
    assert split["observed_since"] is not None
    series = (await control.get("/v1/metrics/series?metric=requests&window=5m")).json()
    assert [marker["label"] for marker in series["markers"]] == ["v2"]


async def test_what_is_not_enforced_and_which_target_cannot_be_used_is_said(tmp_path: Path) -> None:
    text = "policies:\n" + BUDGET
    async with (
        gateway(tmp_path, text, env={"OPENAI_API_KEY": "sk-canary"}) as running,
        running.control() as control,
    ):
        status = (await control.get("/v1/status")).json()
        assert status["config"]["not_enforced"] == [{"policy": "budget", "type": "cost_limit", "line": 2}]
        assert any(item["line"] == 2 for item in status["config"]["warnings"])
        targets = {target["id"]: target for target in status["targets"]}
        assert (targets["openai"]["available"], targets["openai"]["reason"]) == (True, None)
        assert targets["anthropic"]["available"] is False
        assert "ANTHROPIC_API_KEY" in targets["anthropic"]["reason"]
        assert (await control.get("/v1/targets")).json()["targets"] == status["targets"]
        for path in ("/v1/status", "/v1/targets", "/v1/models", "/v1/config"):
            assert "sk-canary" not in (await control.get(path)).text


async def test_models_are_those_a_client_can_name(control: httpx.AsyncClient) -> None:
    assert {"gpt-4o", "claude-sonnet-4-20250514"} <= set((await control.get("/v1/models")).json()["models"])


async def test_summary_and_series(running: Running, control: httpx.AsyncClient) -> None:
    await running.ask(10)
    assert (await control.get("/v1/metrics/summary?window=5m")).json()["requests"] == 10
    series = (
        await control.get("/v1/metrics/series?metric=latency_p95&group_by=variant&window=15m&step=10s")
    ).json()
    assert (series["metric"], series["unit"], series["step_s"]) == ("latency_p95", "ms", 10)
    assert len(series["times"]) == 90 and series["from"] < series["to"]
    assert {line["split"] for line in series["series"]} == {SPLIT}
    for line in series["series"]:
        assert (len(line["values"]) == 90 and line["values"][-1] is None) or line["window_value"] > 0
        assert None in line["values"], "where nothing happened there is no zero"
    assert series["series"][0]["group"] == "variant-a"


@pytest.mark.parametrize(
    "path",
    [
        "/v1/metrics/summary?window=0s",
        "/v1/metrics/summary?window=abc",
        "/v1/metrics/summary?window=900d",
        "/v1/metrics/series",
        "/v1/metrics/series?metric=nothing",
        "/v1/metrics/series?metric=requests&group_by=colour",
        "/v1/metrics/series?metric=requests&step=-1s",
        "/v1/metrics/series?metric=requests&window=99999999999999999999d",
    ],
)
async def test_bad_parameters_are_400_with_a_sentence(control: httpx.AsyncClient, path: str) -> None:
    answer = await control.get(path)
    assert answer.status_code == 400 and answer.json()["error"]["where"], answer.text
