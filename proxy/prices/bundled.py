"""Prices that ship with the program: the genai-prices data. No network."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from proxy.prices.rates import Quote, Rate

_PROVIDER_IDS = {"openai": ("openai",), "anthropic": ("anthropic",), "azure-openai": ("azure", "openai")}
"""Names of the data for our kinds of provider, in the order they are asked. The model is then looked up there only:
a model of the same name elsewhere may cost something else."""


def bundled_quote(
    provider: str, model: str, base_url: str | None = None, anywhere: bool = False
) -> Quote | None:
    """What the data says of `model`; None when it does not know it.

    An `openai-compatible` endpoint is known by its address alone; with `anywhere` (the operator named a model to
    price it as) by the model's name.
    """
    # Imported here: the data takes 0.15 s to load, and a command that needs no price should not wait for it.
    from genai_prices import data_snapshot

    snapshot = data_snapshot.get_snapshot()
    asked: list[tuple[str | None, str | None]] = [(name, None) for name in _PROVIDER_IDS.get(provider, ())]
    if not asked and base_url:
        asked.append((None, base_url))
    if anywhere and provider not in _PROVIDER_IDS:
        asked.append((None, None))
    for provider_id, api_url in asked:
        try:
            _, found = snapshot.find_provider_model(model, None, provider_id, api_url)
        except LookupError:
            continue
        quote = _quote(found.get_prices(datetime.now(UTC)))
        if quote is not None:
            return quote
    return None


def load() -> None:
    """Load the data now (0.15 s, once in a process), so that no later look-up has to."""
    bundled_quote("openai", "gpt-4o")


def _quote(prices: Any) -> Quote | None:
    inputs = _rate(prices.input_mtok)
    if inputs is None:
        return None
    return Quote(
        inputs,
        _rate(prices.output_mtok),
        _rate(prices.cache_read_mtok),
        _rate(prices.cache_write_mtok),
        source_name(),
        cache_write_1h=_rate(prices.cache_write_1h_mtok),
        input_audio=_rate(prices.input_audio_mtok),
        output_audio=_rate(prices.output_audio_mtok),
        input_image=_rate(prices.input_image_mtok),
    )


def _rate(price: Any) -> Rate | None:
    """A price of the data, which is a Decimal or a base with tiers."""
    if price is None:
        return None
    tiers = getattr(price, "tiers", None)
    if tiers is None:
        return Rate(price)
    return Rate(price.base, tuple((tier.start, tier.price) for tier in tiers))


def source_name() -> str:
    """Name and version of the data."""
    from genai_prices import __version__

    return f"genai-prices {__version__}"
