"""How an export of telemetry stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ExportState:
    """`on`: requests are exported. Otherwise `text` says why not; it is always one sentence."""

    on: bool
    text: str
    endpoint: str | None = None
    """Without credentials."""
    exported: int = 0
    """Requests whose spans were taken by the receiver."""
    waiting: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Requests whose spans were not, by reason."""
    unsampled: int = 0
    """Requests that sampling left out."""
    trouble: str | None = None
    """Why the last attempt failed."""


class Export(Protocol):
    """What the control API may see of an export."""

    def state(self) -> ExportState:
        """As of now."""
