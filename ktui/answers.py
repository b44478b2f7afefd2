"""What the control API answers, typed. Unknown keys are ignored, so an older screen reads a newer gateway."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters `start:end` of the text by `text`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Fix:
    """A mend the reader can accept with one key."""

    title: str
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """One diagnostic. Lines and columns count from 1, in characters; the end is exclusive."""

    code: str
    severity: str
    message: str
    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1
    path: str = ""
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class GatewayState:
    """`state`: serving | starting | draining | not_ready | stopped."""

    state: str
    reason: str | None = None
    listen: str = ""
    api: str = ""
    pid: int = 0
    started: str | None = None
    version: str = ""
    in_flight: int = 0


@dataclass(frozen=True, slots=True)
class FileState:
    """`state`: same | differs | missing | unreadable; `reason` says why it differs."""

    state: str = "same"
    reason: str | None = None
    hash: str | None = None
    text: str | None = None
    diagnostics: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class NotEnforced:
    """A policy that is checked but does not yet act."""

    policy: str
    type: str = ""
    line: int = 0


@dataclass(frozen=True, slots=True)
class RunningConfig:
    """The version that runs."""

    number: int
    hash: str
    short: str = ""
    path: str | None = None
    name: str = ""
    applied_at: str | None = None
    who: str | None = None
    through: str | None = None
    file: FileState = field(default_factory=FileState)
    warnings: tuple[Problem, ...] = ()
    not_enforced: tuple[NotEnforced, ...] = ()


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True)
class Traffic:
    """The last `window_s` seconds. `recent_per_s`: eight rates, oldest first."""

    window_s: float = 60
    requests: int = 0
    requests_per_s: float = 0.0
    recent_per_s: tuple[float, ...] = ()
    error_rate: float | None = None
    latency_ms: Latency | None = None
    cost_per_min: str | None = None
    unpriced: int = 0


@dataclass(frozen=True, slots=True)
class Arm:
    """`share` and `observed_share` in percent."""

    tag: str
    model: str
    target: str | None = None
    weight: float = 0.0
    share: float = 0.0
    observed_share: float | None = None
    observed_units: int = 0
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Phase:
    """One planned phase; `shares` in percent."""

    name: str
    weights: dict[str, float] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=dict)
    duration: str | None = None
    duration_s: float | None = None
    line: int = 0


@dataclass(frozen=True, slots=True)
class Split:
    """One traffic split as it runs."""

    name: str
    line: int = 0
    enabled: bool = True
    unit: tuple[str, ...] = ()
    salt: str = ""
    phase: str | None = None
    advance: str | None = None
    off_plan: bool = False
    observed_since: str | None = None
    arms: tuple[Arm, ...] = ()
    phases: tuple[Phase, ...] = ()

    @property
    def tags(self) -> tuple[str, ...]:
        """The arms' tags in file order."""
        return tuple(arm.tag for arm in self.arms)

    @property
    def phase_index(self) -> int | None:
        """Place of the live phase among `phases`, from 0."""
        return next((i for i, phase in enumerate(self.phases) if phase.name == self.phase), None)


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The store's accounting: accepted = stored + spilled + dropped."""

    accepted: int = 0
    stored: int = 0
    spilled: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    forgotten: dict[str, int] = field(default_factory=dict)
    """Taken away by retention, by reason."""
    total: int | None = None
    last_seq: int = 0
    last_timestamp: str | None = None
    trouble: str | None = None
    """What keeps events from the database, as one sentence; None when all is well."""


@dataclass(frozen=True, slots=True)
class TargetState:
    """One upstream."""

    id: str
    provider: str = ""
    base_url: str | None = None
    available: bool = True
    reason: str | None = None
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert of the policy file. `limit`: requests, with `is_share` percent; `since`: RFC 3339."""

    name: str
    filter: str = ""
    firing: bool = False
    since: str | None = None
    requests: int = 0
    of: int = 0
    limit: float = 0.0
    is_share: bool = False
    within_s: int = 0
    newest: str | None = None


@dataclass(frozen=True, slots=True)
class Status:
    """GET /v1/status."""

    gateway: GatewayState
    config: RunningConfig | None = None
    traffic: Traffic = field(default_factory=Traffic)
    splits: tuple[Split, ...] = ()
    events: EventCounts = field(default_factory=EventCounts)
    targets: tuple[TargetState, ...] = ()
    badges: tuple[str, ...] = ()
    notices: tuple[str, ...] = ()
    alerts: tuple[Alert, ...] = ()
    file: FileState | None = None
    """The file, also when no version of it runs."""


@dataclass(frozen=True, slots=True)
class Config:
    """GET /v1/config: the running text and the file beside it."""

    number: int
    hash: str
    text: str
    path: str | None = None
    name: str = ""
    diagnostics: tuple[Problem, ...] = ()
    file: FileState = field(default_factory=FileState)


@dataclass(frozen=True, slots=True)
class Applied:
    """Answer of a change. `text` and `diff` come with a dry run or a change of weights."""

    number: int = 0
    hash: str = ""
    changed: bool = False
    applied_ms: float | None = None
    diagnostics: tuple[Problem, ...] = ()
    text: str | None = None
    diff: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """One applied version; `text` only when asked for by hash."""

    number: int
    hash: str
    applied_at: str | None = None
    who: str | None = None
    through: str | None = None
    why: str | None = None
    text: str | None = None
    events: int | None = None
    """Requests it decided; None when the gateway does not say."""


@dataclass(frozen=True, slots=True)
class Linted:
    """POST /v1/policy/lint."""

    valid: bool
    diagnostics: tuple[Problem, ...] = ()
    not_enforced: tuple[NotEnforced, ...] = ()


@dataclass(frozen=True, slots=True)
class ValueChange:
    """One value that differs between two policy texts."""

    path: str
    before: Any = None
    after: Any = None


@dataclass(frozen=True, slots=True)
class Difference:
    """POST /v1/policy/diff."""

    unified: str = ""
    values: tuple[ValueChange, ...] = ()
    meaning: tuple[str, ...] = ()
    """One sentence for each change, in the words of the policies."""


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a chart; None where there was no data."""

    group: str
    split: str | None = None
    values: tuple[float | None, ...] = ()
    window_value: float | None = None
    requests: int = 0


@dataclass(frozen=True, slots=True)
class Marker:
    """A moment worth a mark: seconds since 1970 and its word."""

    time: float
    label: str


@dataclass(frozen=True, slots=True)
class Series:
    """GET /v1/metrics/series. Times are seconds since 1970."""

    metric: str = ""
    unit: str = ""
    step_s: float = 0
    # `from` is a keyword; the window's ends are the first and last of `times`.
    times: tuple[float, ...] = ()
    series: tuple[Line, ...] = ()
    markers: tuple[Marker, ...] = ()


@dataclass(frozen=True, slots=True)
class Try:
    """One request sent upstream for an event. `ms`: how long it took; `reason`: why it was not the answer."""

    target: str | None = None
    model: str | None = None
    status: int | None = None
    error: str | None = None
    ms: float | None = None
    reason: str | None = None
    at_ms: float | None = None
    """When it was sent, from the request's arrival; None: not recorded."""


@dataclass(frozen=True, slots=True)
class Body:
    """One side of a request as far as it was kept: `text`, or `base64` where it is no text."""

    bytes: int
    """How long it was in all."""
    truncated: bool
    content_type: str | None = None
    text: str | None = None
    base64: str | None = None


@dataclass(frozen=True, slots=True)
class Bodies:
    """Both sides; None: there was none, or it was refused before it was read."""

    request: Body | None = None
    response: Body | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One request as the API lists it with `unknown=null`: None is unknown, never 0."""

    id: str
    timestamp: str
    seq: int = 0
    model: str | None = None
    requested_model: str | None = None
    provider: str | None = None
    target: str | None = None
    decision: str | None = None
    status: int = 0
    outcome: str | None = None
    error: str | None = None
    error_message: str | None = None
    latency_ms: float | None = None
    ttft_ms: float | None = None
    overhead_us: float | None = None
    cost: str | None = None
    cost_status: str | None = None
    usage_status: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    policies_triggered: tuple[str, ...] = ()
    severity: str | None = None
    attempt: int | None = None
    attempts: int | None = None
    stream: bool = False
    key: str | None = None
    endpoint: str | None = None
    config_version: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    attempt_log: tuple[Try, ...] = ()
    """Each request sent upstream; only with one event by id, and empty when the first was answered."""
    upstream_model: str | None = None
    price_source: str | None = None
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    finish_reason: str | None = None
    quality_score: float | None = None
    trace: str | None = None
    """The client's trace, as TRACE-PARENT-FLAGS in hexadecimal."""
    feedback: tuple[dict[str, Any], ...] = ()
    """What was said of it; only with one event by id."""

    @property
    def tag(self) -> str | None:
        """The variant's tag, when a split assigned the request."""
        value = self.metadata.get("ab_tag")
        return value if isinstance(value, str) and value else None

    @property
    def split(self) -> str | None:
        """Name of the split that assigned the request."""
        value = self.metadata.get("experiment")
        return value if isinstance(value, str) and value else None

    @property
    def failed(self) -> bool:
        """Whether the request ended badly or was refused."""
        return self.status >= 400 or self.outcome in {"error", "truncated", "client_cancelled"}


@dataclass(frozen=True, slots=True)
class FilterField:
    """One field of the filter language. `kind`: how a value is written, as docs/filter.md names it."""

    name: str
    aliases: tuple[str, ...] = ()
    kind: str = "text"
    doc: str = ""
    example: str = ""
    values: tuple[str, ...] = ()
