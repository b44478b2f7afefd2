"""Prices: the file before the bundled data, exact to the nano-dollar, unknown is never zero."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest

from proxy.policy.targets import Pricing, TargetSpec
from proxy.prices.book import PriceBook
from proxy.prices.rates import Quote, Rate, cost
from proxy.wire.usage import Usage


def price(text: str) -> Decimal:
    return Decimal(text)


def flat(inputs: str, outputs: str | None = None, **more: str) -> Quote:
    return Quote(
        Rate(Decimal(inputs)),
        None if outputs is None else Rate(Decimal(outputs)),
        **{name: Rate(Decimal(value)) for name, value in more.items()},
    )


def test_known_models_of_the_guide() -> None:
    book = PriceBook()
    for provider, model, nanos in (
        ("openai", "gpt-4o", 3_500_000),
        ("openai", "gpt-4o-mini", 210_000),
        ("openai", "gpt-4o-2024-08-06", 3_500_000),
        ("anthropic", "claude-sonnet-4-20250514", 4_500_000),
        ("azure-openai", "gpt-4o", 3_500_000),
    ):
        found = PriceBook.cost(book.quote(provider, model), Usage(1_000, 100))
        assert found[:2] == (nanos, "priced"), model
        assert str(found[2]).startswith("genai-prices ")


def test_an_unknown_model_is_unpriced_and_not_free() -> None:
    book = PriceBook()
    assert book.quote("openai", "no-such-model") is None
    assert book.quote("openai-compatible", "gpt-4o") is None
    assert book.quote("openai", "claude-sonnet-4-20250514") is None
    assert book.quote("openai", "\ud800\x00" * 50) is None
    assert cost(None, Usage(1_000, 100)) == (None, "unpriced", None)


def test_the_file_wins_and_is_the_whole_story_once_it_prices_input() -> None:
    target = TargetSpec(
        "openai",
        pricing={
            "gpt-*": Pricing(input=price("9"), output=price("9")),
            "gpt-4o": Pricing(input=price("1"), output=price("2")),
        },
    )
    book = PriceBook()
    named = book.quote("openai", "gpt-4o", target)
    assert cost(named, Usage(1_000_000, 1_000_000, cached_tokens=400_000)) == (
        3_000_000_000,
        "priced",
        "file",
    )
    glob = book.quote("openai", "gpt-9", target)
    assert cost(glob, Usage(1_000_000, 0)) == (9_000_000_000, "priced", "file")


def test_single_prices_of_the_file_amend_the_bundled_ones() -> None:
    target = TargetSpec("openai", pricing={"gpt-4o": Pricing(cached_input=price("0.5"))})
    quote = PriceBook().quote("openai", "gpt-4o", target)
    assert quote is not None
    assert quote.source.startswith("file, genai-prices")
    assert cost(quote, Usage(1_000_000, 0, cached_tokens=1_000_000))[0] == 500_000_000
    assert cost(quote, Usage(1_000_000, 0))[0] == 2_500_000_000


def test_the_general_table_of_the_file_comes_after_the_target() -> None:
    prices = {"gpt-4o": Pricing(price("7"), price("7")), "local-*": Pricing(price("0"), price("0"))}
    book = PriceBook({"mine": {"gpt-4o": Pricing(price("1"), price("1"))}}, prices)
    mine, other = TargetSpec("mine"), TargetSpec("other")
    assert cost(book.quote("openai", "gpt-4o", mine), Usage(10, 0))[0] == 10_000
    assert cost(book.quote("openai", "gpt-4o", other), Usage(10, 0))[0] == 70_000
    assert cost(book.quote("openai-compatible", "local-7b", other), Usage(10, 10)) == (0, "priced", "file")


def test_a_deployment_is_priced_as_the_model_it_is() -> None:
    target = TargetSpec("azure-openai", "azure-openai", price_as="gpt-4o")
    quote = PriceBook().quote("azure-openai", "our-deployment", target)
    assert cost(quote, Usage(1_000, 100))[:2] == (3_500_000, "priced")
    local = TargetSpec("local", "openai-compatible", "http://127.0.0.1:1/v1", price_as="gpt-4o")
    assert PriceBook().quote("openai-compatible", "whatever", local) is not None


@pytest.mark.parametrize(
    ("usage", "nanos"),
    [
        (Usage(1, 0), 2),  # 2.5 nano-dollars go to the even neighbour
        (Usage(3, 0), 8),  # 7.5
        (Usage(1_000, 0, cached_tokens=400), 1_540),
        (Usage(1_000, 0, cached_tokens=400, cache_write_tokens=100), 1_590),
        (Usage(0, 0), 0),
        (Usage(10**12, 10**12), 12_500_000_000_000),
    ],
)
def test_money_is_exact_and_rounded_once_half_even(usage: Usage, nanos: int) -> None:
    quote = flat("0.0025", "0.01", cached_input="0.0001", cache_write="0.003")
    assert cost(quote, usage) == (nanos, "priced", "file")


@pytest.mark.parametrize(
    "usage", [Usage(), Usage(10, None), Usage(None, 10), Usage(-1, 5), Usage(5, -1), Usage(10**13, 1)]
)
def test_unknown_or_impossible_tokens_are_unpriced(usage: Usage) -> None:
    assert cost(flat("1", "1"), usage) == (None, "unpriced", "file")


def test_impossible_parts_are_cut_and_the_cost_is_called_an_estimate() -> None:
    quote = flat("2", "4", cached_input="1", cache_write="3")
    assert cost(quote, Usage(10, 0, cached_tokens=50)) == (10_000, "estimated", "file")
    assert cost(quote, Usage(10, 0, cached_tokens=-5)) == (20_000, "estimated", "file")
    assert cost(quote, Usage(10, 0, cached_tokens=6, cache_write_tokens=9)) == (18_000, "estimated", "file")


def test_a_model_without_output() -> None:
    assert cost(flat("1"), Usage(10, None)) == (10_000, "priced", "file")
    assert cost(flat("1"), Usage(10, 0)) == (10_000, "priced", "file")
    assert cost(flat("1"), Usage(10, 3)) == (None, "unpriced", "file")


def test_a_tier_holds_for_every_token() -> None:
    rate = Rate(Decimal(1), ((100, Decimal(2)), (200, Decimal(5))))
    quote = Quote(rate, Rate(Decimal(1)))
    assert [cost(quote, Usage(count, 0))[0] for count in (100, 101, 200, 201)] == [
        100_000,
        202_000,
        400_000,
        1_005_000,
    ]


def counting(answers: dict[str, Quote]) -> tuple[list[str], Callable[..., Quote | None]]:
    asked: list[str] = []

    def look_up(provider: str, model: str, base_url: str | None, anywhere: bool) -> Quote | None:
        asked.append(model)
        return answers.get(model)

    return asked, look_up


def test_each_model_is_looked_up_once_an_hour_and_memory_is_bounded() -> None:
    asked, look_up = counting({"m": flat("1", "1")})
    now = [0.0]
    book = PriceBook(bundled=look_up, clock_s=lambda: now[0])
    target = TargetSpec("t")
    book.prepare([("openai", "m", target)])
    for _ in range(3):
        assert book.quote("openai", "m", target) is not None
        assert book.quote("openai", "none", target) is None
    assert asked == ["m", "none"]
    now[0] = 3_600.0
    book.quote("openai", "m", target)
    assert asked == ["m", "none", "m"]
    for number in range(10_000):
        book.quote("openai", f"model-{number}", target)
    assert len(book._cache) <= 4_096
