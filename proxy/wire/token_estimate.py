"""An estimate of tokens, for answers whose usage was never reported: the client left, or the stream broke off.

Four characters to a token, the vendors' own rule of thumb for English text
(https://help.openai.com/en/articles/4936856). What rests on it is always marked as estimated.
"""

from __future__ import annotations

import re

from proxy.wire.usage import Usage

CHARS_PER_TOKEN = 4
_BLANK = b"\n\n"
_SPOKEN = re.compile(
    rb'"(?:content|text|arguments|partial_json|thinking|reasoning_content|refusal|delta)":\s*"((?:[^"\\]|\\.)++)"'
)


class Spoken:
    """How many characters a stream has said, from the bytes sent to the client.

    All frames of a stream have the same envelope: it is measured on the first that says something and taken off
    the others, so that a frame costs a count and no parsing.
    """

    __slots__ = ("_bytes", "_envelope", "_frames")

    def __init__(self) -> None:
        self._bytes = 0
        self._frames = 0
        self._envelope: int | None = None

    def add(self, sent: bytes) -> None:
        """Some frames went to the client."""
        frames = sent.count(b"data:")
        if self._envelope is None:
            self._envelope = _envelope(sent)
            if self._envelope is None:
                return
        self._bytes += len(sent)
        self._frames += frames

    @property
    def chars(self) -> int:
        """Characters said so far, roughly."""
        return max(0, self._bytes - self._frames * (self._envelope or 0))


def _envelope(sent: bytes) -> int | None:
    """Bytes of the first frame that says something, without what it says; None when none does."""
    found = _SPOKEN.search(sent)
    if found is None:
        return None
    before = sent.rfind(_BLANK, 0, found.start())
    start = before + len(_BLANK) if before >= 0 else 0
    after = sent.find(_BLANK, found.end())
    frame = sent[start : after + len(_BLANK) if after >= 0 else len(sent)]
    said = sum(len(words) for words in _SPOKEN.findall(frame))
    # Where lines end otherwise than in LF, what was cut out may be more than one frame.
    return (len(frame) - said) // max(1, frame.count(b"data:"))


def estimated(prompt_chars: int | None, spoken_chars: int, reported: Usage | None) -> Usage | None:
    """Usage with what was never reported filled in; None when nothing is known of the prompt.

    A figure that was reported stays, but an output that is smaller than what was seen is an early one.
    """
    usage = reported or Usage()
    inputs = usage.input_tokens
    if inputs is None:
        if prompt_chars is None:
            return None
        inputs = tokens_of(prompt_chars)
    outputs = max(usage.output_tokens or 0, tokens_of(spoken_chars))
    return usage.merged(Usage(input_tokens=inputs, output_tokens=outputs))


def tokens_of(chars: int) -> int:
    """Tokens of so many characters, rounded up."""
    return -(-chars // CHARS_PER_TOKEN)
