"""What was spent: the API, `kt events stats` and plain SQL over the events agree to the last digit."""

from __future__ import annotations

import json
import random
import sqlite3
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from control_support import Running, gateway, until
from test_control_kt import kt

from proxy.base.ids import uuid7
from proxy.events.event import Event
from proxy.events.rollups.cells import DAY_MS, HOUR_MS
from proxy.policy.lint import lint

pytestmark = pytest.mark.timeout(90)

COLUMNS = {"model": "model", "provider": "provider", "target": "target", "variant": "ab_tag", "key": "key"}
KINDS = (("priced", True), ("estimated", True), ("unpriced", False), ("none", False))
CHEAPER = """policies:
  - {name: only-these, type: model_filter, allowed_models: [gpt-4o, gpt-4o-mini, gpt-4-turbo]}
  - {name: simple, type: model_filter, conditions: {max_tokens_lte: 10}, preferred_model: gpt-4o-mini}
"""


def random_event(dice: random.Random, now: int) -> Event:
    status, has_cost = dice.choice(KINDS)
    tag = dice.choice([None, "variant-a", "variant-b"])
    return Event(
        id=uuid7(),
        timestamp_ms=now - dice.randrange(6 * DAY_MS),
        endpoint="chat",
        requested_model="gpt-4o",
        model=dice.choice(["gpt-4o", "gpt-4o-mini", "llama"]),
        decision="allow",
        status=200,
        outcome=dice.choice(["ok", "ok", "error", "blocked", "truncated"]),
        latency_ms=dice.uniform(1, 5_000),
        provider=dice.choice([None, "openai", "anthropic"]),
        target=dice.choice([None, "openai"]),
        input_tokens=dice.choice([None, dice.randrange(9_000)]),
        output_tokens=dice.choice([None, dice.randrange(900)]),
        cost_nanos=dice.randrange(10**10) if has_cost else None,
        cost_status=status,  # type: ignore[arg-type]
        policies_triggered=dice.choice([[], ["simple"], ["simple", "only-these"]]),
        split="ab" if tag else None,
        ab_tag=tag,
        salt=dice.choice(["", "2"]) if tag else None,
        key=dice.choice([None, "ci", "web"]),
        attempts=1,
        quality_score=dice.choice([None, dice.random()]),
    )


async def put(running: Running, events: list[Event]) -> None:
    store = running.service.hub.store
    stored = store.counters().stored
    for one in events:
        store.append(one)
    await until(lambda: store.counters().stored >= stored + len(events))


def by_sql(store: Path, column: str, since_s: int) -> dict[str, tuple[Any, ...]]:
    with sqlite3.connect(store) as connection:
        rows = connection.execute(
            f"SELECT {column}, count(*), sum(outcome = 'ok'), sum(cost_status = 'unpriced'), "
            "sum(coalesce(cost_nanos, 0)), sum(CASE WHEN cost_status = 'estimated' THEN cost_nanos ELSE 0 END), "
            "sum(coalesce(input_tokens, 0)), sum(coalesce(output_tokens, 0)), sum(quality_score IS NOT NULL) "
            f"FROM events WHERE timestamp_ms >= ? AND {column} IS NOT NULL GROUP BY 1",
            (since_s * 1_000,),
        ).fetchall()
    return {name: (*counts[:3], *(Decimal(n).scaleb(-9) for n in counts[3:5]), *counts[5:]) for name, *counts in rows}  # fmt: skip


def figures(row: dict[str, Any]) -> tuple[Any, ...]:
    return (
        row["requests"],
        row["succeeded"],
        row["unpriced"],
        Decimal(row["spend"]),
        Decimal(row["estimated_spend"]),
        row["input_tokens"],
        row["output_tokens"],
        row["scored"],
    )


async def test_cost_stats_and_sql_agree_also_beyond_what_is_folded(tmp_path: Path) -> None:
    dice = random.Random(5)
    async with gateway(tmp_path) as running, running.control() as control:
        now = running.service.hub.clock_ms()
        # All are asked in the same minute.
        running.service.hub.clock_ms = lambda: now
        await put(running, [random_event(dice, now) for _ in range(400)])
        before = (await control.get("/v1/cost?window=5d")).json()
        # What comes now is not folded yet: a read counts it itself.
        await put(running, [random_event(dice, now) for _ in range(50)])
        answers = {
            name: (await control.get(f"/v1/cost?window=5d&group_by={name}")).json() for name in COLUMNS
        }
        policy = (await control.get("/v1/cost?window=5d&group_by=policy")).json()
        since = answers["model"]["from"]
        stats = await kt(
            tmp_path, "events", "stats", "--by", "model", "--format", "json",
            "--since", f"{_rfc(since)}", "--state-dir", running.state,
        )  # fmt: skip
    store = running.state / "events.db"
    whole = by_sql(store, "'all'", since)["all"]
    assert before["total"]["requests"] < whole[0] < 450
    for name, column in COLUMNS.items():
        found = answers[name]
        assert found["from"] == since
        assert figures(found["total"]) == whole
        assert {row["group"]: figures(row) for row in found["groups"]} == by_sql(store, column, since)
        for row in found["groups"]:
            assert sum(map(Decimal, row["trend"])) == Decimal(row["spend"])
        assert sum(map(Decimal, found["spend"]["values"])) == whole[3]
    assert sum(row["share"] for row in answers["model"]["groups"]) == pytest.approx(1)
    told = {row["group"]: row for row in json.loads(stats[1])}
    for row in answers["model"]["groups"]:
        assert Decimal(told[row["group"]]["cost"]) == Decimal(row["spend"])
        assert told[row["group"]]["requests"] == row["requests"]
    assert policy["overlap"] and {row["share"] for row in policy["groups"]} == {None}
    assert sum(row["requests"] for row in policy["groups"]) > policy["total"]["requests"] * 0.8


def _rfc(seconds: int) -> str:
    from proxy.base.times import rfc3339

    return rfc3339(seconds * 1_000)


async def test_measures_are_what_they_say(tmp_path: Path) -> None:
    def one(**changes: Any) -> Event:
        values: dict[str, Any] = {
            "id": uuid7(), "timestamp_ms": now, "endpoint": "chat", "requested_model": "m", "model": "m",
            "decision": "allow", "status": 200, "outcome": "ok", "latency_ms": 1.0, "attempts": 1,
        }  # fmt: skip
        return Event(**{**values, **changes})

    async with gateway(tmp_path) as running, running.control() as control:
        now = running.service.hub.clock_ms()
        await put(
            running,
            [
                one(cost_nanos=3_000_000, cost_status="priced", input_tokens=900, output_tokens=100, quality_score=0.5),
                one(cost_nanos=1_000_000, cost_status="estimated", input_tokens=1_000, output_tokens=0, outcome="error"),
                one(model="free", cost_status="unpriced", input_tokens=5),
            ],
        )  # fmt: skip
        answer = (await control.get("/v1/cost?window=1h")).json()
        bad = await control.get("/v1/cost?group_by=phase")
    priced, free = answer["groups"]
    assert (priced["per_request"], priced["per_success"]) == ("0.002", "0.004")
    assert (priced["per_1k_tokens"], priced["per_quality"]) == ("0.002", "0.004")
    assert priced["estimated_spend"] == "0.001" and not priced["at_least"] and priced["share"] == 1
    assert priced["output_per_input"] == pytest.approx(100 / 1_900)
    assert (free["spend"], free["per_request"], free["share"], free["unpriced"]) == (None, None, None, 1)
    assert answer["total"]["per_request"] == "0.002", "of the requests whose cost is known"
    assert answer["total"]["spend"] == "0.004" and answer["total"]["at_least"]
    assert answer["unpriced_models"] == [{"model": "free", "requests": 1}]
    assert answer["calendar"]["today"] == answer["calendar"]["month_so_far"] == "0.004"
    assert answer["calendar"]["projection"]["basis"] == "too_early"
    assert answer["calendar"]["yesterday"] is None, "nothing was recorded then, which is not the sum 0"
    assert answer["calendar"]["first"] == now // 60_000 * 60
    assert bad.status_code == 400 and "group_by must be one of" in bad.text


async def test_a_past_moment_knows_nothing_of_what_came_later(tmp_path: Path) -> None:
    dice = random.Random(1)
    async with gateway(tmp_path) as running, running.control() as control:
        now = running.service.hub.clock_ms()
        await put(running, [random_event(dice, now) for _ in range(100)])
        then = await control.get(
            "/v1/cost?window=30d", headers={"x-kt-at": _rfc((now - 3 * DAY_MS) // 1_000)}
        )
        answer = then.json()
    with sqlite3.connect(running.state / "events.db") as connection:
        count = connection.execute(
            "SELECT count(*) FROM events WHERE timestamp_ms < ?", (answer["to"] * 1_000,)
        ).fetchone()[0]
    assert 0 < answer["total"]["requests"] == count < 100
    assert sum(row["requests"] for row in answer["groups"]) == count
    assert answer["calendar"]["now"] == (now - 3 * DAY_MS) // 1_000


async def test_advice_is_what_the_impact_of_its_draft_says(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        text = running.policy.read_text().partition("policies:")[0] + CHEAPER
        await control.put("/v1/config", json={"text": text}, headers={"If-Match": "*"})
        await running.ask(30)
        await running.ask(25, model="gpt-4-turbo")
        answer = (await control.get("/v1/cost/advice?window=1d")).json()
        findings = answer["findings"]
        first = next(one for one in findings if one["kind"] == "short" and one["model"] == "gpt-4-turbo")
        impact = (await control.post("/v1/policy/impact", json={"text": first["text"]})).json()
        config = (await control.get("/v1/config")).json()
    assert answer["requests"] == 55 and answer["complete"]
    assert config["text"] == text, "advice applies nothing"
    savings = [Decimal(one["saving"]["high"]) for one in findings]
    assert savings == sorted(savings, reverse=True) and savings[-1] > 0 and len(findings) <= 5
    assert {(one["kind"], one["model"]) for one in findings} >= {
        ("short", "gpt-4o"),
        ("short", "gpt-4-turbo"),
    }
    assert (first["requests"], first["to"], first["verdict"]) == (25, "gpt-4o-mini", "no_data")
    assert first["saving_per_week"] is None, "a minute of traffic says nothing of a week"
    fired = {item["policy"]: item["would_fire"] for item in impact["policies"]}
    assert fired[first["policy"]] == impact["changed"] == 25
    assert -Decimal(impact["cost"]["difference"]) == Decimal(first["saving"]["high"])


async def test_a_week_is_reckoned_from_a_day_of_traffic(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        text = running.policy.read_text().partition("policies:")[0] + CHEAPER
        await control.put("/v1/config", json={"text": text}, headers={"If-Match": "*"})
        now = running.service.hub.clock_ms()
        facts = {"has_tools": False, "has_images": False, "prompt_chars": 90, "units": {}}
        await put(
            running,
            [
                Event(
                    id=uuid7(), timestamp_ms=now - n * HOUR_MS, endpoint="chat", requested_model="gpt-4-turbo",
                    model="gpt-4-turbo", decision="allow", status=200, outcome="ok", latency_ms=1.0, attempts=1,
                    input_tokens=1_000, output_tokens=100, cost_nanos=13_000_000, facts=facts,
                    cost_status="estimated" if n % 2 else "priced", quality_score=0.5,
                )
                for n in range(48)
            ],
        )  # fmt: skip
        findings = (await control.get("/v1/cost/advice?window=7d")).json()["findings"]
        at = {"x-kt-at": _rfc((now - 24 * HOUR_MS) // 1_000)}
        then = (await control.get("/v1/cost/advice?window=7d", headers=at)).json()
    short = next(one for one in findings if one["kind"] == "short")
    low, high = (Decimal(short["saving"][end]) for end in ("low", "high"))
    assert then["requests"] in (23, 24), "at that moment the later half had not come"
    assert high == 2 * low > 0, "half of them cost what was estimated"
    week = Decimal(short["saving_per_week"]["high"])
    assert high * Decimal("3.4") < week < high * Decimal("3.7")
    assert short["quality"]["now"] == {"mean": 0.5, "scored": 48}
    ending = [one for one in findings if one["kind"] == "ending"]
    assert [one["ends"] for one in ending] == ["2026-10-23"]


def test_a_draft_of_advice_lints_clean() -> None:
    """The name and the conditions are spelled so that the schema reads them as what they are."""
    from datetime import date

    from proxy.control.cost_advice import Kind, _draft
    from proxy.policy.lint import Surroundings

    conditions = {"model": "gpt-4o", "prompt_chars_lt": "2000", "has_tools": "false"}
    text = _draft(CHEAPER, "cheaper-short-gpt-4o", Kind("short", "gpt-4o", (), conditions), "gpt-4o-mini")
    result = lint(text, Surroundings(env={}, today=date(2026, 6, 1)))
    assert result.policy_file is not None, result.diagnostics
    spec = result.policy_file.policies[0]
    assert spec.conditions is not None and spec.conditions.has_tools is False
    assert spec.conditions.prompt_chars_lt == 2_000
