"""Which models have a price, which have none, in a form that can be shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from proxy.policy.targets import TargetSpec
from proxy.prices.book import PriceBook
from proxy.prices.rates import Quote, Rate

FIGURES = (
    "input",
    "output",
    "cached_input",
    "cache_write",
    "cache_write_1h",
    "input_audio",
    "output_audio",
    "input_image",
)
"""Prices of a quote, dollars per million tokens."""


@dataclass(frozen=True, slots=True)
class Priced:
    """A model at a target, and what it costs there; `quote` is None when nobody says."""

    target: str
    provider: str
    model: str
    quote: Quote | None

    def to_json(self) -> dict[str, Any]:
        """The form of the control API: prices as decimal strings, null where not known."""
        quote = self.quote
        figures = {name: _shown(getattr(quote, name) if quote is not None else None) for name in FIGURES}
        tiers = quote.input.tiers if quote is not None and quote.input is not None else ()
        return {
            "target": self.target,
            "provider": self.provider,
            "model": self.model,
            **figures,
            "tiered_from": tiers[0][0] if tiers else None,
            "source": quote.source if quote is not None else None,
        }


def priced(book: PriceBook, served: Iterable[tuple[TargetSpec, str]]) -> list[Priced]:
    """The price of each (target, model), each pair once, in the order given."""
    found: dict[tuple[str, str], Priced] = {}
    for spec, model in served:
        if (spec.id, model) not in found:
            quote = book.quote(spec.provider, model, spec)
            found[spec.id, model] = Priced(spec.id, spec.provider, model, quote)
    return list(found.values())


def _shown(rate: Rate | None) -> str | None:
    return None if rate is None else f"{rate.base.normalize():f}"
