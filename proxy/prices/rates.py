"""What a token costs, and what an answer cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from proxy.base.money import to_nanos
from proxy.wire.usage import Usage

CostStatus = Literal["priced", "unpriced", "estimated", "none"]
_MILLION = Decimal(1_000_000)
_MAX_TOKENS = 10**12


@dataclass(frozen=True, slots=True)
class Rate:
    """Dollars per million tokens."""

    base: Decimal
    tiers: tuple[tuple[int, Decimal], ...] = ()
    """(input tokens, rate): with more input than that, the rate holds for every token. Ascending."""

    def at(self, input_tokens: int) -> Decimal:
        """The rate of an answer with so much input."""
        rate = self.base
        for start, tier in self.tiers:
            if input_tokens > start:
                rate = tier
        return rate


@dataclass(frozen=True, slots=True)
class Quote:
    """The prices of one model at one target. None: not known; cached and written input then cost what input costs."""

    input: Rate | None
    output: Rate | None
    cached_input: Rate | None = None
    cache_write: Rate | None = None
    source: str = "file"
    """Who says so: `file`, or the name and version of the bundled data."""


Cost = tuple[int | None, CostStatus, str | None]
"""Nano-dollars, how they are known, and whose prices they rest on."""


def cost(quote: Quote | None, usage: Usage) -> Cost:
    """What an answer that went upstream cost: rounded once, half-even.

    `unpriced` (and None, never 0) when a price that is needed is not known, or the tokens are not. `estimated` when
    the vendor's report contradicts itself (more cached input than input): the parts are then cut to the whole.
    """
    if quote is None:
        return None, "unpriced", None
    inputs = _sound(usage.input_tokens)
    outputs = _sound(usage.output_tokens)
    if outputs is None and usage.output_tokens is None and quote.output is None:
        # A model without a price for output (embeddings) reports none.
        outputs = 0
    if inputs is None or outputs is None or quote.input is None:
        return None, "unpriced", quote.source
    cached, cached_sound = _part(usage.cached_tokens, inputs)
    written, written_sound = _part(usage.cache_write_tokens, inputs - cached)
    if outputs and quote.output is None:
        return None, "unpriced", quote.source
    dollars = (
        (inputs - cached - written) * quote.input.at(inputs)
        + cached * (quote.cached_input or quote.input).at(inputs)
        + written * (quote.cache_write or quote.input).at(inputs)
    )
    if quote.output is not None:
        dollars += outputs * quote.output.at(inputs)
    return (
        to_nanos(dollars / _MILLION),
        "priced" if cached_sound and written_sound else "estimated",
        quote.source,
    )


def _sound(tokens: int | None) -> int | None:
    return tokens if tokens is not None and 0 <= tokens <= _MAX_TOKENS else None


def _part(tokens: int | None, whole: int) -> tuple[int, bool]:
    """A part of `whole`, cut to it, and whether it was one."""
    if tokens is None:
        return 0, True
    return min(max(tokens, 0), whole), 0 <= tokens <= whole
