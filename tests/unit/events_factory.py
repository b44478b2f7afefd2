"""Events for tests, and waiting for what a store does in the background."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from proxy.base.ids import uuid7
from proxy.events.event import Event

T0 = 1_760_000_000_000
"""A moment, in milliseconds, at the start of a ten-second span."""


def make_event(**changes: Any) -> Event:
    # An id is only drawn when none is given: a strategy must not use the random module.
    values: dict[str, Any] = {
        "id": changes["id"] if "id" in changes else uuid7(),
        "timestamp_ms": T0,
        "endpoint": "chat",
        "requested_model": "gpt-4o",
        "model": "gpt-4o",
        "decision": "allow",
        "status": 200,
        "outcome": "ok",
        "latency_ms": 412.5,
        "provider": "openai",
        "target": "openai",
        "input_tokens": 1_000,
        "output_tokens": 100,
        "usage_status": "reported",
        "cost_nanos": 3_500_000,
        "cost_status": "priced",
        "attempts": 1,
    }
    return Event(**{**values, **changes})


async def until(condition: Callable[[], bool], within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.005)
