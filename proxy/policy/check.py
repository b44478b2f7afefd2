"""What a lint check is, what it sees, and how it reports.

A check is one function with a `@check(...)` line that gives its code, severity and documentation:

    @check("duplicate-name", "error", "Two policies have one name", why=..., mend=..., bad=..., good=...)
    def duplicate_names(context: Context) -> Iterable[Finding]:
        yield Finding("...", path)

Any module of `proxy.policy.checks` may hold one; nothing else needs to be told of it. `docs/lint.md` and the tests
of the examples are made from the same lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, tzinfo
from functools import cached_property
from pathlib import Path as FilePath
from textwrap import dedent

from proxy.policy.conditions import Matcher, zone_of
from proxy.policy.diagnostics import Diagnostic, Fix, Severity
from proxy.policy.document import Document, MappingNode, Path, ScalarNode, SequenceNode
from proxy.policy.kinds import SPELLINGS
from proxy.policy.kinds.registry import ConditionedSpec, Kind
from proxy.policy.kinds.traffic_split import TrafficSplit
from proxy.policy.model_lifecycle import LIFECYCLES, Lifecycle
from proxy.policy.recovery import Recovered
from proxy.policy.schema import PolicyFile, effective_targets
from proxy.policy.spec import Spec
from proxy.policy.targets import TargetSpec

PricesKnown = Callable[[TargetSpec, str], bool]
"""Whether the vendor data has a price of a model as a target serves it."""


FilterFault = Callable[[str], tuple[str, int, int] | None]
"""Why a text is no filter for an alert, in one sentence, and which characters of it; None when it is one."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What lint needs to know of the machine, the clock, the vendors and the traffic; all handed in."""

    env: Mapping[str, str]
    today: date
    path: FilePath | None = None
    lifecycles: Mapping[str, Lifecycle] = field(default_factory=lambda: LIFECYCLES)
    """Model to the days its vendor announced."""
    prices_known: PricesKnown | None = None
    """None: cannot tell, so nothing is said of prices."""
    filter_fault: FilterFault | None = None
    """None: cannot tell, so nothing is said of filters."""
    recent_units: Mapping[str, int] | None = None
    """Kind of unit (`user`, `header:x-team`) to the recent requests known to carry it. A kind that is not named, or
    None for all of it: cannot tell."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One place a check speaks of: the value (with `key` the key) that `path` leads to, or exactly `span`."""

    message: str
    path: Path
    key: bool = False
    fix: Fix | None = None
    span: tuple[int, int] | None = None


@dataclass(frozen=True)
class Context:
    """One lint run over what could be read. `problems`: what was reported while reading."""

    document: Document
    file: PolicyFile
    surroundings: Surroundings
    problems: tuple[Diagnostic, ...] = ()
    recovered: Recovered | None = None
    """Set when a part of the text had to be left out because of its syntax."""

    @cached_property
    def targets(self) -> list[TargetSpec]:
        """All targets, implicit ones too."""
        return effective_targets(self.file, self.surroundings.env)

    @cached_property
    def _serving(self) -> tuple[list[tuple[TargetSpec, Matcher]], dict[str, TargetSpec | None]]:
        """Each target with what it serves ready to match, and the models asked for so far."""
        return [(target, Matcher(target.models)) for target in self.targets], {}

    def server(self, model: str) -> TargetSpec | None:
        """The first target that serves `model`."""
        targets, known = self._serving
        if model not in known:
            known[model] = next((target for target, serves in targets if serves(model)), None)
        return known[model]

    @cached_property
    def targets_read(self) -> bool:
        """Whether every target could be read; otherwise nobody can say what is not served."""
        if self.document.problems or (self.recovered is not None and self.recovered.section != "policies"):
            return False
        node = self.document.find(("providers", "targets"))
        written = len(node.items) if isinstance(node, SequenceNode) else 0
        root = self.document.root
        known = isinstance(root, MappingNode) and all(entry.key.value in _SECTIONS for entry in root.entries)
        return written == len(self.file.written) and known

    @cached_property
    def enabled(self) -> list[ConditionedSpec | None]:
        """The enabled policies in file order; None stands for one or more that could not be read."""
        chain: list[ConditionedSpec | None] = []
        expected = 0
        gap = self.recovered.first_line if self.recovered is not None else 0
        for policy in self.file.policies:
            if policy.path[1] != expected or 0 < gap < policy.line:
                chain.append(None)
                gap = 0
            expected = int(policy.path[1]) + 1
            if policy.enabled:
                chain.append(policy)
        return chain

    @cached_property
    def active(self) -> list[ConditionedSpec]:
        """The enabled policies that could be read, in file order."""
        return [policy for policy in self.enabled if policy is not None]

    @cached_property
    def splits(self) -> list[TrafficSplit]:
        """All splits that could be read, disabled ones too."""
        return [policy for policy in self.file.policies if isinstance(policy, TrafficSplit)]

    @cached_property
    def zone(self) -> tzinfo:
        """What a date without a time means."""
        return zone_of(self.file.gateway.timezone)

    @staticmethod
    def kind(policy: ConditionedSpec) -> Kind:
        """The policy's type."""
        return SPELLINGS[policy.type]

    def item(self, spec: Spec, key: str, index: int) -> Path:
        """Path of an item of a list that may have been written as a single value."""
        if isinstance(self.document.find((*spec.path, key)), ScalarNode):
            return (*spec.path, key)
        return (*spec.path, key, index)


_SECTIONS = frozenset({"version", "gateway", "providers", "prices", "events", "policies"})

Look = Callable[[Context], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """A diagnostic code: what it means, an example of it and of its mend, and the function that looks for it."""

    code: str
    severity: Severity
    title: str
    why: str
    mend: str
    bad: str
    """A whole file that has the problem once, at the characters between « and »."""
    good: str
    look: Look | None = None
    """None: the reader of the text reports it."""

    def diagnose(self, finding: Finding, document: Document) -> Diagnostic:
        """`finding` with its place in `document`."""
        span = finding.span or document.span(finding.path, key=finding.key)
        return document.diagnostic(self.code, self.severity, finding.message, span, finding.path, finding.fix)


def check(
    code: str, severity: Severity, title: str, *, why: str, mend: str, bad: str, good: str
) -> Callable[[Look], Check]:
    """Make a function a check."""

    def make(look: Look) -> Check:
        return Check(code, severity, title, _flat(why), _flat(mend), _text(bad), _text(good), look)

    return make


def told_by_reader(code: str, title: str, *, why: str, mend: str, bad: str, good: str) -> Check:
    """Describe an error that is found while the text is read, before any check looks."""
    return Check(code, "error", title, _flat(why), _flat(mend), _text(bad), _text(good))


def _flat(text: str) -> str:
    return " ".join(text.split())


def _text(text: str) -> str:
    return dedent(text).removeprefix("\n")
