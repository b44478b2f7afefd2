"""Token usage, as vendors report it, in one convention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_MAX_TOKENS = 10**12
"""More than any answer can hold: a larger figure is a fault of the reporter."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer. `None`: not reported; it is never written as 0.

    `input_tokens` includes cached and cache-write tokens; `output_tokens` includes reasoning tokens.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    """Input read from the vendor's prompt cache."""
    cache_write_tokens: int | None = None
    """Input written to the vendor's prompt cache."""
    reasoning_tokens: int | None = None

    @property
    def reported(self) -> bool:
        """Whether both sums are known, so that a cost can be told."""
        return self.input_tokens is not None and self.output_tokens is not None

    def merged(self, later: Usage) -> Usage:
        """This, with every figure that `later` knows replaced: figures of a stream are cumulative."""
        return Usage(
            self.input_tokens if later.input_tokens is None else later.input_tokens,
            self.output_tokens if later.output_tokens is None else later.output_tokens,
            self.cached_tokens if later.cached_tokens is None else later.cached_tokens,
            self.cache_write_tokens if later.cache_write_tokens is None else later.cache_write_tokens,
            self.reasoning_tokens if later.reasoning_tokens is None else later.reasoning_tokens,
        )


def _count(value: object) -> int | None:
    """`value` as a count of tokens; None for what cannot be one (negative, absurd, not a whole number)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and 0 <= value <= _MAX_TOKENS:
        return value
    return None


def _part(value: object, whole: int | None) -> int | None:
    """A count that is part of `whole`; a part larger than the whole is impossible and so unknown."""
    count = _count(value)
    return None if count is not None and whole is not None and count > whole else count


def openai_usage(report: Mapping[str, Any]) -> Usage | None:
    """Usage from an OpenAI `usage` object (chat, completions, embeddings, responses).

    None when it says nothing.
    """
    inputs = _count(report.get("prompt_tokens", report.get("input_tokens")))
    outputs = _count(report.get("completion_tokens", report.get("output_tokens")))
    if inputs is None and outputs is None:
        return None
    into = report.get("prompt_tokens_details") or report.get("input_tokens_details")
    out = report.get("completion_tokens_details") or report.get("output_tokens_details")
    into = into if isinstance(into, Mapping) else {}
    out = out if isinstance(out, Mapping) else {}
    return Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        cached_tokens=_part(into.get("cached_tokens"), inputs),
        cache_write_tokens=_part(into.get("cache_write_tokens"), inputs),
        reasoning_tokens=_part(out.get("reasoning_tokens"), outputs),
    )
