"""The guide's own jq programs and Python functions, over events of every sort."""

from __future__ import annotations

import json
import shutil
import subprocess
import types
from typing import Any

import pytest
from events_factory import make_event

from proxy.events.wire_form import event_json

A, B = "gpt-4o", "claude-sonnet-4-20250514"
_SPLIT = {"split": "ab-test-models"}
_ARM_A = {"model": A, "ab_tag": "variant-a", **_SPLIT}
_ARM_B = {"model": B, "ab_tag": "variant-b", "provider": "anthropic", **_SPLIT}
_NO_TOKENS: dict[str, Any] = {"input_tokens": None, "output_tokens": None}
_NO_COST: dict[str, Any] = {"cost_nanos": None}

EVENTS = [
    # Priced.
    make_event(**_ARM_A, latency_ms=100.0, cost_nanos=2_000_000),
    make_event(**_ARM_A, latency_ms=300.0, cost_nanos=4_000_000, input_tokens=10, output_tokens=20),
    make_event(**_ARM_B, latency_ms=500.0, cost_nanos=1),
    # Answered, without a known price; answered, without a report of its tokens.
    make_event(**{**_ARM_B, **_NO_COST}, latency_ms=700.0, cost_status="unpriced"),
    make_event(
        **{**_ARM_A, **_NO_TOKENS, **_NO_COST},
        latency_ms=200.0,
        cost_status="unpriced",
        usage_status="unknown",
    ),
    # Blocked: never went upstream.
    make_event(
        **{**_NO_TOKENS, **_NO_COST},
        model="gpt-4-turbo",
        decision="block",
        status=403,
        outcome="blocked",
        error="blocked",
        latency_ms=0.4,
        cost_status="none",
        usage_status="none",
        attempts=0,
        provider=None,
        target=None,
        policies_triggered=["block-deprecated"],
    ),
    # Failed upstream, and left by the client.
    make_event(
        **{**_ARM_B, **_NO_TOKENS, **_NO_COST},
        status=502,
        outcome="error",
        error="upstream",
        latency_ms=50.0,
        cost_status="unpriced",
        usage_status="unknown",
    ),
    make_event(
        **{**_ARM_B, **_NO_TOKENS, **_NO_COST},
        status=499,
        outcome="client_cancelled",
        latency_ms=50.0,
        cost_status="unpriced",
        usage_status="unknown",
    ),
]

AB_RESULTS = """[.[] | select(.metadata.ab_tag != null)] |
group_by(.metadata.ab_tag) |
map({
variant: .[0].metadata.ab_tag,
count: length,
avg_latency: (map(.latency_ms) | add / length),
avg_cost: (map(.cost | tonumber) | add / length),
total_cost: (map(.cost | tonumber) | add)
})"""
MODELS = "[.[].model] | unique"
COST_BY_MODEL = """group_by(.model) | map({
model: .[0].model,
requests: length,
total_cost: (map(.cost | tonumber) | add),
avg_tokens: (map(.input_tokens + .output_tokens) | add / length)
}) | sort_by(-.total_cost)"""

PYTHON = '''
import requests
API_URL = "https://api.keeptrusts.com/v1/events"
HEADERS = {"Authorization": f"Bearer {API_TOKEN}"}
def get_model_events(model, days=7):
    """Pull events for a specific model."""
    params = {
        "since": f"{days}d",
        "model": model,
        "format": "json",
        "limit": 1000
    }
    response = requests.get(API_URL, headers=HEADERS, params=params)
    response.raise_for_status()
    return response.json()
def compare_models(model_a, model_b, days=7):
    """Compare two models on key metrics."""
    events_a = get_model_events(model_a, days)
    events_b = get_model_events(model_b, days)
    def metrics(events):
        latencies = [e["latency_ms"] for e in events]
        costs = [float(e["cost"]) for e in events]
        return {
            "count": len(events),
            "avg_latency_ms": sum(latencies) / len(latencies) if latencies else 0,
            "p99_latency_ms": sorted(latencies)[int(len(latencies) * 0.99)] if latencies else 0,
            "avg_cost": sum(costs) / len(costs) if costs else 0,
            "total_cost": sum(costs),
        }
    return {
        model_a: metrics(events_a),
        model_b: metrics(events_b),
    }
'''


def jq(program: str) -> Any:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    body = json.dumps([event_json(event) for event in EVENTS])
    done = subprocess.run(["jq", program], input=body, capture_output=True, text=True, check=True, timeout=20)
    return json.loads(done.stdout)


def test_results_of_an_ab_test() -> None:
    a, b = jq(AB_RESULTS)
    assert (a["variant"], a["count"]) == ("variant-a", 3)
    assert a["avg_latency"] == pytest.approx(200.0)
    assert a["total_cost"] == pytest.approx(0.006)
    assert a["avg_cost"] == pytest.approx(0.002)
    assert (b["variant"], b["count"]) == ("variant-b", 4)
    assert b["avg_latency"] == pytest.approx(325.0)
    assert b["total_cost"] == pytest.approx(1e-9)


def test_distinct_models() -> None:
    assert jq(MODELS) == [B, "gpt-4-turbo", A]


def test_cost_by_model() -> None:
    rows = jq(COST_BY_MODEL)
    assert [(row["model"], row["requests"]) for row in rows] == [(A, 3), (B, 4), ("gpt-4-turbo", 1)]
    assert rows[0]["total_cost"] == pytest.approx(0.006)
    assert rows[0]["avg_tokens"] == pytest.approx((1_100 + 30 + 0) / 3)
    assert rows[1]["avg_tokens"] == pytest.approx(2_200 / 4)
    assert (rows[2]["total_cost"], rows[2]["avg_tokens"]) == (0, 0)


class _Answer:
    def __init__(self, body: str) -> None:
        self._body = body

    def raise_for_status(self) -> None:
        return None

    def json(self) -> Any:
        return json.loads(self._body)


def _get(url: str, headers: dict[str, str], params: dict[str, Any]) -> _Answer:
    assert params["format"] == "json"
    chosen = [event_json(event) for event in EVENTS if event.model == params["model"]]
    return _Answer(json.dumps(chosen[: params["limit"]]))


def test_the_python_script(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = types.ModuleType("requests")
    fake.get = _get  # type: ignore[attr-defined]
    monkeypatch.setitem(__import__("sys").modules, "requests", fake)
    space: dict[str, Any] = {"API_TOKEN": "token"}
    exec(PYTHON, space)
    found = space["compare_models"](A, B)
    assert found[A]["count"] == 3
    assert found[A]["avg_latency_ms"] == pytest.approx(200.0)
    assert found[A]["p99_latency_ms"] == 300.0
    assert found[A]["total_cost"] == pytest.approx(0.006)
    assert found[A]["avg_cost"] == pytest.approx(0.002)
    assert found[B]["count"] == 4
    assert found[B]["p99_latency_ms"] == 700.0
    assert found[B]["total_cost"] == pytest.approx(1e-9)
    assert space["compare_models"]("nobody's", A)["nobody's"]["count"] == 0
