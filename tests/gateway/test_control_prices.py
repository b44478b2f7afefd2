"""Prices over the control API: what is known, and what was answered without a known cost."""

from __future__ import annotations

from pathlib import Path

from control_support import gateway, vendor

UNPRICED = (
    "providers:\n  targets:\n"
    "    - {{id: local, provider: openai-compatible, base_url: '{url}', models: [tiny]}}\n"
    "    - {{id: openai, base_url: '{url}', models: [gpt-4o], secret_key_ref: {{env: OPENAI_API_KEY}}}}\n"
)


async def test_prices_and_the_requests_without_a_cost(tmp_path: Path) -> None:
    async with vendor() as url, gateway(tmp_path, UNPRICED.format(url=url)) as running:
        await running.ask(3, "tiny")
        await running.ask(2, "gpt-4o")
        async with running.control() as control:
            found = (await control.get("/v1/prices?since=1h")).json()
            by_model = {row["model"]: row for row in found["prices"]}
            assert (by_model["gpt-4o"]["input"], by_model["gpt-4o"]["target"]) == ("2.5", "openai")
            assert by_model["tiny"]["source"] is None and by_model["tiny"]["input"] is None
            assert found["unpriced"] == [{"target": "local", "model": "tiny", "requests": 3}]
            bad = await control.get("/v1/prices?since=never")
            assert bad.status_code == 400 and bad.json()["error"]["where"] == "since"


async def test_the_sum_of_the_events_is_what_the_prices_say(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running:
        await running.ask(40)
        async with running.control() as control:
            prices = {row["model"]: row for row in (await control.get("/v1/prices")).json()["prices"]}
            events = (await control.get("/v1/events?since=1h")).json()
    assert len(events) == 40
    for event in events:
        price = prices[event["model"]]
        # 12 tokens in, 5 out; prices are dollars per million, so the product is in millionths.
        expected = 12 * float(price["input"]) + 5 * float(price["output"])
        assert abs(float(event["cost"]) * 1e6 - expected) < 1e-6
