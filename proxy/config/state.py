"""What runs, what the file says, and how an apply ends."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

from proxy.policy.diagnostics import Diagnostic
from proxy.policy.plan import Plan
from proxy.policy.schema import PolicyFile

Through = Literal["editor", "slider", "file", "api", "restore", "start"]
FileCondition = Literal["same", "differs", "missing", "unreadable"]


def text_hash(text: str) -> str:
    """SHA-256 of the UTF-8 bytes of `text`, hex: the identity of a version."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class RunningVersion:
    """A text that lints clean and decides requests now."""

    number: int
    hash: str
    text: str
    policy_file: PolicyFile
    plan: Plan
    diagnostics: tuple[Diagnostic, ...]
    applied_at_ms: int
    who: str
    through: str
    why: str


@dataclass(frozen=True, slots=True)
class FileState:
    """What the file says, beside what runs. `reason` is half a sentence, None when they are the same."""

    condition: FileCondition
    reason: str | None
    hash: str | None
    text: str | None
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(frozen=True, slots=True)
class Author:
    """Who applies, through what, and why."""

    who: str
    through: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Applied:
    """An apply that went in (`changed` is False when the text already ran)."""

    version: RunningVersion
    changed: bool
    took_ms: float


@dataclass(frozen=True, slots=True)
class RefusedByLint:
    """The text has errors; nothing was written."""

    diagnostics: tuple[Diagnostic, ...]


@dataclass(frozen=True, slots=True)
class Conflict:
    """The file is not the one the author saw."""

    hash: str
    text: str


@dataclass(frozen=True, slots=True)
class NotWritten:
    """The file could not be written; what ran goes on running."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The file is there but is no text (or may not be read); it is not overwritten."""

    reason: str


ApplyResult = Applied | RefusedByLint | Conflict | NotWritten | Unreadable


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """An applied text as it is kept."""

    number: int
    hash: str
    applied_at_ms: int
    who: str
    through: str
    why: str
    text: str = ""
