"""Why a request went where it went: a recorded one under the version that ran, or one that is only thought of."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from proxy.base.times import now_ms, rfc3339
from proxy.config.applied_texts import applied_text
from proxy.config.state import StoredVersion
from proxy.control.jobs import clean_plan
from proxy.events.recorded_requests import read_request_by_id
from proxy.policy.document import parse
from proxy.policy.explain_text import explanation, render
from proxy.policy.facts import Endpoint, NotRecordedError, RequestFacts
from proxy.policy.lint import Surroundings
from proxy.policy.plan import Plan, compile_plan, told
from proxy.policy.recorded import RecordedRequest, UserNames, arrival, facts_of
from proxy.policy.schema import read
from proxy.wire.chat import read_request

VersionLine = Mapping[str, Any]
"""`number`, `hash` and `applied_at` of a version."""


def version_line(number: int, digest: str, applied_at_ms: int) -> dict[str, Any]:
    """The version as an explanation names it."""
    return {"number": number, "hash": digest, "applied_at": rfc3339(applied_at_ms)}


def explain_recorded(plan: Plan, request: RecordedRequest, version: VersionLine | None) -> dict[str, Any]:
    """Step by step under `plan`, the one that ran. What became of it is what was recorded, not worked out again."""
    try:
        told_of = explanation(plan, facts_of(request, UserNames.of(plan.user_patterns)))
    except NotRecordedError as missing:
        return _without_steps(request, version, f"{told(missing.fact)} was not recorded")
    return _finished({**told_of, **_recorded(request), "version": version})


def _without_steps(request: RecordedRequest, version: VersionLine | None, reason: str) -> dict[str, Any]:
    body = {
        **_recorded(request),
        "steps": [],
        "assignment": None,
        "version": version,
        "cannot_tell": [reason],
        "refusal": None,
    }
    return _finished(body)


def _recorded(request: RecordedRequest) -> dict[str, Any]:
    return {
        "decision": request.decision,
        "model": request.model,
        "variant": request.tag,
        "requested_model": request.requested_model,
        "served_model": request.served or request.model,
    }


def _finished(body: dict[str, Any]) -> dict[str, Any]:
    return {**body, "text": render(body)}


def explain_event(state_dir: Path, event_id: str) -> dict[str, Any] | None:
    """The recorded request of that id, explained from the stores of `state_dir`; None when there is none.

    Raises StoreError.
    """
    request = read_request_by_id(state_dir / "events.db", event_id)
    if request is None:
        return None
    if not request.kept:
        return _without_steps(request, None, "it was answered before any policy was asked")
    ran = applied_text(state_dir / "versions.db", request.version)
    if ran is None:
        return _without_steps(request, None, f"the text of version {request.version[:7]} is not kept here")
    version = version_line(ran.number, ran.hash, ran.applied_at_ms)
    plan = plan_that_ran(ran)
    if plan is None:
        reason = "this program no longer reads the text of the version that ran"
        return _without_steps(request, version, reason)
    return explain_recorded(plan, request, version)


def plan_that_ran(version: StoredVersion) -> Plan | None:
    """The plan of an applied text, without asking lint again: it passed when it was applied."""
    document = parse(version.text)
    if document.root is None:
        return None
    policy_file, problems = read(document)
    if any(problem.severity == "error" for problem in problems):
        return None
    return compile_plan(policy_file, version.hash)


@dataclass(frozen=True, slots=True)
class RequestWanted:
    """A request that was not sent: `body` as a client would send it."""

    body: Mapping[str, Any]
    endpoint: Endpoint = "chat"
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None


def facts_of_body(wanted: RequestWanted) -> RequestFacts:
    """The facts of `wanted` if it came now. Raises RequestError for a body that the gateway would refuse to read."""
    parsed = read_request(wanted.endpoint, msgspec.json.encode(wanted.body))
    return RequestFacts(
        endpoint=wanted.endpoint,
        requested_model=parsed.model,
        arrived=arrival(now_ms()),
        draw=secrets.randbits(64),
        max_tokens=parsed.max_tokens,
        prompt_chars=parsed.prompt_chars,
        stream=parsed.stream,
        has_tools=parsed.has_tools,
        has_images=parsed.has_images,
        user=parsed.user,
        safety_identifier=parsed.safety_identifier,
        key=wanted.key,
        headers={name.lower(): value for name, value in wanted.headers.items()},
        metadata=parsed.metadata,
    )


def explain_under_plan(plan: Plan, facts: RequestFacts, version: VersionLine | None) -> dict[str, Any]:
    """What `plan` would do with `facts`."""
    return _finished({**explanation(plan, facts), "version": version})


def explain_under_draft(text: str, facts: RequestFacts, surroundings: Surroundings) -> dict[str, Any]:
    """What the draft `text` would do with `facts`. Raises DraftError."""
    return explain_under_plan(clean_plan(text, surroundings)[1], facts, None)
