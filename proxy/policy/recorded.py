"""A recorded request, turned back into the facts it was decided from.

What was not kept stays unknown: a policy that depends on it raises NotRecordedError, nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from proxy.policy.assignment import DEFAULT_CHAIN, UNIT_KINDS, unit_digest
from proxy.policy.conditions import is_glob
from proxy.policy.facts import Endpoint, NotRecordedError, Recording, RequestFacts
from proxy.policy.plan import Plan

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DEFAULT_UNIT_HEADERS = frozenset(
    kind.removeprefix("header:") for kind in DEFAULT_CHAIN if kind.startswith("header:")
)
"""Headers that are read from every request, so that a first split can be tried on what was recorded before it."""
CHANGED = "changed"
"""Marks kept facts that are not those of the request: a text could not be stored as it was."""
DECIDED = "decided_model"
"""Among the kept facts: the model that the policies decided on, where a fallback answered in its place."""
_ALWAYS_KNOWN = ("key", "requested_model")


def arrival(timestamp_ms: int) -> datetime:
    """Milliseconds since 1970 as the moment a policy compares with: exact, UTC."""
    return _EPOCH + timedelta(milliseconds=timestamp_ms)


@dataclass(slots=True)
class RecordedRequest:
    """What an event tells of one decided request."""

    id: str
    timestamp_ms: int
    endpoint: str
    requested_model: str
    model: str
    """What the policies decided on, or the name it was refused under."""
    decision: str
    tag: str | None
    """The variant that served it."""
    draw: int
    kept: Mapping[str, Any]
    """The facts kept with the event, as `kept_facts` made them."""
    stream: bool = False
    key: str | None = None
    target: str | None = None
    unit_kind: str | None = None
    unit_digest: str | None = None
    triggered: tuple[str, ...] = ()
    cost_nanos: int | None = None
    """None: not known."""
    went_upstream: bool = False
    tokens: tuple[int | None, ...] = ()
    """As reported; what each figure is, is between whoever reads the store and whoever prices."""
    version: str = ""
    """Hash of the text that decided."""
    served: str = ""
    """The model that was asked in the end: a fallback, or `model`."""
    estimated: bool = False
    """Whether its cost rests on estimated tokens."""
    quality: float | None = None
    """Its score, 0 to 1; None: not scored."""


def kept_facts(facts: RequestFacts, plan: Plan, assigned: Mapping[str, str]) -> dict[str, Any]:
    """What is kept of `facts`: enough to decide the same request again, under this plan or another.

    Headers, metadata and the user's name are kept where `plan` asks for them (null: asked for, not carried).
    Units are kept as digests; one that is in `assigned` (digest by kind) is not computed again.
    """
    kept: dict[str, Any] = {"has_tools": facts.has_tools, "has_images": facts.has_images}
    if facts.max_tokens is not None:
        kept["max_tokens"] = facts.max_tokens
    if facts.prompt_chars is not None:
        kept["prompt_chars"] = facts.prompt_chars
    if plan.kept_headers:
        kept["headers"] = {name: facts.headers.get(name) for name in plan.kept_headers}
    if plan.kept_metadata:
        kept["metadata"] = {name: facts.metadata.get(name) for name in plan.kept_metadata}
    if plan.user_patterns or facts.user == "":
        # No unit is made of an empty name, but a pattern may match it.
        kept["user"] = facts.user
    kept["units"] = _units(facts, plan, assigned)
    return kept


def _units(facts: RequestFacts, plan: Plan, assigned: Mapping[str, str]) -> dict[str, str | None]:
    """Digest by kind. Kinds of the default chain that the request does not carry are left out."""
    values = {
        "safety_identifier": facts.safety_identifier,
        "user": facts.user,
        "conversation": facts.conversation,
    }
    units: dict[str, str | None] = {
        kind: assigned.get(kind) or unit_digest(kind, value) for kind, value in values.items() if value
    }
    for name in DEFAULT_UNIT_HEADERS | plan.unit_headers:
        kind = f"header:{name}"
        value = facts.headers.get(name)
        if value:
            units[kind] = assigned.get(kind) or unit_digest(kind, value)
        elif name not in DEFAULT_UNIT_HEADERS:
            units[kind] = None
    return units


@dataclass(frozen=True, slots=True)
class UserNames:
    """What a plan asks of `user`: names are found again by their digest, patterns need the name itself."""

    by_digest: Mapping[str, str] = field(default_factory=dict)
    has_patterns: bool = False

    @classmethod
    def of(cls, patterns: Iterable[str]) -> UserNames:
        """Those of `patterns`."""
        listed = tuple(patterns)
        names = {unit_digest("user", name): name for name in listed if not is_glob(name)}
        return cls(names, any(is_glob(pattern) for pattern in listed))


def facts_of(request: RecordedRequest, names: UserNames) -> RequestFacts:
    """The facts of `request`, for a plan that asks of `user` what `names` says.

    Raises NotRecordedError when its texts had to be changed to be stored.
    """
    kept = request.kept
    if kept.get(CHANGED):
        raise NotRecordedError("request as it was")
    headers, metadata = kept.get("headers") or {}, kept.get("metadata") or {}
    known = [*_ALWAYS_KNOWN, *(f"header:{name}" for name in headers)]
    known += [f"metadata:{name}" for name in metadata]
    units = _known_units(request, kept)
    user = _user(kept, units, names)
    if user is not None or _no_user(kept, units):
        known.append("user")
    return RequestFacts(
        endpoint=cast(Endpoint, request.endpoint),
        requested_model=request.requested_model,
        arrived=arrival(request.timestamp_ms),
        draw=request.draw,
        max_tokens=kept.get("max_tokens"),
        prompt_chars=kept.get("prompt_chars"),
        stream=request.stream,
        has_tools=bool(kept.get("has_tools")),
        has_images=bool(kept.get("has_images")),
        user=user,
        key=request.key,
        headers={name: value for name, value in headers.items() if value is not None},
        metadata={name: value for name, value in metadata.items() if value is not None},
        recording=Recording(frozenset(known), units),
    )


def _known_units(request: RecordedRequest, kept: Mapping[str, Any]) -> dict[str, str | None]:
    units: dict[str, str | None] = {}
    digests = kept.get("units")
    if digests is not None:
        units.update(dict.fromkeys((*DEFAULT_CHAIN, *UNIT_KINDS)))
        units.update(digests)
    elif request.unit_kind is not None and request.unit_digest is not None:
        units[request.unit_kind] = request.unit_digest
    units["key"] = unit_digest("key", request.key) if request.key else None
    return units


def _user(kept: Mapping[str, Any], units: Mapping[str, str | None], names: UserNames) -> str | None:
    """The user's name; for one that is none of `names`, a text that says so much and equals none of them."""
    if kept.get("user") is not None:
        return str(kept["user"])
    digest = units.get("user")
    if digest is None:
        return None
    if digest in names.by_digest:
        return names.by_digest[digest]
    return None if names.has_patterns else f"the user with digest {digest}"


def _no_user(kept: Mapping[str, Any], units: Mapping[str, str | None]) -> bool:
    return ("user" in kept and kept["user"] is None) or ("user" in units and units["user"] is None)
