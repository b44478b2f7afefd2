"""What an answer costs at prices that came after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from proxy.policy.targets import TargetSpec
from proxy.prices.book import PriceBook
from proxy.prices.rates import Cost, Quote
from proxy.wire.usage import Usage


@dataclass(frozen=True, slots=True)
class LatePrices:
    """The prices of one policy version, for answers that are recorded already."""

    book: PriceBook
    targets: Mapping[str, TargetSpec]
    """By id; a target that is no more is priced by its provider and model alone."""

    def __call__(
        self, provider: str, target: str | None, model: str, usage: Usage, is_estimate: bool
    ) -> Cost | None:
        """As `rates.cost` says it; None where that needs more than what is kept of an answer.

        Of `usage` the sums, cached and written tokens are kept, but not what was audio, images, or written for an hour.
        """
        quote = self.book.quote(provider, model, self.targets.get(target) if target is not None else None)
        if quote is not None and _tells_parts_apart(quote, usage):
            return None
        return self.book.cost(quote, usage, is_estimate)


def _tells_parts_apart(quote: Quote, usage: Usage) -> bool:
    """Whether `quote` prices something apart that may be a part of these tokens."""
    written = quote.cache_write or quote.input
    return (
        _differ(quote.input_audio, quote.input)
        or _differ(quote.input_image, quote.input)
        or _differ(quote.output_audio, quote.output)
        or (bool(usage.cache_write_tokens) and _differ(quote.cache_write_1h, written))
    )


def _differ(one: object, other: object) -> bool:
    return one is not None and one != other
