"""Time outside: RFC 3339 UTC with milliseconds. Inside: integer milliseconds since 1970."""

from __future__ import annotations

import math
import re
import time
from datetime import UTC, datetime

_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)\s*")
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
"""The years 1 to 9999: what a date can be made of, and 64 bits hold."""


def now_ms() -> int:
    """The wall clock in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def rfc3339(ms: int) -> str:
    """`ms` as `2026-06-11T14:32:07.413Z`."""
    moment = datetime.fromtimestamp(ms // 1_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1_000:03d}Z"


def parse_moment(text: str, now: int) -> int:
    """Milliseconds of `text`: a span back from `now` ("7d", "1h30m", "90s"), or an RFC 3339 time or date (UTC).

    Raises ValueError with one sentence that says what is accepted.
    """
    span = parse_span(text)
    found = now - span if span is not None else _written_out(text)
    if not _FIRST_MS <= found <= _LAST_MS:
        raise ValueError(f"{text!r} is not within the years 1 to 9999")
    return found


def _written_out(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a time: write a span such as 1h or 7d, or 2026-06-11T14:00:00Z"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1_000)


def parse_span(text: str) -> int | None:
    """Milliseconds of a span such as "15m", "7d" or "1h30m"; None when `text` is not one, or is beyond all numbers."""
    position, total = 0, 0.0
    while position < len(text):
        match = _SPAN.match(text, position)
        if match is None:
            return None
        total += float(match.group(1)) * _UNIT_MS[match.group(2)]
        position = match.end()
    return round(total) if position and math.isfinite(total) else None


def span_text(seconds: int) -> str:
    """A span as parse_span reads it: `45s`, `5m`, `1h30m`."""
    parts = ((seconds // 3_600, "h"), (seconds % 3_600 // 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"
