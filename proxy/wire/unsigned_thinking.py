"""Thinking that no Claude model signed, taken out of a messages request.

Reasoning of a chat upstream is shown to messages clients as thinking without a signature, and they give it back
with the next turn. Anthropic refuses a request that holds such a block, so it has to go when the conversation
moves to one of its models.
"""

from __future__ import annotations

import re

import msgspec

from proxy.wire.json_scan import Span
from proxy.wire.parsed import ParsedRequest

_UNSIGNED = re.compile(rb'"signature"\s*:\s*""')
_Message = dict[str, msgspec.Raw]
_MESSAGES = msgspec.json.Decoder(list[_Message])


class _Content(msgspec.Struct):
    type: str = ""
    signature: str | None = None


def drop_unsigned(parsed: ParsedRequest) -> tuple[Span, bytes] | None:
    """The edit that takes unsigned thinking out; None when there is none. All other blocks keep their bytes.

    A message that holds nothing else goes with it.
    """
    span = parsed.scan.values.get("messages")
    if span is None or not _UNSIGNED.search(parsed.body, span.start, span.end):
        return None
    try:
        messages = _MESSAGES.decode(parsed.body[span.start : span.end])
        kept = [message for given in messages if (message := _signed(given)) is not None]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return None if kept == messages else (span, msgspec.json.encode(kept))


def _signed(message: _Message) -> _Message | None:
    """`message` itself when nothing is taken out of it."""
    content = message.get("content")
    if content is None or bytes(content).lstrip()[:1] != b"[":
        return message
    blocks = msgspec.json.decode(content, type=list[msgspec.Raw])
    kept = [block for block in blocks if not _is_unsigned(block)]
    if len(kept) == len(blocks):
        return message
    return {**message, "content": msgspec.Raw(msgspec.json.encode(kept))} if kept else None


def _is_unsigned(block: msgspec.Raw) -> bool:
    if not _UNSIGNED.search(block):
        return False
    found = msgspec.json.decode(block, type=_Content)
    return found.type == "thinking" and found.signature == ""
