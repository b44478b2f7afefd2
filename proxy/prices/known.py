"""Whether the bundled data has a price: what lint asks of models under a cost limit."""

from __future__ import annotations

from functools import lru_cache

from proxy.policy.targets import TargetSpec
from proxy.prices.bundled import bundled_quote


def price_known(target: TargetSpec, model: str) -> bool:
    """Whether the data that ships with the program prices `model` as `target` serves it. The file is not asked.

    The first question takes 0.15 s (the data is loaded), a repeated one nothing.
    """
    return _known(target.provider, target.price_as or model, target.base_url, target.price_as is not None)


@lru_cache(maxsize=4_096)
def _known(provider: str, model: str, base_url: str | None, anywhere: bool) -> bool:
    return bundled_quote(provider, model, base_url, anywhere) is not None
