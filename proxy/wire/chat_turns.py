"""The turns of an OpenAI chat as those of Anthropic messages: strictly alternating, tool results first."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from proxy.wire.errors import RequestError
from proxy.wire.json_values import items, load_object, mapping, text

JSON_TOOL = "json_answer"
"""The tool that asks for an answer in a form, where the vendor has no other way."""
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w.+=-]+)*;base64,([A-Za-z0-9+/=\s]*)\Z")
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_ID = re.compile(r"[^A-Za-z0-9_-]")


class Turns(NamedTuple):
    """System blocks, messages, and what was left out of them."""

    system: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    dropped: list[str]


def turns(messages: list[Any]) -> Turns:
    """The turns of `messages`. Raises RequestError (400) that names the message."""
    made = Turns([], [], [])
    known_calls: set[str] = set()
    for number, message in enumerate(messages):
        place = f"messages[{number}]"
        role = text(message, "role")
        if text(message, "name") and role != "tool":
            made.dropped.append("messages.name")
        if role in ("system", "developer"):
            made.system.extend(_parts(message, place))
        elif role == "user":
            _add(made.messages, "user", _parts(message, place))
        elif role == "assistant":
            blocks = _assistant(message, place)
            known_calls |= {block["id"] for block in blocks if block["type"] == "tool_use"}
            _add(made.messages, "assistant", blocks)
        elif role == "tool":
            _add_result(made.messages, _result(message, place, known_calls))
        else:
            raise _refused(f"{place}.role", f"the role {role!r} cannot be carried to this model")
    return made


def _add(messages: list[dict[str, Any]], role: str, blocks: list[dict[str, Any]]) -> None:
    """Neighbours of one role are one turn; a turn of nothing is none."""
    if not blocks:
        return
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"].extend(blocks)
    else:
        messages.append({"role": role, "content": blocks})


def _add_result(messages: list[dict[str, Any]], result: dict[str, Any]) -> None:
    """Results stand at the beginning of the user's turn."""
    if not messages or messages[-1]["role"] != "user":
        messages.append({"role": "user", "content": [result]})
        return
    content = messages[-1]["content"]
    first_other = next(
        (index for index, block in enumerate(content) if block["type"] != "tool_result"), len(content)
    )
    content.insert(first_other, result)


def _parts(message: Any, place: str) -> list[dict[str, Any]]:
    """The content of a message as blocks; empty text is left out, for the vendor refuses it."""
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    blocks = []
    for number, part in enumerate(content if isinstance(content, list) else []):
        block = _part(part, f"{place}.content[{number}]")
        if block is not None:
            if isinstance(part.get("cache_control"), dict):
                block["cache_control"] = part["cache_control"]
            blocks.append(block)
    return blocks


def _part(part: Any, place: str) -> dict[str, Any] | None:
    match text(part, "type"):
        case "text":
            return {"type": "text", "text": part["text"]} if text(part, "text") else None
        case "refusal":
            return {"type": "text", "text": part["refusal"]} if text(part, "refusal") else None
        case "image_url":
            return {"type": "image", "source": image_source(text(mapping(part, "image_url"), "url"), place)}
        case "file":
            return _document(mapping(part, "file"), place)
        case kind:
            raise _refused(place, f"content of type {kind!r} cannot be carried to this model")


def image_source(url: str, place: str) -> dict[str, Any]:
    """An image by its address or its bytes. Raises RequestError (400)."""
    if url.startswith(("https://", "http://")):
        return {"type": "url", "url": url}
    found = _DATA_URI.match(url)
    if found is None or found.group(1).lower() not in _IMAGES:
        message = "an image must be an http(s) address or a data URI of a jpeg, png, gif or webp in base64"
        raise _refused(place, message)
    return {"type": "base64", "media_type": found.group(1).lower(), "data": found.group(2)}


def _document(file: dict[str, Any], place: str) -> dict[str, Any]:
    data = text(file, "file_data")
    found = _DATA_URI.match(data)
    if found is None or found.group(1).lower() != "application/pdf":
        message = "a file must be given as file_data, a data URI of application/pdf in base64; a file_id is known to its own vendor only"
        raise _refused(place, message)
    block: dict[str, Any] = {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": found.group(2)},
    }
    if text(file, "filename"):
        block["title"] = file["filename"]
    return block


def _assistant(message: Any, place: str) -> list[dict[str, Any]]:
    """Thinking first, as the vendor demands, then text, then the calls."""
    blocks = [block for block in items(message, "thinking_blocks") if _is_signed(block)]
    blocks += _parts(message, place)
    if text(message, "refusal"):
        blocks.append({"type": "text", "text": message["refusal"]})
    for number, call in enumerate(items(message, "tool_calls")):
        function = mapping(call, "function")
        where = f"{place}.tool_calls[{number}]"
        written = text(function, "arguments").strip() or "{}"
        arguments = load_object(written.encode("utf-8", "surrogatepass"))
        if arguments is None or not text(function, "name"):
            raise _refused(where, "a call must name a function, and its arguments must be a JSON object")
        blocks.append(
            {
                "type": "tool_use",
                "id": call_id(text(call, "id")),
                "name": function["name"],
                "input": arguments,
            }
        )
    return blocks


def _is_signed(block: Any) -> bool:
    """Thinking without its signature is refused by the vendor, so it stays behind."""
    kind = text(block, "type")
    return (kind == "thinking" and bool(text(block, "signature"))) or (
        kind == "redacted_thinking" and bool(text(block, "data"))
    )


def _result(message: Any, place: str, known: set[str]) -> dict[str, Any]:
    given = text(message, "tool_call_id")
    if call_id(given) not in known:
        raise _refused(f"{place}.tool_call_id", f"no call before it has the id {given!r}")
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id(given)}
    content = _parts(message, place)
    if content:
        block["content"] = content
    if isinstance(message, dict) and message.get("is_error") is True:
        block["is_error"] = True
    return block


def call_id(given: str) -> str:
    """An id as the vendor takes it: letters, digits, - and _."""
    return _ID.sub("_", given)


def _refused(param: str, message: str) -> RequestError:
    return RequestError(400, "unsupported_content", f"{param}: {message}", param=param)
