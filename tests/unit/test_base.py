from __future__ import annotations

import copy
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.base.ids import uuid7
from proxy.base.money import to_decimal_string, to_nanos
from proxy.base.sanitise import header_value, sanitise, sanitise_block
from proxy.base.secret import Secret
from proxy.base.times import parse_moment, parse_span, rfc3339


def test_secret_never_shows_itself() -> None:
    secret = Secret("sk-canary")
    assert "canary" not in f"{secret} {secret!r} {secret:>20} {[secret]} { ({'key': secret}) }"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)


def test_secret_compares_bytes_without_raising() -> None:
    assert Secret("é").matches("é".encode())
    assert not Secret("é").matches(b"\xff\xfe")


@given(st.text())
def test_sanitised_text_has_nothing_a_terminal_acts_on(text: str) -> None:
    shown = sanitise(text)
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) <= 0x9F or 0xD800 <= ord(c) <= 0xDFFF for c in shown)
    shown.encode()


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b]52;c;QQ==\x07", "␛]52;c;QQ==␇"),
        ("a\u202eb", "a<202E>b"),
        ("\x9b31m", "<009B>31m"),
        ("tag\U000e0041", "tag<E0041>"),
        ("日本 ok é", "日本 ok é"),
    ],
)
def test_attacks_become_visible(raw: str, shown: str) -> None:
    assert sanitise(raw) == shown


def test_sanitise_cuts_with_an_ellipsis() -> None:
    assert sanitise("abcdef", limit=4) == "abc…"


def test_block_keeps_lines() -> None:
    assert sanitise_block("a\tb\nc\r\n") == "a   b\nc␍\n"


def test_header_value_cannot_split_a_response() -> None:
    assert header_value("x\r\nSet-Cookie: a") == "x__Set-Cookie:_a"


def test_uuid7_is_version_7_and_carries_the_time() -> None:
    text = uuid7(0x0123456789AB)
    assert text.replace("-", "")[:12] == "0123456789ab"
    assert text[14] == "7"
    assert text[19] in "89ab"
    assert len({uuid7() for _ in range(1_000)}) == 1_000


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_money_survives_the_round_trip(nanos: int) -> None:
    text = to_decimal_string(nanos)
    assert "e" not in text.lower()
    assert to_nanos(Decimal(text)) == nanos


def test_money_rounds_half_even() -> None:
    assert to_nanos(Decimal("0.0000000005")) == 0
    assert to_nanos(Decimal("0.0000000015")) == 2


def test_times() -> None:
    assert rfc3339(1_781_187_123_413) == "2026-06-11T14:12:03.413Z"
    assert parse_span("1h30m") == 5_400_000
    assert parse_span("7 apples") is None
    assert parse_moment("7d", 10 * 86_400_000) == 3 * 86_400_000
    assert parse_moment("2026-06-11T14:12:03.413Z", 0) == 1_781_187_123_413
    with pytest.raises(ValueError, match="not a time"):
        parse_moment("yesterday", 0)
