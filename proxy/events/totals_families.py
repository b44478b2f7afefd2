"""Which figures of traffic are counted for monitoring systems, under which names and labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["counter", "histogram"]

TOKEN_BOUNDS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
DURATION_BOUNDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_TOKEN_BOUNDS = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
)  # fmt: skip
PER_TOKEN_BOUNDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)
"""These bounds are those that the OpenTelemetry GenAI metric conventions name for each metric."""
OVERHEAD_BOUNDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5)


@dataclass(frozen=True, eq=False, slots=True)
class Family:
    """One metric: `name` and `labels` in OpenTelemetry's spelling, from which that of Prometheus follows."""

    name: str
    kind: Kind
    doc: str
    labels: tuple[str, ...]
    unit: str = ""
    """UCUM: `s`, or an annotation in braces; `$` for money."""
    bounds: tuple[float, ...] = ()
    scale: int = 1
    """What one unit is in what is counted: a dollar is 1e9 nano-dollars, which add up exactly."""

    @property
    def prometheus(self) -> str:
        """The name in Prometheus, without `_total`: dots become underscores and the unit follows.

        The rule is that of OpenTelemetry's "Prometheus and OpenMetrics Compatibility"; annotations are left out.
        """
        unit = {"s": "_seconds", "$": "_dollars"}.get(self.unit, "")
        return self.name.replace(".", "_") + unit

    @property
    def prometheus_labels(self) -> tuple[str, ...]:
        """The labels as Prometheus spells them; ours without their namespace."""
        return tuple(label.removeprefix("ktui.").replace(".", "_") for label in self.labels)


_MODEL = ("ktui.model", "ktui.provider", "ktui.target")
_ARM = (*_MODEL, "ktui.variant")
_GEN_AI = ("gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model")

REQUESTS = Family(
    "ktui.requests",
    "counter",
    "Requests, one for each event in the store.",
    ("ktui.endpoint", *_ARM, "ktui.decision", "ktui.outcome"),
    "{request}",
)
ERRORS = Family(
    "ktui.request.errors",
    "counter",
    "Requests that ended with an error code, refusals included.",
    (*_MODEL, "ktui.error"),
    "{request}",
)
POLICIES = Family(
    "ktui.policy.matches", "counter", "Requests that a policy touched.", ("ktui.policy",), "{request}"
)
ATTEMPTS = Family(
    "ktui.upstream.attempts",
    "counter",
    "Requests sent upstream, by how each ended: `answered`, or why another was tried.",
    ("ktui.target", "ktui.result"),
    "{attempt}",
)
TOKENS = Family(
    "ktui.tokens",
    "counter",
    "Tokens. `input` holds `cached` and `cache_write`, `output` holds `reasoning`.",
    (*_ARM, "ktui.type"),
    "{token}",
)
COST = Family(
    "ktui.cost",
    "counter",
    "Cost in US dollars at the prices known when the event was stored.",
    (*_ARM, "ktui.cost_status"),
    "$",
    scale=10**9,
)
UNPRICED = Family(
    "ktui.unpriced.requests",
    "counter",
    "Requests that went upstream and whose cost is not known.",
    _MODEL,
    "{request}",
)
OVERHEAD = Family(
    "ktui.overhead",
    "histogram",
    "Time the gateway spent before it sent the first request upstream.",
    (),
    "s",
    OVERHEAD_BOUNDS,
)
TOKEN_USAGE = Family(
    "gen_ai.client.token.usage",
    "histogram",
    "Tokens of each request.",
    (*_GEN_AI, "gen_ai.token.type"),
    "{token}",
    TOKEN_BOUNDS,
)
DURATION = Family(
    "gen_ai.server.request.duration",
    "histogram",
    "Request headers read to last byte sent, of requests that went upstream.",
    (*_GEN_AI, "error.type"),
    "s",
    DURATION_BOUNDS,
)
FIRST_TOKEN = Family(
    "gen_ai.server.time_to_first_token",
    "histogram",
    "Request headers read to first token, of streams that ended well.",
    _GEN_AI,
    "s",
    FIRST_TOKEN_BOUNDS,
)
PER_TOKEN = Family(
    "gen_ai.server.time_per_output_token",
    "histogram",
    "Time for each token after the first, of streams that ended well.",
    _GEN_AI,
    "s",
    PER_TOKEN_BOUNDS,
)
FAMILIES = (
    REQUESTS, ERRORS, POLICIES, ATTEMPTS, TOKENS, COST, UNPRICED, OVERHEAD,
    TOKEN_USAGE, DURATION, FIRST_TOKEN, PER_TOKEN,
)  # fmt: skip

_OPERATIONS = {
    "chat": "chat",
    "messages": "chat",
    "responses": "chat",
    "completions": "text_completion",
}
_PROVIDERS = {"azure-openai": "azure.ai.openai"}


def operation_name(endpoint: str) -> str:
    """`gen_ai.operation.name` of an endpoint; those that the conventions do not name keep their own."""
    return _OPERATIONS.get(endpoint, endpoint)


def provider_name(provider: str | None) -> str:
    """`gen_ai.provider.name` of a provider; `ktui` for what the gateway answered itself."""
    return "ktui" if provider is None else _PROVIDERS.get(provider, provider)
