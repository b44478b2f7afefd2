"""What Anthropic's models can do, by their names. Source: the vendor's model and feature pages."""

from __future__ import annotations

import re

_VERSION = re.compile(r"claude-(?:(?P<old>\d+(?:-\d)?)-)?(?:[a-z]+)(?:-(?P<new>\d+(?:-\d{1,2}(?!\d))?))?")
_UNKNOWN = (99, 0)


def version(model: str) -> tuple[int, int]:
    """Major and minor version of a Claude model's name; a very high one when it tells none."""
    found = _VERSION.search(model)
    numbers = (found.group("old") or found.group("new")) if found is not None else None
    if not numbers:
        return _UNKNOWN
    major, _, minor = numbers.partition("-")
    return int(major), int(minor or 0)


def default_max_tokens(model: str) -> int:
    """A limit that every model of that version takes: the dialect demands one."""
    made = version(model)
    return 4_096 if made < (3, 5) else 8_192 if made < (3, 7) else 16_384


def can_think(model: str) -> bool:
    """Whether it takes `thinking` with a budget."""
    return version(model) >= (3, 7)


def structures_output(model: str) -> bool:
    """Whether it takes `output_config.format` with a JSON schema."""
    return version(model) >= (4, 5) or "opus-4-1" in model


def takes_one_sampling(model: str) -> bool:
    """Whether `temperature` and `top_p` exclude each other."""
    return version(model) >= (4, 1)
