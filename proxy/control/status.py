"""What GET /v1/status says, assembled from what its parts know. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from proxy.base.times import rfc3339
from proxy.config.state import FileState, RunningVersion
from proxy.events.live_metrics import Summary
from proxy.events.observed import SplitObserved
from proxy.events.store import Counters
from proxy.policy.kinds.registry import NotEnforced
from proxy.policy.plan import Arm, PhasePlan, SplitPlan
from proxy.upstream.targets import Target

SHORT_HASH = 7


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """The process and its listeners."""

    state: str
    """serving | starting | draining | not_ready | stopped."""
    reason: str | None
    listen: str
    api: str
    pid: int
    started_ms: int
    version: str
    in_flight: int


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The event store. `trouble` and `notices` are sentences."""

    counters: Counters
    total: int
    last_timestamp_ms: int | None
    trouble: str | None = None
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StatusInputs:
    """Everything the status is made of, taken at one moment."""

    gateway: GatewayFacts
    path: Path
    running: RunningVersion | None
    file: FileState
    summary: Summary
    observed: Mapping[str, SplitObserved]
    store: StoreFacts
    targets: tuple[Target, ...]
    badges: tuple[str, ...]


def status_json(inputs: StatusInputs) -> dict[str, Any]:
    """The body of GET /v1/status."""
    running = inputs.running
    return {
        "gateway": _gateway(inputs.gateway),
        "config": _config(running, inputs.path, inputs.file) if running is not None else None,
        "traffic": inputs.summary.to_json(),
        "splits": splits_json(running.plan.splits if running else (), inputs.observed),
        "events": _events(inputs.store),
        "targets": targets_json(inputs.targets),
        "badges": list(inputs.badges),
    }


def _gateway(facts: GatewayFacts) -> dict[str, Any]:
    return {
        "state": facts.state,
        "reason": facts.reason,
        "listen": facts.listen,
        "api": facts.api,
        "pid": facts.pid,
        "started": rfc3339(facts.started_ms),
        "version": facts.version,
        "in_flight": facts.in_flight,
    }


def _config(running: RunningVersion, path: Path, file: FileState) -> dict[str, Any]:
    warnings = [item.to_json() for item in running.diagnostics if item.severity == "warning"]
    return {
        "number": running.number,
        "hash": running.hash,
        "short": running.hash[:SHORT_HASH],
        "path": str(path),
        "name": path.name,
        "applied_at": rfc3339(running.applied_at_ms),
        "who": running.who or None,
        "through": running.through,
        "file": {
            "state": file.state,
            "reason": file.reason,
            "diagnostics": [item.to_json() for item in file.diagnostics] if file.state != "same" else [],
        },
        "warnings": warnings,
        "not_enforced": not_enforced_json(running.plan.not_enforced),
    }


def not_enforced_json(items: Iterable[NotEnforced]) -> list[dict[str, Any]]:
    """Policies that are checked and do not act."""
    return [{"policy": item.policy, "type": item.kind, "line": item.line} for item in items]


def splits_json(splits: Iterable[SplitPlan], observed: Mapping[str, SplitObserved]) -> list[dict[str, Any]]:
    """Each split as it is configured and as it turns out."""
    return [_split(split, observed.get(split.name)) for split in splits]


def _split(split: SplitPlan, seen: SplitObserved | None) -> dict[str, Any]:
    since = seen.since_ms if seen is not None else None
    return {
        "name": split.name,
        "line": split.line,
        "enabled": split.enabled,
        "unit": list(split.unit),
        "salt": split.salt,
        "phase": split.phase,
        "advance": split.advance,
        "off_plan": split.off_plan,
        "observed_since": rfc3339(since) if since is not None else None,
        "arms": [_arm(arm, seen) for arm in split.arms],
        "phases": [_phase(phase) for phase in split.phases],
    }


def _arm(arm: Arm, seen: SplitObserved | None) -> dict[str, Any]:
    found = seen.arms.get(arm.tag) if seen is not None else None
    anything = seen is not None and any(other.units for other in seen.arms.values())
    nothing_here = 0.0 if anything else None
    return {
        "tag": arm.tag,
        "model": arm.model,
        "target": arm.target,
        "weight": float(arm.weight),
        "share": _percent(arm.share),
        "observed_share": found.share if found is not None else nothing_here,
        "observed_units": found.units if found is not None else 0,
        "requests": found.requests if found is not None else 0,
    }


def _phase(phase: PhasePlan) -> dict[str, Any]:
    return {
        "name": phase.name,
        "weights": {tag: float(weight) for tag, weight in phase.weights.items()},
        "shares": {tag: _percent(share) for tag, share in phase.shares.items()},
        "duration": phase.duration_text,
        "duration_s": phase.duration_s,
        "line": phase.line,
    }


def _percent(share: Decimal) -> float:
    return round(float(share), 6)


def _events(store: StoreFacts) -> dict[str, Any]:
    counters, last = store.counters, store.last_timestamp_ms
    return {
        "accepted": counters.accepted,
        "stored": counters.stored,
        "spilled": counters.spilled,
        "dropped": dict(counters.dropped),
        "total": store.total,
        "last_seq": counters.last_seq,
        "last_timestamp": rfc3339(last) if last is not None else None,
        "trouble": store.trouble,
        "notices": list(store.notices),
    }


def targets_json(targets: Iterable[Target]) -> list[dict[str, Any]]:
    """Each target, and why it cannot be used."""
    return [
        {
            "id": target.id,
            "provider": target.provider,
            "base_url": str(target.base) if target.base is not None else None,
            "available": target.unavailable_reason is None,
            "reason": target.unavailable_reason,
            "models": list(target.spec.models),
        }
        for target in targets
    ]
