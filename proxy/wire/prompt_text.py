"""How much text a request holds, and whether it holds an image, in every dialect.

Text that the model is given to read counts: system text, messages, input, tool results. Token ids have no
characters. A value of a wrong type counts as nothing, for judging it is the vendor's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from proxy.policy.facts import Endpoint
from proxy.wire.errors import RequestError
from proxy.wire.json_scan import Scan

_IMAGES = frozenset({"image_url", "input_image", "image", "computer_screenshot"})

Counted = tuple[int | None, bool]
"""Unicode characters (None: there is no text), and whether there is an image."""


class _Part(msgspec.Struct):
    type: str = ""
    text: str | None = None


class _Message(msgspec.Struct):
    content: str | list[_Part] | None = None


_CHAT = msgspec.json.Decoder(list[_Message])


def decode(raw: bytes) -> Any:
    """The value of `raw`; None when it has no value that every reader agrees on.

    Raises RequestError (400) for bytes that are not UTF-8.
    """
    try:
        return msgspec.json.decode(raw)
    except UnicodeDecodeError:
        raise RequestError(400, "invalid_json", "the body is not valid JSON: it is not UTF-8") from None
    except (msgspec.MsgspecError, RecursionError):
        return None


def count_prompt(endpoint: Endpoint, scan: Scan) -> Counted:
    """Characters and images of a request to `endpoint`. Raises RequestError (400)."""
    return _READERS.get(endpoint, _plain_input)(scan)


def _plain_input(scan: Scan) -> Counted:
    return _field(scan, "input", _parts)


def _prompt(scan: Scan) -> Counted:
    return _field(scan, "prompt", _parts)


def _chat(scan: Scan) -> Counted:
    raw = scan.raw("messages")
    if raw is None:
        return None, False
    try:
        messages = _CHAT.decode(raw)
    except UnicodeDecodeError:
        raise RequestError(400, "invalid_json", "the body is not valid JSON: it is not UTF-8") from None
    except (msgspec.MsgspecError, RecursionError):
        return _contents(decode(raw), _parts)
    chars, images = 0, False
    for message in messages:
        content = message.content
        if isinstance(content, str):
            chars += len(content)
        elif content is not None:
            for part in content:
                chars += len(part.text or "")
                images = images or part.type in _IMAGES
    return chars, images


def _messages(scan: Scan) -> Counted:
    """Anthropic: `system`, and the blocks of `messages` with what stands inside tool results and documents."""
    turns = _field(scan, "messages", lambda value: _contents(value, _blocks))
    return _sum((_field(scan, "system", _blocks), turns))


def _responses(scan: Scan) -> Counted:
    """OpenAI responses: `instructions` and `input`, a text or a list of items."""
    return _sum((_field(scan, "instructions", _parts), _field(scan, "input", _items)))


_READERS: dict[str, Callable[[Scan], Counted]] = {
    "chat": _chat,
    "completions": _prompt,
    "images": _prompt,
    "messages": _messages,
    "responses": _responses,
}


def _field(scan: Scan, name: str, read: Callable[[Any], Counted]) -> Counted:
    raw = scan.raw(name)
    return (None, False) if raw is None else read(decode(raw))


def _contents(messages: Any, read: Callable[[Any], Counted]) -> Counted:
    if not isinstance(messages, list):
        return None, False
    return _sum(read(message.get("content")) for message in messages if isinstance(message, dict))


def _parts(value: Any) -> Counted:
    """Text, a part, or lists of these."""
    if isinstance(value, str):
        return len(value), False
    if isinstance(value, dict):
        text = value.get("text")
        return len(text) if isinstance(text, str) else 0, _is_image(value)
    if isinstance(value, list):
        return _sum(_parts(item) for item in value)
    return None, False


def _blocks(value: Any) -> Counted:
    """Like `_parts`, with what stands inside tool results and documents."""
    if isinstance(value, list):
        return _sum(_blocks(item) for item in value)
    if not isinstance(value, dict):
        return _parts(value)
    kind = value.get("type")
    if kind in ("tool_result", "search_result"):
        return _sum(((0, False), _blocks(value.get("content"))))
    source = value.get("source")
    if kind == "document" and isinstance(source, dict):
        inside = source.get("data") if source.get("type") == "text" else source.get("content")
        return _sum(((0, False), _blocks(inside)))
    return _parts(value)


def _items(value: Any) -> Counted:
    """Input items: messages have `content`, results of calls `output`."""
    if not isinstance(value, list):
        return _parts(value)
    counts: list[Counted] = [(0, False)]
    for item in value:
        if isinstance(item, dict):
            counts += (_parts(item.get("content")), _parts(item.get("output")))
            counts.append((0, _is_image(item)))
    return _sum(counts)


def _is_image(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    return isinstance(kind, str) and kind in _IMAGES


def _sum(counts: Iterable[Counted]) -> Counted:
    total: int | None = None
    images = False
    for chars, image in counts:
        if chars is not None:
            total = (total or 0) + chars
        images = images or image
    return total, images
