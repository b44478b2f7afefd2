"""What OpenAI's models take, by their names. Source: the vendor's reasoning guide and chat reference."""

from __future__ import annotations

import re

_REASONING = re.compile(r"(?:o[1-9]|gpt-5(?!-chat)(?!\.\d+-chat))(?![0-9a-z])")


def reasons(model: str) -> bool:
    """Whether it is a reasoning model (o-series, GPT-5).

    These take `max_completion_tokens` and `reasoning_effort`, and refuse `max_tokens`, `stop` and sampling
    other than the default. A path before the name (`openai/o3`) or a fine-tune's prefix is looked past.
    """
    return _REASONING.match(model.lower().rpartition("/")[2].removeprefix("ft:")) is not None
