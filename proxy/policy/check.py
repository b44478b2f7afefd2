"""What a lint check sees and how it reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path as FilePath
from types import MappingProxyType

from proxy.policy.diagnostics import Diagnostic, Fix, Severity
from proxy.policy.document import Document, Path, ScalarNode
from proxy.policy.schema import PolicyFile, effective_targets
from proxy.policy.spec import Spec
from proxy.policy.targets import TargetSpec

KNOWN_RETIREMENTS: Mapping[str, date] = MappingProxyType({"claude-sonnet-4-20250514": date(2026, 6, 15)})
"""Model to the day its vendor switched it off."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lint needs to know of the machine, the clock and the vendors; all handed in."""

    env: Mapping[str, str]
    today: date
    path: FilePath | None = None
    retired: Mapping[str, date] = field(default_factory=lambda: KNOWN_RETIREMENTS)


@dataclass(frozen=True)
class Context:
    """One lint run. `complete`: every policy and target could be read, so checks across them make sense."""

    document: Document
    file: PolicyFile
    surroundings: Surroundings
    complete: bool

    @cached_property
    def targets(self) -> list[TargetSpec]:
        """All targets, implicit ones too."""
        return effective_targets(self.file, self.surroundings.env)

    def report(
        self,
        code: str,
        severity: Severity,
        message: str,
        path: Path,
        *,
        key: bool = False,
        fix: Fix | None = None,
    ) -> Diagnostic:
        """A diagnostic at the value (or with `key` at the key) that `path` leads to."""
        return self.document.diagnostic(code, severity, message, self.document.span(path, key=key), path, fix)

    def item(self, spec: Spec, key: str, index: int) -> Path:
        """Path of an item of a list that may have been written as a single value."""
        if isinstance(self.document.find((*spec.path, key)), ScalarNode):
            return (*spec.path, key)
        return (*spec.path, key, index)
