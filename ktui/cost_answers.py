"""What the control API answers about money, typed. Money is in dollars, as decimal strings; None is unknown."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec


@dataclass(frozen=True, slots=True)
class Measures:
    """One row: `spend` is the known sum; `at_least` marks per_1k_tokens and per_success as lower ends."""

    requests: int = 0
    succeeded: int = 0
    errors: int = 0
    blocked: int = 0
    priced: int = 0
    unpriced: int = 0
    spend: str | None = None
    estimated: int = 0
    estimated_spend: str = "0"
    share: float | None = None
    per_request: str | None = None
    per_1k_tokens: str | None = None
    per_success: str | None = None
    per_quality: str | None = None
    at_least: bool = False
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    output_per_input: float | None = None
    scored: int = 0
    quality: float | None = None


@dataclass(frozen=True, slots=True)
class CostGroup(Measures):
    """One group; `split` of a variant; `trend` is spend in equal steps, the oldest first."""

    group: str = ""
    split: str | None = None
    trend: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Along:
    """Along time: `times` in seconds since 1970, `values` in dollars."""

    step_s: int = 60
    times: tuple[int, ...] = ()
    values: tuple[str, ...] = ()
    requests: tuple[int, ...] = ()
    priced: tuple[int, ...] = ()
    input_tokens: tuple[int, ...] = ()
    output_tokens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Projection:
    """Of the month. `basis`: too_early | days | weeks, of so many `days` of history."""

    basis: str = "too_early"
    days: int = 0
    low: str | None = None
    expected: str | None = None
    high: str | None = None


@dataclass(frozen=True, slots=True)
class Calendar:
    """By the calendar of the gateway's time zone. `first`: the first minute with a request in 28 days."""

    timezone: str = "UTC"
    month: int = 0
    now: int = 0
    first: int | None = None
    month_so_far: str | None = None
    today: str | None = None
    yesterday: str | None = None
    unpriced: int = 0
    projection: Projection = field(default_factory=Projection)


@dataclass(frozen=True, slots=True)
class UnpricedModel:
    """A model without a price."""

    model: str
    requests: int = 0


class Cost(msgspec.Struct, frozen=True):
    """GET /v1/cost."""

    window_s: int
    group_by: str
    total: Measures
    since: int = msgspec.field(name="from", default=0)
    complete: bool = True
    overlap: bool = False
    groups: tuple[CostGroup, ...] = ()
    spend: Along = msgspec.field(default_factory=Along)
    unpriced_models: tuple[UnpricedModel, ...] = ()
    calendar: Calendar = msgspec.field(default_factory=Calendar)


@dataclass(frozen=True, slots=True)
class MoneyRange:
    """From `low` to `high`."""

    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Scored:
    """Mean quality score and how many there are."""

    mean: float | None = None
    scored: int = 0


@dataclass(frozen=True, slots=True)
class BothScored:
    """Of the requests as they are now, and of the model they could go to."""

    now: Scored = field(default_factory=Scored)
    then: Scored = field(default_factory=Scored)


@dataclass(frozen=True, slots=True)
class Finding:
    """Requests that would have cost less elsewhere, and the draft (`text`) that would send them there."""

    kind: str
    model: str
    to: str
    requests: int
    saving: MoneyRange
    policy: str
    text: str
    key: str | None = None
    ends: str | None = None
    in_split: int = 0
    unpriced: int = 0
    cost: str = "0"
    would_cost: str = "0"
    saving_per_week: MoneyRange | None = None
    quality: BothScored = field(default_factory=BothScored)
    verdict: str = "no_data"


@dataclass(frozen=True, slots=True)
class Advice:
    """GET /v1/cost/advice. `complete`: all requests of the window were looked at; `version`: what the drafts change."""

    version: str = ""
    requests: int = 0
    complete: bool = True
    covered_s: int = 0
    findings: tuple[Finding, ...] = ()
