"""Which arm a unit gets: fixed vectors, shares, and that ramps never move anybody back."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from hashlib import blake2b
from itertools import pairwise
from math import log, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.policy.assignment import DEFAULT_CHAIN, Rendezvous, unit_digest, unit_of
from proxy.policy.facts import RequestFacts

ARMS = [("variant-a", 95.0), ("variant-b", 5.0)]


def facts(**more: object) -> RequestFacts:
    return RequestFacts("chat", "gpt-4o", datetime(2026, 6, 1, tzinfo=UTC), 7, **more)  # type: ignore[arg-type]


def by_the_book(salt: str, policy: str, digest: str, arms: list[tuple[str, float]]) -> str:
    """The definition, written out without any of the shortcuts of the real thing."""

    def distance(tag: str, weight: float) -> float:
        data = b""
        for part in (salt, policy, digest, tag):
            encoded = part.encode()
            data += len(encoded).to_bytes(4, "big") + encoded
        number = int.from_bytes(blake2b(data, digest_size=8).digest(), "big")
        return -log((number + 0.5) / 2**64) / weight

    return min((arm for arm in arms if arm[1] > 0), key=lambda arm: distance(*arm))[0]


def test_digest_vectors() -> None:
    assert unit_digest("user", "u1") == "8974924273ac948bf91504743106a466"
    assert unit_digest("random", "7") == blake2b(b"random\x007", digest_size=16).hexdigest()
    assert unit_digest("user", "\ud800") != unit_digest("user", "?")


@pytest.mark.parametrize(
    ("salt", "user", "tag"),
    [
        ("", "u1", "variant-a"),
        ("", "u2", "variant-b"),
        ("", "u3", "variant-b"),
        ("", "u-48213", "variant-a"),
        ("", "ünïcode", "variant-b"),
        ("2026-06", "u1", "variant-a"),
        ("2026-06", "u2", "variant-b"),
        ("2026-06", "u3", "variant-b"),
        ("2026-06", "u-48213", "variant-b"),
        ("2026-06", "ünïcode", "variant-a"),
    ],
)
def test_pick_vectors(salt: str, user: str, tag: str) -> None:
    assert (
        Rendezvous(salt, "ab-test-models", [("variant-a", 50.0), ("variant-b", 50.0)]).pick(
            unit_digest("user", user)
        )
        == tag
    )


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 2**64 - 1), st.permutations([0, 1, 2]))
def test_picks_follow_the_definition_in_any_order(
    salt: str, policy: str, draw: int, order: list[int]
) -> None:
    arms = [("a", 0.5), ("b", 30.0), ("ü", 69.5)]
    digest = unit_digest("random", str(draw))
    expected = by_the_book(salt, policy, digest, arms)
    assert Rendezvous(salt, policy, [arms[index] for index in order]).pick(digest) == expected


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 1000), min_size=2, max_size=5).filter(any),
    st.data(),
)
def test_units_move_only_out_of_an_arm_that_fell_or_into_one_that_rose(
    weights: list[int], data: st.DataObject
) -> None:
    tags = [f"arm-{index}" for index in range(len(weights))]
    raised = data.draw(st.integers(0, len(weights) - 1))
    more = data.draw(st.integers(1, 1000))
    after = [weight + more * (index == raised) for index, weight in enumerate(weights)]
    old = Rendezvous("s", "p", zip(tags, map(float, weights), strict=True))
    new = Rendezvous("s", "p", zip(tags, map(float, after), strict=True))
    for unit in range(60):
        digest = unit_digest("user", str(unit))
        was, is_now = old.pick(digest), new.pick(digest)
        assert was == is_now or is_now == tags[raised]


def test_five_phases_move_nobody_back_and_hit_their_shares() -> None:
    users = 8000
    digests = [unit_digest("user", f"user-{index}") for index in range(users)]
    on_b: list[set[str]] = []
    for share in (5, 30, 50, 90, 100):
        split = Rendezvous("", "ab-test-models", [("variant-a", 100.0 - share), ("variant-b", float(share))])
        chosen = {digest for digest in digests if split.pick(digest) == "variant-b"}
        spread = sqrt(users * share / 100 * (1 - share / 100))
        assert abs(len(chosen) - users * share / 100) <= 4 * spread
        on_b.append(chosen)
    assert all(earlier <= later for earlier, later in pairwise(on_b))
    assert len(on_b[-1]) == users


def test_a_drained_arm_is_never_chosen_and_half_a_percent_is() -> None:
    split = Rendezvous("", "p", [("off", 0.0), ("small", 0.5), ("big", 99.5)])
    picks = Counter(split.pick(unit_digest("user", str(unit))) for unit in range(20_000))
    assert picks["off"] == 0
    assert 60 <= picks["small"] <= 145
    with pytest.raises(ValueError, match="above 0"):
        Rendezvous("", "p", [("off", 0.0)])


def test_experiments_do_not_follow_each_other() -> None:
    first, second = (Rendezvous("", name, [("a", 50.0), ("b", 50.0)]) for name in ("one", "two"))
    digests = [unit_digest("user", str(unit)) for unit in range(4000)]
    both = sum(first.pick(digest) == second.pick(digest) for digest in digests)
    assert abs(both - 2000) < 4 * sqrt(1000)


@pytest.mark.parametrize(
    ("given_facts", "chain", "expected"),
    [
        ({"headers": {"x-kt-unit": "h"}, "user": "u"}, DEFAULT_CHAIN, ("header:x-kt-unit", "h")),
        ({"safety_identifier": "s", "user": "u"}, DEFAULT_CHAIN, ("safety_identifier", "s")),
        ({"user": "u", "key": "k"}, DEFAULT_CHAIN, ("user", "u")),
        ({"user": ""}, DEFAULT_CHAIN, ("random", "7")),
        ({"key": "k", "conversation": "c"}, DEFAULT_CHAIN, ("random", "7")),
        ({"key": "k", "conversation": "c"}, ("conversation", "key"), ("conversation", "c")),
        ({"key": "k"}, ("conversation", "key"), ("key", "k")),
    ],
)
def test_the_first_unit_of_the_chain_counts(
    given_facts: dict[str, object], chain: tuple[str, ...], expected: tuple[str, str]
) -> None:
    assert unit_of(facts(**given_facts), chain) == expected
