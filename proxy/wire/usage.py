"""Token usage, as vendors report it, in one convention."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

_MAX_TOKENS = 10**12
"""More than any answer can hold: a larger figure is a fault of the reporter."""


class Usage(msgspec.Struct, frozen=True, gc=False):
    """Tokens of one answer. `None`: not reported; it is never written as 0.

    `input_tokens` includes cached and cache-write tokens, and those of audio and images; `output_tokens` includes
    reasoning and audio tokens. The other figures are parts of these two.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    """Input read from the vendor's prompt cache."""
    cache_write_tokens: int | None = None
    """Input written to the vendor's prompt cache, whatever its life."""
    reasoning_tokens: int | None = None
    cache_write_1h_tokens: int | None = None
    """The part of `cache_write_tokens` that is kept for an hour, which costs more."""
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    input_image_tokens: int | None = None

    @property
    def reported(self) -> bool:
        """Whether both sums are known, so that a cost can be told."""
        return self.input_tokens is not None and self.output_tokens is not None

    def merged(self, later: Usage) -> Usage:
        """This, with every figure that `later` knows replaced: figures of a stream are cumulative."""
        names = self.__struct_fields__
        known = {name: value for name in names if (value := getattr(later, name)) is not None}
        return msgspec.structs.replace(self, **known)


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
    """Usage from an OpenAI `usage` object (chat, completions, embeddings, responses, images, audio).

    None when it says nothing.
    """
    inputs = _count(report.get("prompt_tokens", report.get("input_tokens")))
    outputs = _count(report.get("completion_tokens", report.get("output_tokens")))
    if inputs is None and outputs is None:
        return None
    into = _mapping(report, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    out = _mapping(report, "completion_tokens_details", "output_tokens_details", "output_token_details")
    return Usage(
        input_tokens=inputs,
        output_tokens=outputs,
        cached_tokens=_part(into.get("cached_tokens"), inputs),
        cache_write_tokens=_part(into.get("cache_write_tokens"), inputs),
        reasoning_tokens=_part(out.get("reasoning_tokens"), outputs),
        input_audio_tokens=_part(into.get("audio_tokens"), inputs),
        output_audio_tokens=_part(out.get("audio_tokens"), outputs),
        input_image_tokens=_part(into.get("image_tokens"), inputs),
    )


def anthropic_usage(report: Mapping[str, Any]) -> Usage | None:
    """Usage from an Anthropic `usage` object (messages; `message_start` and `message_delta` of a stream).

    Anthropic counts cache reads and writes beside `input_tokens`; here they are part of it. A report without
    `input_tokens` (an early `message_delta`) gives no input figures, so that merging keeps the earlier ones.
    None when it says nothing.
    """
    fresh, outputs = _count(report.get("input_tokens")), _count(report.get("output_tokens"))
    read = _count(report.get("cache_read_input_tokens"))
    written = _count(report.get("cache_creation_input_tokens"))
    details = _mapping(report, "cache_creation")
    five_minutes = _count(details.get("ephemeral_5m_input_tokens"))
    hour = _count(details.get("ephemeral_1h_input_tokens"))
    if written is None and (five_minutes is not None or hour is not None):
        written = (five_minutes or 0) + (hour or 0)
    if fresh is None and outputs is None:
        return None
    if fresh is None:
        return Usage(output_tokens=outputs)
    thinking = _mapping(report, "output_tokens_details")
    return Usage(
        input_tokens=fresh + (read or 0) + (written or 0),
        output_tokens=outputs,
        cached_tokens=read,
        cache_write_tokens=written,
        reasoning_tokens=_part(thinking.get("thinking_tokens"), outputs),
        cache_write_1h_tokens=_part(hour, written),
    )


def merged_report(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """An Anthropic stream's report so far: each figure as it was last told, for `message_delta` may leave out any.

    Sums are to be made of the merged report (`anthropic_usage`): a later `input_tokens` without the cache's
    figures beside it does not mean that nothing was cached.
    """
    return {**earlier, **{name: value for name, value in later.items() if value is not None}}


def _mapping(report: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The first of `names` that holds an object; an empty one when none does."""
    for name in names:
        value = report.get(name)
        if isinstance(value, dict) and value:
            return value
    return {}
