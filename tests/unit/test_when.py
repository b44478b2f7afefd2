"""Moments as people type them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktui.when import moment_words, parse_when

ZONE = timezone(timedelta(hours=2))
NOW = datetime(2026, 6, 11, 14, 32, 7, tzinfo=ZONE)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("14:02", NOW.replace(minute=2, second=0)),
        ("14:02:30", NOW.replace(minute=2, second=30)),
        ("23:10", NOW.replace(day=10, hour=23, minute=10, second=0)),
        ("-2h", NOW - timedelta(hours=2)),
        ("90m", NOW - timedelta(minutes=90)),
        ("2026-06-01", datetime(2026, 6, 1, tzinfo=ZONE)),
        (" 2026-06-01 12:00 ", datetime(2026, 6, 1, 12, tzinfo=ZONE)),
        ("2026-06-01T12:00:00Z", datetime(2026, 6, 1, 14, tzinfo=ZONE)),
        ("", NOW),
        ("now", NOW),
    ],
)
def test_what_is_accepted(text: str, moment: datetime) -> None:
    assert parse_when(text, NOW) == moment


@given(st.text(max_size=20))
def test_anything_else_is_one_sentence(text: str) -> None:
    try:
        parse_when(text, NOW)
    except ValueError as error:
        assert "is no moment: write 14:02" in str(error) and "\n" not in str(error)


def test_a_moment_says_its_day_when_it_is_another() -> None:
    assert moment_words(NOW, NOW) == "14:32:07"
    assert moment_words(NOW - timedelta(days=3), NOW) == "8 Jun 14:32:07"
    assert moment_words(NOW - timedelta(days=300), NOW) == "15 Aug 2025 14:32:07"
