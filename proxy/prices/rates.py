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
    """The prices of one model at one target.

    None: not known. Cached, written, audio and image input then cost what input costs, audio output what output
    costs, and input written for an hour what written input costs.
    """

    input: Rate | None
    output: Rate | None
    cached_input: Rate | None = None
    cache_write: Rate | None = None
    source: str = "file"
    """Who says so: `file`, or the name and version of the bundled data."""
    cache_write_1h: Rate | None = None
    input_audio: Rate | None = None
    output_audio: Rate | None = None
    input_image: Rate | None = None


Cost = tuple[int | None, CostStatus, str | None]
"""Nano-dollars, how they are known, and whose prices they rest on."""


def cost(quote: Quote | None, usage: Usage, is_estimate: bool = False) -> Cost:
    """What an answer that went upstream cost: rounded once, half-even. `is_estimate`: the tokens were not reported.

    `unpriced` (and None, never 0) when a price that is needed is not known, or the tokens are not. `estimated` when
    the tokens are, and when the vendor's report contradicts itself (more cached input than input): the parts are
    then cut to the whole.
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
    if outputs and quote.output is None:
        return None, "unpriced", quote.source
    spent, sound = _input_cost(quote, quote.input, usage, inputs)
    if quote.output is not None:
        audio, audio_sound = _part(usage.output_audio_tokens, outputs)
        rate = quote.output.at(inputs)
        spent += (outputs - audio) * rate + audio * (quote.output_audio or quote.output).at(inputs)
        sound = sound and audio_sound
    is_known = sound and not is_estimate
    return to_nanos(spent / _MILLION), "priced" if is_known else "estimated", quote.source


def _input_cost(quote: Quote, base: Rate, usage: Usage, inputs: int) -> tuple[Decimal, bool]:
    """Millionths of dollars that the input cost, and whether its parts fit into the whole.

    What is written for an hour is a part of what is written.
    """
    written_rate = quote.cache_write or base
    hour, hour_sound = _part(usage.cache_write_1h_tokens, max(usage.cache_write_tokens or 0, 0))
    parts = (
        (usage.cached_tokens, quote.cached_input or base),
        (hour, quote.cache_write_1h or written_rate),
        (usage.cache_write_tokens and usage.cache_write_tokens - hour, written_rate),
        (usage.input_audio_tokens, quote.input_audio or base),
        (usage.input_image_tokens, quote.input_image or base),
    )
    rest, spent, sound = inputs, Decimal(0), hour_sound
    for reported, rate in parts:
        if not reported:
            continue
        tokens, fits = _part(reported, rest)
        rest -= tokens
        spent += tokens * rate.at(inputs)
        sound = sound and fits
    return spent + rest * base.at(inputs), sound


def _sound(tokens: int | None) -> int | None:
    return tokens if tokens is not None and 0 <= tokens <= _MAX_TOKENS else None


def _part(tokens: int | None, whole: int) -> tuple[int, bool]:
    """A part of `whole`, cut to it, and whether it was one."""
    if tokens is None:
        return 0, True
    return min(max(tokens, 0), whole), 0 <= tokens <= whole
