"""A moment as people type it. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from proxy.base.times import parse_span

ACCEPTED = "14:02, 14:02:30, -2h, 2026-06-01, 2026-06-01 14:02 or RFC 3339"
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(?::(\d{2}))?")


def parse_when(text: str, now: datetime) -> datetime:
    """The moment `text` names, in the zone of `now`; a time of day that is still to come means yesterday's.

    Raises ValueError with one sentence that says what is accepted.
    """
    given = text.strip()
    if given in ("", "now"):
        return now
    span = parse_span(given.removeprefix("-"))
    try:
        if span is not None:
            return now - timedelta(milliseconds=span)
        clock = _CLOCK.fullmatch(given)
        if clock is None:
            return _in_zone(datetime.fromisoformat(given), now)
        hour, minute, second = (int(part or 0) for part in clock.groups())
        found = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
    except (ValueError, OverflowError):
        raise ValueError(f"{given!r} is no moment: write {ACCEPTED}") from None
    return found if found <= now else found - timedelta(days=1)


def _in_zone(moment: datetime, now: datetime) -> datetime:
    return moment.replace(tzinfo=now.tzinfo) if moment.tzinfo is None else moment.astimezone(now.tzinfo)


def moment_words(moment: datetime, now: datetime) -> str:
    """`14:02:10`; on another day `1 Jun 14:02:10`, in another year with the year."""
    if moment.date() == now.date():
        return f"{moment:%H:%M:%S}"
    year = f" {moment.year}" if moment.year != now.year else ""
    return f"{moment.day} {moment:%b}{year} {moment:%H:%M:%S}"
