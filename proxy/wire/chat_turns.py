"""The turns of an OpenAI chat as those of Anthropic messages: strictly alternating, tool results first."""

from __future__ import annotations

import base64
import re
from typing import Any, NamedTuple

import msgspec

from proxy.base.sanitise import sanitise
from proxy.wire.errors import RequestError
from proxy.wire.json_values import items, load_object, mapping, text

JSON_TOOL = "json_answer"
"""The tool that asks for an answer in a form, where the vendor has no other way."""
_DATA_URI = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w.+-]+=[\w.+-]+)*;base64,", re.IGNORECASE)
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_SPACES = b" \t\r\n"
_IMAGES = {
    "image/jpeg": "image/jpeg",
    "image/jpg": "image/jpeg",
    "image/png": "image/png",
    "image/gif": "image/gif",
    "image/webp": "image/webp",
}
_SYSTEM_PARTS = frozenset({"text"})
_USER_PARTS = frozenset({"text", "image_url", "file"})
_ASSISTANT_PARTS = frozenset({"text", "refusal"})
_ID = re.compile(r"[^A-Za-z0-9_-]")


class Turns(NamedTuple):
    """System blocks, messages, and what was left out of them."""

    system: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    dropped: list[str]


def turns(messages: list[Any]) -> Turns:
    """The turns of `messages`. Raises RequestError (400) that names the message.

    A chat of system messages alone is what the user says: the other dialect wants a turn of the user's first.
    """
    made = Turns([], [], [])
    known_calls: set[str] = set()
    for number, message in enumerate(messages):
        _add_message(made, message, f"messages[{number}]", known_calls)
    if not made.messages:
        if not made.system:
            raise _refused(
                "messages", "there is no message with something in it; this model needs one of the user"
            )
        made.messages.append({"role": "user", "content": list(made.system)})
        made.system.clear()
    if made.messages[0]["role"] != "user":
        raise _refused(
            "messages", "the first message that is not of the system must be of the user for this model"
        )
    return made


def _add_message(made: Turns, message: Any, place: str, known_calls: set[str]) -> None:
    role = text(message, "role")
    if text(message, "name") and role != "tool":
        made.dropped.append("messages.name")
    if role in ("system", "developer"):
        made.system.extend(_parts(message, place, _SYSTEM_PARTS))
    elif role == "user":
        _add(made.messages, "user", _parts(message, place, _USER_PARTS))
    elif role == "assistant":
        blocks = _assistant(message, place)
        known_calls |= {block["id"] for block in blocks if block["type"] == "tool_use"}
        _add(made.messages, "assistant", blocks)
    elif role == "tool":
        _add_result(made.messages, _result(message, place, known_calls))
    else:
        raise _refused(f"{place}.role", f"the role {_shown(role)} cannot be carried to this model")


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


def _parts(message: dict[str, Any], place: str, taken: frozenset[str]) -> list[dict[str, Any]]:
    """The content of a message as blocks. White space alone is left out, for the vendor refuses it."""
    content = message.get("content")
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    if not isinstance(content, list):
        raise _refused(f"{place}.content", "the content must be a string or a list of parts")
    blocks = []
    for number, part in enumerate(content):
        where = f"{place}.content[{number}]"
        if text(part, "type") not in taken:
            raise _refused(
                where, f"content of type {_shown(text(part, 'type'))} cannot be carried to this model there"
            )
        block = _part(part, where)
        if block is not None:
            if isinstance(part.get("cache_control"), dict):
                block["cache_control"] = part["cache_control"]
            blocks.append(block)
    return blocks


def _part(part: dict[str, Any], place: str) -> dict[str, Any] | None:
    kind = part["type"]
    if kind == "image_url":
        return {"type": "image", "source": image_source(text(mapping(part, "image_url"), "url"), place)}
    if kind == "file":
        return _document(mapping(part, "file"), place)
    written = text(part, kind)  # of type text or refusal, under that very name
    return {"type": "text", "text": written} if written.strip() else None


def image_source(url: str, place: str) -> dict[str, Any]:
    """An image by its address or its bytes. Raises RequestError (400)."""
    if url.startswith(("https://", "http://")):
        return {"type": "url", "url": url}
    kind, data = _data_uri(url)
    if kind not in _IMAGES:
        message = "an image must be an http(s) address or a data URI of a jpeg, png, gif or webp in base64"
        raise _refused(place, message)
    return {"type": "base64", "media_type": _IMAGES[kind], "data": data}


def _data_uri(uri: str) -> tuple[str, str]:
    """Media type and base64 of a data URI; two empty strings when it is none."""
    found = _DATA_URI.match(uri)
    if found is None or not uri.isascii():
        return "", ""
    data = uri[found.end() :].encode()
    others = data.translate(None, _BASE64)  # over megabytes much faster than a pattern
    if others.translate(None, b"="):
        data = data.translate(None, _SPACES)
    digits = data.rstrip(b"=")
    padding = len(data) - len(digits)
    if not digits or padding > 2 or len(digits) % 4 == 1 or digits.translate(None, _BASE64):
        return "", ""
    return found.group(1).lower(), data.decode()


def _document(file: dict[str, Any], place: str) -> dict[str, Any]:
    kind, data = _data_uri(text(file, "file_data"))
    source = {"type": "base64", "media_type": kind, "data": data}
    if kind == "text/plain":
        try:
            source = {"type": "text", "media_type": kind, "data": base64.b64decode(data).decode()}
        except ValueError:
            kind = ""
    if kind not in ("application/pdf", "text/plain"):
        message = (
            "a file must be given as file_data, a data URI of application/pdf or text/plain (UTF-8) in base64; "
            "a file_id is known to its own vendor only"
        )
        raise _refused(place, message)
    block: dict[str, Any] = {"type": "document", "source": source}
    if text(file, "filename"):
        block["title"] = file["filename"]
    return block


def _assistant(message: dict[str, Any], place: str) -> list[dict[str, Any]]:
    """Thinking first, as the vendor demands, then text, then the calls."""
    if message.get("function_call"):
        raise _refused(f"{place}.function_call", "function_call is the old form of a call; send tool_calls")
    blocks = [kept for block in items(message, "thinking_blocks") if (kept := _thought(block)) is not None]
    blocks += _parts(message, place, _ASSISTANT_PARTS)
    if text(message, "refusal").strip():
        blocks.append({"type": "text", "text": message["refusal"]})
    calls = items(message, "tool_calls")
    return blocks + [_call(call, f"{place}.tool_calls[{number}]") for number, call in enumerate(calls)]


def _call(call: Any, place: str) -> dict[str, Any]:
    function = mapping(call, "function")
    arguments = _arguments(text(function, "arguments").strip() or "{}")
    if not text(call, "id") or not text(function, "name") or arguments is None:
        message = "a call must have an id and name a function, and its arguments must be a JSON object"
        raise _refused(place, message)
    return {"type": "tool_use", "id": call_id(call["id"]), "name": function["name"], "input": arguments}


def _arguments(written: str) -> msgspec.Raw | dict[str, Any] | None:
    """The object that `written` is, in its own bytes where they are valid Unicode; None when it is none."""
    try:
        given = written.encode()
        msgspec.json.decode(given, type=dict[str, msgspec.Raw])
    except (UnicodeError, msgspec.MsgspecError, RecursionError):
        return load_object(written.encode("utf-8", "surrogatepass"))
    return msgspec.Raw(given)


def _thought(block: Any) -> dict[str, Any] | None:
    """A block of thinking as the vendor made it; None without its signature, for the vendor refuses it then."""
    kind = text(block, "type")
    if kind == "thinking" and text(block, "signature"):
        return {"type": kind, "thinking": text(block, "thinking"), "signature": block["signature"]}
    if kind == "redacted_thinking" and text(block, "data"):
        return {"type": kind, "data": block["data"]}
    return None


def _result(message: dict[str, Any], place: str, known: set[str]) -> dict[str, Any]:
    given = text(message, "tool_call_id")
    if call_id(given) not in known:
        raise _refused(f"{place}.tool_call_id", f"no call before it has the id {_shown(given)}")
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": call_id(given)}
    content = _parts(message, place, _USER_PARTS)
    if content:
        block["content"] = content
    if message.get("is_error") is True:
        block["is_error"] = True
    return block


def call_id(given: str) -> str:
    """An id as the vendor takes it: letters, digits, - and _."""
    return _ID.sub("_", given)


def _shown(given: str) -> str:
    return f"'{sanitise(given, 80)}'"


def _refused(param: str, message: str) -> RequestError:
    return RequestError(400, "unsupported_content", f"{param}: {message}", param=param)
