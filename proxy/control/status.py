"""The state of the gateway in one answer: a pure view of the hub."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from proxy.base.times import rfc3339
from proxy.config.state import FileState, RunningVersion, StoredVersion
from proxy.control.hub import Hub
from proxy.events.observed import SplitObserved
from proxy.policy.diagnostics import Diagnostic
from proxy.policy.plan import Plan, SplitPlan


@dataclass(frozen=True, slots=True)
class Past:
    """What the status tells of the moment `at_ms`, milliseconds since 1970."""

    at_ms: int
    version: StoredVersion | None
    """What ran then; None when nothing is known to have run."""
    traffic: dict[str, Any]
    splits: list[dict[str, Any]]
    not_enforced: list[dict[str, Any]]


def status(hub: Hub) -> dict[str, Any]:
    """The body of /v1/status."""
    info, running = hub.info, hub.config.running
    return {
        "gateway": {
            "state": info.state,
            "reason": info.reason,
            "listen": info.listen,
            "api": info.api,
            "pid": info.pid,
            "started": rfc3339(info.started_ms),
            "version": info.version,
            "in_flight": hub.data_plane.in_flight(),
        },
        "config": config_summary(hub, running) if running is not None else None,
        "file": file_state(hub.config.file),
        "traffic": hub.metrics.summary(60, hub.clock_ms()).to_json(),
        "splits": splits(hub),
        "events": events(hub),
        "targets": targets(hub),
        "telemetry": telemetry(hub),
        "alerts": alerts(hub),
        "badges": list(info.badges),
        "notices": list(info.notices),
    }


def status_then(hub: Hub, past: Past) -> dict[str, Any]:
    """The body of /v1/status as of an earlier moment; gateway, targets and counters are those of now."""
    then = past.version
    return {
        **status(hub),
        "at": rfc3339(past.at_ms),
        "alerts": [],
        "config": None if then is None else _config_then(hub, then, past.not_enforced),
        "file": _FILE_THEN,
        "traffic": past.traffic,
        "splits": past.splits,
        "notices": [],
    }


_FILE_THEN: dict[str, Any] = {"state": "same", "reason": None, "diagnostics": []}
"""What the file said at an earlier moment is not kept unless it ran."""


def _config_then(hub: Hub, then: StoredVersion, missing: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "number": then.number,
        "hash": then.hash,
        "short": then.hash[:7],
        "path": str(hub.config.path),
        "name": hub.config.path.name,
        "applied_at": rfc3339(then.applied_at_ms),
        "who": then.who,
        "through": then.through,
        "file": _FILE_THEN,
        "warnings": [],
        "not_enforced": missing,
    }


def config_summary(hub: Hub, running: RunningVersion) -> dict[str, Any]:
    """What runs, and how the file stands to it."""
    return {
        "number": running.number,
        "hash": running.hash,
        "short": running.hash[:7],
        "path": str(hub.config.path),
        "name": hub.config.path.name,
        "applied_at": rfc3339(running.applied_at_ms),
        "who": running.who,
        "through": running.through,
        "file": file_state(hub.config.file),
        "warnings": [item.to_json() for item in running.diagnostics if item.severity == "warning"],
        "not_enforced": not_enforced_json(running.plan),
    }


def not_enforced_json(plan: Plan) -> list[dict[str, Any]]:
    """What the file asks for and this version does not do."""
    return [{"policy": item.policy, "type": item.kind, "line": item.line} for item in plan.not_enforced]


def file_state(file: FileState) -> dict[str, Any]:
    """How the file stands to what runs, without its text."""
    return {"state": file.condition, "reason": file.reason, "diagnostics": errors_first(file.diagnostics)}


def errors_first(diagnostics: tuple[Diagnostic, ...]) -> list[dict[str, Any]]:
    """Diagnostics in the order a reader wants them."""
    order = {"error": 0, "warning": 1, "info": 2}
    return [item.to_json() for item in sorted(diagnostics, key=lambda item: order[item.severity])]


def events(hub: Hub) -> dict[str, Any]:
    """The conservation law, in numbers."""
    counters = hub.store.counters()
    last = hub.store.last_timestamp_ms
    return {
        "accepted": counters.accepted,
        "stored": counters.stored,
        "spilled": counters.spilled,
        "dropped": counters.dropped,
        "forgotten": dict(hub.store.forgotten),
        "total": hub.store.total(),
        "last_seq": counters.last_seq,
        "last_timestamp": rfc3339(last) if last is not None else None,
        "trouble": hub.store.trouble,
    }


def telemetry(hub: Hub) -> dict[str, Any]:
    """How the export of spans and metrics stands."""
    if hub.export is None:
        return {"on": False, "text": "there is no export here"}
    state = hub.export.state()
    if not state.on:
        return {"on": False, "text": state.text}
    return {
        "on": True,
        "text": state.text,
        "endpoint": state.endpoint,
        "exported": state.exported,
        "waiting": state.waiting,
        "unsampled": state.unsampled,
        "dropped": dict(state.dropped),
        "trouble": state.trouble,
    }


def alerts(hub: Hub) -> list[dict[str, Any]]:
    """How each alert of the running version stands, in file order."""
    return [
        {
            "name": state.rule.name,
            "filter": state.rule.filter,
            "firing": state.since_ms is not None,
            "since": None if state.since_ms is None else rfc3339(state.since_ms),
            "requests": state.requests,
            "of": state.of,
            "limit": state.rule.limit,
            "is_share": state.rule.is_share,
            "within_s": state.rule.within_ms // 1_000,
            "newest": state.newest,
        }
        for state in hub.alerts.states()
    ]


def targets(hub: Hub) -> list[dict[str, Any]]:
    """Targets without secrets."""
    return [
        {
            "id": target.id,
            "provider": target.provider,
            "base_url": target.base_url,
            "available": target.available,
            "reason": target.reason,
            "models": list(target.models),
            "breaker": target.breaker,
        }
        for target in hub.data_plane.targets()
    ]


def splits(hub: Hub) -> list[dict[str, Any]]:
    """Each split: configured, observed, planned."""
    running = hub.config.running
    if running is None:
        return []
    now = hub.clock_ms()
    return splits_json(running.plan.splits, lambda name: hub.metrics.split_observed(name, now))


def splits_json(
    planned: Iterable[SplitPlan], observed: Callable[[str], SplitObserved]
) -> list[dict[str, Any]]:
    """Each of the `planned` splits with what was observed of it."""
    return [_split(split, observed(split.name)) for split in planned]


def _split(split: SplitPlan, observed: SplitObserved) -> dict[str, Any]:
    return {
        "name": split.name,
        "line": split.line,
        "enabled": split.enabled,
        "unit": list(split.unit),
        "salt": split.salt,
        "phase": split.phase,
        "advance": split.advance,
        "off_plan": split.off_plan,
        "observed_since": rfc3339(observed.since_ms) if observed.since_ms is not None else None,
        "arms": [_arm(arm, observed) for arm in split.arms],
        "phases": [
            {
                "name": phase.name,
                "weights": {tag: float(weight) for tag, weight in phase.weights.items()},
                "shares": {tag: float(share) for tag, share in phase.shares.items()},
                "duration": phase.duration_text,
                "duration_s": phase.duration_s,
                "line": phase.line,
            }
            for phase in split.phases
        ],
    }


def _arm(arm: Any, observed: SplitObserved) -> dict[str, Any]:
    seen = observed.arms.get(arm.tag)
    any_units = any(item.units for item in observed.arms.values())
    share = (seen.share if seen is not None else 0.0) if any_units else None
    return {
        "tag": arm.tag,
        "model": arm.model,
        "target": arm.target,
        "weight": float(arm.weight),
        "share": float(arm.share),
        "observed_share": round(share, 3) if share is not None else None,
        "observed_units": seen.units if seen is not None else 0,
        "requests": seen.requests if seen is not None else 0,
    }
