"""What the simulated vendors are like: their models, how fast they answer, and how often they fail."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True, slots=True)
class Fault:
    """One way a request fails. `rate`: share of the requests."""

    status: int
    type: str
    message: str
    rate: float


@dataclass(frozen=True, slots=True)
class ModelProfile:
    """How one model behaves. Times in seconds; all of them are log-normal with this median and sigma."""

    ttft_s: float
    """Median time to the first token."""
    ttft_sigma: float
    gap_s: float
    """Median time between two tokens."""
    gap_sigma: float
    tokens: int
    """Median length of an answer."""
    tokens_sigma: float
    faults: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class VendorProfile:
    """One vendor. `error_style`: whose shape its errors have."""

    name: str
    models: Mapping[str, ModelProfile]
    embeddings: Mapping[str, int]
    """Embedding models and their dimensions."""


@dataclass(frozen=True, slots=True)
class Course:
    """What one request will be like, drawn before it is answered. Times in seconds."""

    ttft_s: float
    gap_s: float
    tokens: int
    fault: Fault | None


_LIMIT = Fault(429, "rate_limit_exceeded", "Rate limit reached for requests. Please try again in 1s.", 0.002)
_SERVER = Fault(500, "server_error", "The server had an error while processing your request.", 0.002)
_BUSY = Fault(
    503, "service_unavailable", "The engine is currently overloaded, please try again later.", 0.003
)
_OVERLOADED = Fault(529, "overloaded_error", "Overloaded", 0.005)
_API = Fault(500, "api_error", "Internal server error", 0.003)

OPENAI = VendorProfile(
    "openai",
    {
        "gpt-4o": ModelProfile(0.43, 0.32, 0.0043, 0.22, 205, 0.42, (_BUSY, _SERVER, _LIMIT)),
        "gpt-4o-mini": ModelProfile(0.21, 0.22, 0.0036, 0.20, 95, 0.35, (_SERVER,)),
        "gpt-4-turbo": ModelProfile(0.78, 0.28, 0.0096, 0.20, 235, 0.35, (_SERVER,)),
    },
    {"text-embedding-3-small": 1536},
)
ANTHROPIC = VendorProfile(
    "anthropic",
    {"claude-sonnet-4-20250514": ModelProfile(0.45, 0.30, 0.0049, 0.22, 165, 0.40, (_OVERLOADED, _API))},
    {},
)
VENDORS = (OPENAI, ANTHROPIC)

_WEATHER_PERIOD_S = 97.0
_WEATHER_SWING = 0.12


def weather(vendor: str, now_s: float) -> float:
    """How much slower than usual the vendor is at this moment: a slow swing, each vendor at its own beat."""
    phase = sum(vendor.encode()) % 7
    return 1 + _WEATHER_SWING * math.sin(2 * math.pi * now_s / _WEATHER_PERIOD_S + phase)


def draw_course(profile: ModelProfile, random: Random, limit: int | None, slower: float = 1.0) -> Course:
    """The course of one request. `limit`: the most tokens the client wants; None leaves it to the model."""

    def around(median: float, sigma: float) -> float:
        return random.lognormvariate(math.log(median), sigma)

    tokens = max(1, round(around(profile.tokens, profile.tokens_sigma)))
    return Course(
        ttft_s=around(profile.ttft_s, profile.ttft_sigma) * slower,
        gap_s=around(profile.gap_s, profile.gap_sigma) * slower,
        tokens=tokens if limit is None else min(tokens, limit + 1),
        fault=_drawn_fault(profile.faults, random.random()),
    )


def _drawn_fault(faults: tuple[Fault, ...], draw: float) -> Fault | None:
    for fault in faults:
        if draw < fault.rate:
            return fault
        draw -= fault.rate
    return None
