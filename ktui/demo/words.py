"""Text for simulated prompts and answers, and how its tokens are counted."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

MESSAGE_OVERHEAD = 4
"""Tokens that each message of a prompt costs beside its text."""

_TEXT = (
    "the order index search query result page user account region shard cache latency budget "
    "summary ticket refund parcel invoice customer answer question source field value record "
    "first second recent stable open closed related likely short long and or with for from into "
    "when then before after because should returns contains explains compares matches keeps "
    "moves reads writes shows needs fits remains"
)
_WORDS = _TEXT.split()

_TASKS = (
    "Summarise the ticket below for the next shift.",
    "Answer the customer's question from the passages below.",
    "Rank these results for the query and explain the first one.",
    "Extract every order number and its state as a table.",
    "Rewrite this answer so that it fits into three sentences.",
    "Compare the two plans and say which one suits the account.",
)


def count_tokens(text: str) -> int:
    """Tokens of `text`: one for each word."""
    return len(text.split())


def prompt_tokens(messages: Sequence[Any]) -> int:
    """Tokens of a chat prompt. Parts that are not text count nothing."""
    return sum(MESSAGE_OVERHEAD + count_tokens(_text(message)) for message in messages)


def _text(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return " ".join(part for part in parts if isinstance(part, str))
    return ""


def prose(random: Random, tokens: int) -> str:
    """Exactly `tokens` words in sentences."""
    words = random.choices(_WORDS, k=tokens)
    start = 0
    while start < tokens:
        end = min(start + random.randint(7, 16), tokens) - 1
        words[start] = words[start].capitalize()
        words[end] += "."
        start = end + 1
    return " ".join(words)


def task(random: Random) -> str:
    """One sentence that asks for something."""
    return random.choice(_TASKS)
