"""What lint says: a place, a sentence, and where possible a mend."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True, slots=True)
class TextEdit:
    """Replace the characters `start:end` (offsets into the text) by `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """An edit that mends the problem, with a verb phrase for the key hint ("rename to weight")."""

    title: str
    edits: tuple[TextEdit, ...]


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem. Lines and columns count from 1, in characters; the end is exclusive."""

    code: str
    severity: Severity
    message: str
    line: int
    column: int
    end_line: int
    end_column: int
    path: str = ""
    """Where in the document: `policies[name=ab].variants[tag=b].weight`."""
    fix: Fix | None = None

    def to_json(self) -> dict[str, Any]:
        """The form of the control API and of `kt policy lint --format json`."""
        return asdict(self)
