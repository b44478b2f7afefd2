"""The state of the gateway at an earlier moment: what ran then, and what traffic looked like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from proxy.base.worker import WorkerError
from proxy.control.hub import Hub
from proxy.control.jobs import DraftError, clean_plan, portable
from proxy.control.problems import ApiError
from proxy.control.status import Past, not_enforced_json, splits_json
from proxy.events.arrivals import read_arrivals
from proxy.events.errors import StoreError
from proxy.events.live_metrics import LiveMetrics
from proxy.policy.lint import Surroundings

SEEN_MS = 15 * 60_000
"""How far back the observed shares of a split look, as those of the present do."""
_TRAFFIC_S = 60
_MOST_EVENTS = 20_000


async def past_of(hub: Hub, at_ms: int) -> Past:
    """The moment `at_ms`, milliseconds since 1970. Raises ApiError (503) when the store cannot tell."""
    version = await hub.config.version_at(at_ms)
    text = version.text if version is not None else None
    since = max(at_ms - SEEN_MS, version.applied_at_ms if version is not None else 0)
    store, surroundings = hub.state_dir / "events.db", portable(hub.config.surroundings())
    try:
        found = await hub.worker.run(figures, store, text, surroundings, since, at_ms)
    except (StoreError, WorkerError) as error:
        raise ApiError(503, "store", str(error)) from None
    return Past(at_ms, version, found["traffic"], found["splits"], found["not_enforced"])


def figures(
    store: Path, text: str | None, surroundings: Surroundings, since_ms: int, at_ms: int
) -> dict[str, Any]:
    """Traffic of the last minute before `at_ms`, and the splits of the policy `text` as seen since `since_ms`.

    Of more than 20,000 requests the newest count. Raises StoreError.
    """
    metrics = LiveMetrics(lambda: at_ms)
    first = min(since_ms, at_ms - _TRAFFIC_S * 1_000)
    metrics.warm(read_arrivals(store, first, at_ms, _MOST_EVENTS))
    splits: list[dict[str, Any]] = []
    missing: list[dict[str, Any]] = []
    if text is not None:
        try:
            plan = clean_plan(text, surroundings)[1]
        except DraftError:
            pass  # It ran then; what lints it today has other rules. The splits of it are not known.
        else:
            missing = not_enforced_json(plan)
            splits = splits_json(plan.splits, lambda name: metrics.split_observed(name, at_ms))
    return {
        "traffic": metrics.summary(_TRAFFIC_S, at_ms).to_json(),
        "splits": splits,
        "not_enforced": missing,
    }
