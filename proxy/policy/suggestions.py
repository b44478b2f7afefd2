"""What was probably meant: nearest names, spans in words, likely names of variables."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from proxy.policy.document import has_unprintable
from proxy.policy.spec import seconds_of

_WORDY_PART = re.compile(
    r"(\d{1,9}(?:\.\d{1,3})?)\s*"
    r"(ms|milliseconds?|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d|weeks?|w)\b",
    re.IGNORECASE,
)
_SPAN_UNITS = {
    "ms": "ms",
    "mil": "ms",
    "m": "m",
    "min": "m",
    "s": "s",
    "sec": "s",
    "h": "h",
    "hou": "h",
    "hr": "h",
    "d": "d",
    "day": "d",
    "w": "w",
    "wee": "w",
}
"""By the first letters of the word."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def spelled_span(text: str) -> str | None:
    """`3 days` and `1 hour 30 min` as 3d and 1h30m; None when that is not what it says."""
    parts = _WORDY_PART.findall(text)
    if not parts or _WORDY_PART.sub("", text).strip(" ,"):
        return None
    spelled = "".join(number + _unit(word.lower()[:3]) for number, word in parts)
    return spelled if seconds_of(spelled) else None


def _unit(word: str) -> str:
    return _SPAN_UNITS.get(word) or _SPAN_UNITS[word.rstrip("s")]


def variable_for(target_id: str) -> str:
    """A likely name of the variable that holds the key of a target: OPENAI_API_KEY."""
    return (re.sub(r"[^A-Z0-9]+", "_", target_id[:60].upper()).strip("_") or "MY") + "_API_KEY"


def nearest(word: str, choices: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The choice that `word` is most likely a slip of, or None; `cutoff` from 0 to 1: how alike they must be."""
    by_normal: dict[str, str] = {}
    for choice in choices:
        by_normal.setdefault(normal(choice), choice)
    found = difflib.get_close_matches(normal(word), by_normal, n=1, cutoff=cutoff)
    return by_normal[found[0]] if found else None


def normal(word: str) -> str:
    """`word` as a key would be spelled: small letters, `_` between words, camel case taken apart."""
    printable = "".join(character for character in word[:80] if not has_unprintable(character))
    return _CAMEL.sub("_", printable).lower().replace("-", "_").replace(" ", "_")
