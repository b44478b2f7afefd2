"""What Anthropic's models take, by their names. Source: the vendor's model, feature and migration pages.

A name that tells no version is taken for a new model's, but keeps what it is asked: the vendor judges.
"""

from __future__ import annotations

import re

_VERSION = re.compile(
    r"claude-(?:(?P<old>\d+(?:[.-]\d{1,2})?)-)?[a-z]+(?:-(?P<new>\d+(?:[.-]\d{1,2}(?!\d))?))?"
    r"|claude-(?P<first>\d+(?:\.\d)?)"
)
_UNKNOWN = (99, 0)


def version(model: str) -> tuple[int, int]:
    """Major and minor version of a Claude model's name; a very high one when it tells none."""
    found = _VERSION.search(model)
    numbers = next((word for word in found.groups() if word), None) if found is not None else None
    if numbers is None:
        return _UNKNOWN
    major, _, minor = numbers.replace(".", "-").partition("-")
    return int(major), int(minor or 0)


def default_max_tokens(model: str) -> int:
    """A limit that every model of that version takes: the dialect demands one."""
    made = version(model)
    return 4_096 if made < (3, 5) else 8_192 if made < (3, 7) else 16_384


def thinks_by_budget(model: str) -> bool:
    """Whether thinking is asked for by a number of tokens."""
    return (3, 7) <= version(model) < (4, 6)


def thinks_by_effort(model: str) -> bool:
    """Whether it thinks as it sees fit (`adaptive`), guided by `output_config.effort`."""
    return version(model) >= (4, 6)


def thinks_unasked(model: str) -> bool:
    """Whether it thinks when nothing is said of thinking. Some of these cannot be told not to."""
    return _UNKNOWN > version(model) >= (5, 0)


def knows_highest_effort(model: str) -> bool:
    """Whether it takes the effort `xhigh`."""
    return version(model) >= (4, 7)


def structures_output(model: str) -> bool:
    """Whether it takes `output_config.format` with a JSON schema, and `strict` tools."""
    return version(model) >= (4, 5)


def can_be_forced(model: str) -> bool:
    """Whether `tool_choice` can make it call a tool."""
    return version(model) <= (5, 0) or version(model) == _UNKNOWN


def takes_sampling(model: str) -> bool:
    """Whether it takes a `temperature`, `top_p` or `top_k` other than the default."""
    return version(model) < (4, 7) or version(model) == _UNKNOWN


def takes_one_sampling(model: str) -> bool:
    """Whether `temperature` and `top_p` exclude each other."""
    return version(model) >= (4, 1)
