"""The benchmark of the replay runs, and every one of its requests can be told."""

from __future__ import annotations

from pathlib import Path

import pytest


async def test_the_benchmark_replays_all_its_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    from benchmarks.impact import measure

    took = await measure(60, 1)
    assert len(took) == 2
    assert all(whole >= inside > 0 for whole, inside in took)
