"""How long it takes to replay a draft over recorded requests: `python -m benchmarks.impact [--events 10000]`.

The events are made by the gateway's own engine from requests of every sort, stored in a store of their own; the
replay is what POST /v1/policy/impact does, in the same worker process.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from proxy.base.ids import uuid7
from proxy.base.times import now_ms
from proxy.base.worker import Worker
from proxy.control.jobs import ImpactWanted, clean_plan, impact, portable
from proxy.events.event import Event
from proxy.events.sqlite_store import SqliteEventStore
from proxy.policy.facts import RequestFacts
from proxy.policy.lint import Surroundings
from proxy.policy.plan import Plan
from proxy.policy.recorded import arrival, kept_facts

RUNS = """
events: {keep_headers: [x-team]}
policies:
  - {name: allowed, type: model_filter, allowed_models: [gpt-*, claude-*]}
  - {name: gold, type: log, severity: warn, conditions: {metadata: {tier: gold}}}
  - name: ab
    type: traffic_split
    variants: [{model: gpt-4o, weight: 95, tag: a}, {model: claude-sonnet-4-5, weight: 5, tag: b}]
"""
DRAFT = """
policies:
  - {name: no-mini, type: model_filter, blocked_models: ["*-mini"], conditions: {header: {x-team: "s*"}}}
  - {name: short, type: model_filter, preferred_model: gpt-4o-mini, conditions: {max_tokens_lt: 200, has_tools: false}}
  - {name: gold, type: log, severity: warn, conditions: {metadata: {tier: [gold, silver]}, user: staff-1}}
  - name: ab
    type: traffic_split
    conditions: {prompt_chars_lt: 4000, after: 2020-01-01}
    variants: [{model: gpt-4o, weight: 60, tag: a}, {model: claude-sonnet-4-5, weight: 40, tag: b}]
"""


def facts(random_: random.Random, plan: Plan, at_ms: int) -> RequestFacts:
    """A request such as a team's services send."""
    pick = random_.choice
    headers = {"x-team": pick(["search", "sales", "ops"])} if random_.random() < 0.5 else {}
    return RequestFacts(
        endpoint="chat",
        requested_model=pick(["gpt-4o", "gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5"]),
        arrived=arrival(at_ms),
        draw=random_.getrandbits(64),
        max_tokens=pick([None, 100, 800]),
        prompt_chars=random_.randrange(10, 8_000),
        stream=random_.random() < 0.5,
        has_tools=random_.random() < 0.2,
        user=pick([None, f"u-{random_.randrange(2_000)}"]),
        key="web",
        headers=headers,
        metadata=pick([{}, {"tier": "gold"}, {"tier": "free"}]),
    )


def event(random_: random.Random, plan: Plan, at_ms: int) -> Event:
    """What the gateway records of such a request."""
    asked = facts(random_, plan, at_ms)
    decision = plan.decide(asked)
    chosen = decision.assignment
    tokens: dict[str, Any] = {
        "input_tokens": random_.randrange(50, 3_000),
        "output_tokens": random_.randrange(900),
    }
    return Event(
        id=uuid7(),
        timestamp_ms=at_ms,
        endpoint="chat",
        requested_model=asked.requested_model,
        model=decision.model,
        decision=decision.action,
        status=200,
        outcome="ok",
        latency_ms=400.0,
        stream=asked.stream,
        provider="openai",
        target="openai",
        usage_status="reported",
        cost_nanos=tokens["input_tokens"] * 2_500,
        cost_status="priced",
        attempts=1,
        key=asked.key,
        policies_triggered=list(decision.triggered),
        split=chosen.split if chosen else None,
        ab_tag=chosen.tag if chosen else None,
        unit_kind=chosen.unit_kind if chosen else None,
        unit_digest=chosen.unit_digest if chosen else None,
        salt=chosen.salt if chosen else None,
        draw=asked.draw,
        facts=kept_facts(asked, plan, {}),
        config_version=plan.version,
        **tokens,
    )


async def fill(state: Path, count: int, surroundings: Surroundings) -> None:
    """A store with `count` events."""
    random_, plan, now = random.Random(1), clean_plan(RUNS, surroundings)[1], now_ms()
    store = SqliteEventStore(state / "events.db", state / "journal")
    await store.start()
    for number in range(count):
        store.append(event(random_, plan, now - (count - number) * 1_000))
        if number % 200 == 0:
            await asyncio.sleep(0)
    await store.close()


async def measure(count: int, rounds: int) -> list[tuple[float, float]]:
    """Milliseconds of each round: asked by the gateway until answered, and of the replay in the worker."""
    surroundings = portable(Surroundings(env={}, today=datetime.now(UTC).date()))
    worker, took = Worker(), []
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        await fill(state, count, surroundings)
        try:
            for _ in range(rounds + 1):
                began = time.perf_counter()
                answer = await worker.run(
                    impact, state / "events.db", ImpactWanted(DRAFT, count), surroundings
                )
                took.append(((time.perf_counter() - began) * 1e3, float(answer["took_ms"])))
                if answer["requests"] != count or answer["cannot_tell"]:
                    raise SystemExit(f"{answer['requests']} replayed, {answer['reasons']}")
        finally:
            await worker.close()
    return took


def main() -> None:
    """Measure and say it; exit 1 when a warm replay takes a second or more per 10,000 events."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    took = asyncio.run(measure(chosen.events, chosen.rounds))
    warm = [whole for whole, _ in took[1:]]
    print(f"{chosen.events} events, {chosen.rounds} warm rounds, milliseconds from question to answer")
    print(f"first, with the start of the process: {took[0][0]:.0f}")
    print(f"warm: median {statistics.median(warm):.0f}, worst {max(warm):.0f}")
    sys.exit(1 if statistics.median(warm) >= chosen.events / 10 else 0)


if __name__ == "__main__":
    main()
