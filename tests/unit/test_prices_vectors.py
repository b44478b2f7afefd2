"""Cost vectors: what vendors report, and what it must come to, to the nano-dollar."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.policy.targets import Pricing, TargetSpec
from proxy.prices.book import PriceBook
from proxy.prices.rates import Quote, Rate, cost
from proxy.wire.usage import Usage, anthropic_usage, openai_usage

SONNET = Quote(
    Rate(Decimal(3)),
    Rate(Decimal(15)),
    cached_input=Rate(Decimal("0.3")),
    cache_write=Rate(Decimal("3.75")),
    cache_write_1h=Rate(Decimal(6)),
)
AUDIO = Quote(
    Rate(Decimal(5)), Rate(Decimal(20)), input_audio=Rate(Decimal(40)), output_audio=Rate(Decimal(80))
)


@pytest.mark.parametrize(
    ("report", "nanos"),
    [
        ({"input_tokens": 1000, "output_tokens": 100}, 4_500_000),
        # Cache reads and writes stand beside input_tokens in this dialect.
        (
            {
                "input_tokens": 3,
                "cache_creation_input_tokens": 12304,
                "cache_read_input_tokens": 0,
                "output_tokens": 550,
            },
            54_399_000,
        ),
        ({"input_tokens": 10, "cache_read_input_tokens": 1000, "output_tokens": 0}, 330_000),
        # Five minutes and an hour cost differently.
        (
            {
                "input_tokens": 0,
                "output_tokens": 0,
                "cache_creation_input_tokens": 300,
                "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
            },
            100 * 3750 + 200 * 6000,
        ),
        (
            {"input_tokens": 0, "output_tokens": 0, "cache_creation": {"ephemeral_1h_input_tokens": 200}},
            200 * 6000,
        ),
    ],
)
def test_anthropic_reports(report: dict[str, Any], nanos: int) -> None:
    usage = anthropic_usage(report)
    assert usage is not None
    assert cost(SONNET, usage) == (nanos, "priced", "file")


def test_reasoning_is_part_of_the_output_and_cached_input_part_of_the_input() -> None:
    usage = openai_usage(
        {
            "prompt_tokens": 1000,
            "completion_tokens": 500,
            "prompt_tokens_details": {"cached_tokens": 400},
            "completion_tokens_details": {"reasoning_tokens": 450},
        }
    )
    assert usage is not None and usage.reasoning_tokens == 450
    assert cost(SONNET, usage)[0] == 600 * 3_000 + 400 * 300 + 500 * 15_000


def test_audio_has_its_own_price() -> None:
    usage = openai_usage(
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "prompt_tokens_details": {"audio_tokens": 60},
            "completion_tokens_details": {"audio_tokens": 40},
        }
    )
    assert usage is not None
    assert cost(AUDIO, usage)[0] == 40 * 5_000 + 60 * 40_000 + 10 * 20_000 + 40 * 80_000


def test_an_azure_deployment_is_priced_as_the_model_it_runs() -> None:
    plain = TargetSpec("azure", provider="azure-openai")
    alias = TargetSpec("azure", provider="azure-openai", price_as="gpt-4o")
    book = PriceBook()
    assert cost(book.quote("azure-openai", "team-blue", plain), Usage(1000, 100))[:2] == (None, "unpriced")
    assert cost(PriceBook().quote("azure-openai", "team-blue", alias), Usage(1000, 100))[:2] == (
        3_500_000,
        "priced",
    )


@pytest.mark.parametrize(
    "usage",
    [
        Usage(100, 10, cached_tokens=101),
        Usage(100, 10, cached_tokens=60, cache_write_tokens=60),
        Usage(100, 10, cache_write_tokens=10, cache_write_1h_tokens=11),
        Usage(100, 10, output_audio_tokens=11),
        Usage(100, 10, cached_tokens=-1),
    ],
)
def test_impossible_reports_are_cut_and_marked(usage: Usage) -> None:
    nanos, status, _ = cost(SONNET, usage)
    assert status == "estimated"
    assert nanos is not None and 0 <= nanos <= 100 * 6_000 + 10 * 15_000


@pytest.mark.parametrize("usage", [Usage(None, 5), Usage(5, None), Usage(-1, 5), Usage(10**13, 5)])
def test_what_cannot_be_told_is_unpriced(usage: Usage) -> None:
    assert cost(SONNET, usage)[:2] == (None, "unpriced")


def test_the_file_may_price_an_hour_and_audio() -> None:
    written = Pricing(
        Decimal(1), Decimal(2), cache_write=Decimal(3), cache_write_1h=Decimal(4), output_audio=Decimal(5)
    )
    quote = PriceBook({}, {"m": written}).quote("openai-compatible", "m")
    usage = Usage(10, 10, cache_write_tokens=8, cache_write_1h_tokens=6, output_audio_tokens=5)
    assert cost(quote, usage) == ((2 * 1 + 2 * 3 + 6 * 4 + 5 * 2 + 5 * 5) * 1_000, "priced", "file")


TOKENS = st.one_of(st.none(), st.integers(0, 10**6))


@given(st.builds(Usage, *[TOKENS] * 9))
def test_parts_never_cost_more_than_the_dearest_rate_of_the_whole(usage: Usage) -> None:
    nanos, status, _ = cost(SONNET, usage)
    if usage.reported:
        assert nanos is not None and status in ("priced", "estimated")
        assert nanos <= (usage.input_tokens or 0) * 6_000 + (usage.output_tokens or 0) * 15_000
    else:
        assert (nanos, status) == (None, "unpriced")


def test_later_figures_replace_earlier_ones_and_silence_does_not() -> None:
    start = anthropic_usage({"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 1})
    delta = anthropic_usage({"output_tokens": 40})
    assert start is not None and delta is not None
    assert start.merged(delta) == Usage(10, 40, cached_tokens=3)
