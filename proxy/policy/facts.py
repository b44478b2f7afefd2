"""What a decision is made from, and what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

Endpoint = Literal[
    "chat", "completions", "messages", "responses", "embeddings", "moderations", "images", "audio"
]
Purpose = Endpoint | Literal["count_tokens"]
"""What is asked for. Counting tokens is written like `messages`, but generates nothing."""
GENERATION: frozenset[str] = frozenset({"chat", "completions", "messages", "responses"})
"""Endpoints that redirects and splits touch."""

Action = Literal["allow", "redirect", "warn", "block"]
STRENGTH: Mapping[str, int] = {"allow": 0, "warn": 1, "redirect": 2, "block": 3}


class NotRecordedError(LookupError):
    """A policy asks something that was not kept of a recorded request; `fact` says what."""

    def __init__(self, fact: str) -> None:
        super().__init__(fact)
        self.fact = fact


@dataclass(frozen=True, slots=True)
class Recording:
    """What is known of a recorded request besides the values themselves."""

    known: frozenset[str]
    """Facts that were kept if the request carried them: `user`, `header:NAME`, `metadata:NAME`."""
    units: Mapping[str, str | None]
    """Digest by kind of unit; None: the request carried none. A kind that is not here was not kept."""


@dataclass(frozen=True, slots=True)
class RequestFacts:
    """Everything a policy may ask of a request, as it stood on arrival.

    `None` (or an absent key) means the request does not carry the fact; a condition on it does not hold.
    """

    endpoint: Purpose
    requested_model: str
    arrived: datetime
    """Wall clock of arrival, UTC."""
    draw: int
    """64 random bits, made once at admission: the unit of last resort."""
    max_tokens: int | None = None
    prompt_chars: int | None = None
    """Unicode characters of all text parts of system, messages or input, and tool results."""
    stream: bool = False
    has_tools: bool = False
    has_images: bool = False
    user: str | None = None
    """`user` of the OpenAI dialect, `metadata.user_id` of the Anthropic one."""
    safety_identifier: str | None = None
    conversation: str | None = None
    key: str | None = None
    """Name (never the value) of the client key."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case; credentials are left out."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    recording: Recording | None = None
    """Given when the facts come from a recorded request; None: nothing is unknown."""

    def lacks(self, fact: str) -> bool:
        """True: the request carries no such fact. Raises NotRecordedError when that is not known."""
        if self.recording is not None and fact not in self.recording.known:
            raise NotRecordedError(fact)
        return True


@dataclass(frozen=True, slots=True)
class Assignment:
    """The arm of a split that a request belongs to, and what chose it."""

    split: str
    """Name of the policy."""
    tag: str
    model: str
    target: str | None
    """Target id the variant names, if any."""
    unit_kind: str
    """`header:x-kt-unit`, `safety_identifier`, `user`, `key`, `conversation` or `random`."""
    unit_digest: str
    """blake2b-128 of kind + NUL + value, hex; for `random` the value is the draw in decimal."""
    salt: str
    phase: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request was blocked."""

    policy: str
    line: int
    message: str


StepOutcome = Literal["matched", "skipped", "not_enforced", "cannot_tell"]


@dataclass(frozen=True, slots=True)
class Step:
    """One policy looked at, in file order: whether it matched, what it did or which condition did not hold."""

    policy: str
    kind: str
    line: int
    outcome: StepOutcome
    reason: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a request."""

    action: Action
    model: str
    """The policy-terms name to send upstream; for a refusal, the name it was refused under."""
    assignment: Assignment | None
    triggered: tuple[str, ...]
    """Policies, in order, that changed, marked, limited or assigned the request."""
    severity: str | None
    """Highest severity of the `log` policies that fired."""
    refusal: Refusal | None
    steps: tuple[Step, ...] = ()
    """Filled by `Plan.explain`; `Plan.decide` leaves it empty."""
