"""The price book: the policy file first, then the bundled data; looked up once per model, off the request's way."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from decimal import Decimal
from fnmatch import fnmatchcase

from proxy.policy.targets import Pricing, TargetSpec
from proxy.prices.bundled import bundled_quote, load
from proxy.prices.rates import Cost, Quote, Rate, cost
from proxy.wire.usage import Usage

_CACHED = 4_096
_VALID_S = 3_600.0
"""The data knows prices that change at a date; an hour is as late as one may be noticed."""

BundledLookup = Callable[[str, str, str | None, bool], Quote | None]
"""(provider, model, base URL, by the model's name alone if need be)."""


class PriceBook:
    """Quotes by provider, model and target, as one policy file has them. Made anew for each version of the file."""

    def __init__(
        self,
        pricing_of: Mapping[str, Mapping[str, Pricing]] | None = None,
        prices: Mapping[str, Pricing] | None = None,
        bundled: BundledLookup = bundled_quote,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """`pricing_of`: target id to its `pricing`; `prices`: the file's own table, for every target."""
        self._pricing_of = pricing_of or {}
        self._prices = prices or {}
        self._bundled = bundled
        self._clock_s = clock_s
        self._cache: OrderedDict[tuple[str, str, str], tuple[float, Quote | None]] = OrderedDict()

    def prepare(self, wanted: Iterable[tuple[str, str, TargetSpec | None]]) -> None:
        """Look up (provider, model, target) now, so that no request has to.

        Loads the bundled data too, for models that a file names by a glob only. Takes up to 0.3 s the first time.
        """
        load()
        for provider, model, target in wanted:
            self.quote(provider, model, target)

    def quote(self, provider: str, model: str, target: TargetSpec | None = None) -> Quote | None:
        """What `model` costs; None when nobody says. From memory when asked before (within the hour)."""
        key = (provider, model, target.id if target is not None else "")
        now = self._clock_s()
        known = self._cache.get(key)
        if known is not None and now - known[0] < _VALID_S:
            return known[1]
        found = self._look_up(provider, model, target)
        self._cache[key] = (now, found)
        self._cache.move_to_end(key)
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return found

    @staticmethod
    def cost(quote: Quote | None, usage: Usage, is_estimate: bool = False) -> Cost:
        """What an answer that went upstream cost: (nano-dollars or None, cost status, price source)."""
        return cost(quote, usage, is_estimate)

    def _look_up(self, provider: str, model: str, target: TargetSpec | None) -> Quote | None:
        price_as = target.price_as if target is not None else None
        names = (model, price_as) if price_as else (model,)
        written = self._written(names, target)
        if written is not None and written.input is not None:
            return _from_file(written)
        base_url = target.base_url if target is not None else None
        quote = self._bundled(provider, price_as or model, base_url, price_as is not None)
        if written is None:
            return quote
        return _patched(quote, written)

    def _written(self, names: tuple[str, ...], target: TargetSpec | None) -> Pricing | None:
        """What the file says: the target before the general table, a name before a glob."""
        tables: list[Mapping[str, Pricing]] = []
        if target is not None:
            tables.append(self._pricing_of.get(target.id) or target.pricing)
        tables.append(self._prices)
        for table in tables:
            for name in names:
                if name in table:
                    return table[name]
            for pattern, pricing in table.items():
                if any(fnmatchcase(name, pattern) for name in names):
                    return pricing
        return None


_FIGURES = tuple(field.name for field in fields(Pricing))
"""`Pricing` and `Quote` call the same prices by the same names."""


def _from_file(pricing: Pricing) -> Quote:
    return Quote(**{name: _rate(getattr(pricing, name)) for name in _FIGURES}, source="file")


def _patched(quote: Quote | None, pricing: Pricing) -> Quote | None:
    """`quote` with the single prices that the file gives; without a price for input there is no quote to patch."""
    if quote is None:
        return None
    given = {name: rate for name in _FIGURES if (rate := _rate(getattr(pricing, name))) is not None}
    return replace(quote, **given, source=f"file, {quote.source}")


def _rate(price: Decimal | None) -> Rate | None:
    return None if price is None else Rate(price)
