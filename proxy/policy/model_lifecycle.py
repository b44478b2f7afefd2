"""When vendors switch models off: announced dates, as their own pages gave them.

Sources, read on 2026-11-23: https://platform.claude.com/docs/en/about-claude/model-deprecations (the Claude API;
partner platforms have dates of their own) and https://developers.openai.com/api/docs/deprecations. Only names these
pages list are here: a date is never guessed from a similar name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """The end of a model: from `deprecated` on its vendor advises against it, on `retired` it stops answering."""

    deprecated: date
    retired: date


def _day(text: str) -> date:
    return date.fromisoformat(text)


_TABLE: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("2025-01-21", "2025-07-21", ("claude-2.0", "claude-2.1", "claude-3-sonnet-20240229")),
    ("2025-06-30", "2026-01-05", ("claude-3-opus-20240229",)),
    ("2025-08-13", "2025-10-28", ("claude-3-5-sonnet-20240620", "claude-3-5-sonnet-20241022")),
    ("2025-10-28", "2026-02-19", ("claude-3-7-sonnet-20250219",)),
    ("2025-12-19", "2026-02-19", ("claude-3-5-haiku-20241022",)),
    ("2026-02-19", "2026-04-20", ("claude-3-haiku-20240307",)),
    ("2026-04-14", "2026-06-15", ("claude-sonnet-4-20250514", "claude-opus-4-20250514")),
    ("2026-06-05", "2026-08-05", ("claude-opus-4-1-20250805",)),
    ("2026-09-30", "2026-11-30", ("claude-sonnet-4-5-20250929",)),
    ("2025-11-18", "2026-02-17", ("chatgpt-4o-latest",)),
    (
        "2026-04-22",
        "2026-10-23",
        (
            "gpt-3.5-turbo",
            "gpt-3.5-turbo-0125",
            "gpt-4",
            "gpt-4-0613",
            "gpt-4-1106-preview",
            "gpt-4-turbo",
            "gpt-4-turbo-2024-04-09",
            "gpt-4o-2024-05-13",
            "gpt-4.1-nano",
            "gpt-4.1-nano-2025-04-14",
            "o1",
            "o1-2024-12-17",
            "o1-pro",
            "o1-pro-2025-03-19",
            "o3-mini",
            "o3-mini-2025-01-31",
            "o4-mini",
            "o4-mini-2025-04-16",
        ),
    ),
    (
        "2026-06-11",
        "2026-12-11",
        (
            "gpt-5",
            "gpt-5-2025-08-07",
            "gpt-5-mini",
            "gpt-5-mini-2025-08-07",
            "gpt-5-nano",
            "gpt-5-nano-2025-08-07",
        ),
    ),
    (
        "2026-10-14",
        "2027-01-14",
        (
            "gpt-4o-2024-08-06",
            "gpt-4o-2024-11-20",
            "gpt-4o-mini-2024-07-18",
            "gpt-4.1-2025-04-14",
            "gpt-4.1-mini-2025-04-14",
        ),
    ),
)

LIFECYCLES: Mapping[str, Lifecycle] = {
    model: Lifecycle(_day(deprecated), _day(retired))
    for deprecated, retired, models in _TABLE
    for model in models
}
"""By the exact name clients and policies use."""
