"""The turns of an Anthropic conversation as messages of an OpenAI chat.

Consecutive turns of one role are one turn, as they are to Anthropic. Results of tools come first in a user
turn, each a `tool` message; images in them, which such a message cannot hold, stand in the user message behind
all of them. Thinking is not given back: the other dialect has no place for it.
"""

from __future__ import annotations

from itertools import groupby
from typing import Any

import msgspec

from proxy.wire.errors import RequestError

Message = dict[str, Any]
_EMPTY_OBJECT = msgspec.Raw(b"{}")
_SERVER_BLOCKS = ("server_tool_use", "mcp_tool_use", "mcp_tool_result", "tool_reference", "compaction")


class Block(msgspec.Struct):
    """A content block of any type; which fields mean something depends on `type`."""

    type: str
    text: str = ""
    source: dict[str, Any] | str | None = None
    id: str = ""
    name: str = ""
    input: msgspec.Raw = _EMPTY_OBJECT
    tool_use_id: str = ""
    content: str | list[Block] | Any = None
    is_error: bool | None = None
    title: str | None = None
    context: str | None = None
    citations: Any = None
    cache_control: Any = None


class Turn(msgspec.Struct):
    """One message of the request."""

    role: str
    content: str | list[Block]


Placed = tuple[str, Block]
"""A block and where it stands in the request."""


class Turns:
    """Turns the messages of one request; `dropped` fills as it goes."""

    def __init__(self) -> None:
        self.dropped: dict[str, None] = {}
        """Names of what could not be carried, in order."""
        self._open: set[str] = set()  # calls of the last assistant turn that have no result yet

    def system(self, content: str | list[Block]) -> list[Message]:
        """The system prompt: a text, or each block as a part, for the blocks' bounds may matter."""
        if isinstance(content, str):
            return [{"role": "system", "content": content}] if content else []
        parts = [self._part(placed) for placed in _placed(content, "system") if not _is_empty(placed[1])]
        return [{"role": "system", "content": _content(parts)}] if parts else []

    def messages(self, turns: list[Turn]) -> list[Message]:
        """The conversation. Raises RequestError (400) for what must not be dropped."""
        out: list[Message] = []
        places = [(f"messages[{number}]", turn) for number, turn in enumerate(turns)]
        for role, group in groupby(places, key=lambda place: place[1].role):
            run = list(group)
            if role == "assistant":
                out += self._assistant(_merged(run))
            elif role == "user":
                out += self._user(run)
            elif role == "system":
                out += [message for _, turn in run for message in self.system(turn.content)]
            else:
                raise _refused(f"{run[0][0]}.role", f"must be user or assistant, not {role!r:.40}")
        if turns and turns[-1].role == "assistant":
            self.dropped["prefill"] = (
                None  # it goes as a finished turn: an answer cannot be begun for the model
            )
        return out

    # Assistant turns.

    def _assistant(self, blocks: list[Placed]) -> list[Message]:
        texts: list[str] = []
        calls: list[Message] = []
        for where, block in blocks:
            self._note(block)
            if block.type == "text":
                texts.append(block.text)
            elif block.type == "tool_use":
                calls.append(_call(where, block))
            elif block.type in ("thinking", "redacted_thinking"):
                self.dropped["messages.thinking"] = None
            elif block.type in _SERVER_BLOCKS or block.type.endswith("_tool_result"):
                self.dropped[f"messages.{block.type}"[:64]] = None
            else:
                raise _not_carried(where, block)
        self._open = {call["id"] for call in calls}
        said = "".join(texts)
        if not said and not calls:
            return []
        message: Message = {"role": "assistant", "content": said or None}
        if calls:
            message["tool_calls"] = calls
        return [message]

    # User turns.

    def _user(self, run: list[tuple[str, Turn]]) -> list[Message]:
        if len(run) == 1 and isinstance(run[0][1].content, str):
            self._open = set()
            return [{"role": "user", "content": run[0][1].content}]
        out: list[Message] = []
        promoted: list[Message] = []
        own: list[Message] = []
        for placed in _merged(run):
            if placed[1].type == "tool_result":
                message, images = self._result(placed)
                out.append(message)
                promoted += images
            elif not _is_empty(placed[1]):
                own += self._parts(placed)
        self._open = set()
        parts = promoted + own
        if parts:
            out.append({"role": "user", "content": _content(parts)})
        return out

    def _result(self, placed: Placed) -> tuple[Message, list[Message]]:
        """The tool message, and what of the result has to stand in the user message behind it."""
        where, block = placed
        self._note(block)
        if block.tool_use_id not in self._open:
            message = f"names the call {block.tool_use_id!r:.80}, which the turn before it does not make"
            raise _refused(f"{where}.tool_use_id", message)
        self._open.discard(block.tool_use_id)
        if block.is_error:
            self.dropped["messages.tool_result.is_error"] = None
        inside = _blocks(f"{where}.content", block.content)
        parts = [part for one in inside if not _is_empty(one[1]) for part in self._parts(one)]
        texts = [part["text"] for part in parts if part["type"] == "text"]
        others = [part for part in parts if part["type"] != "text"]
        if others:
            note = f"What the tool call {block.tool_use_id} returned:"
            others.insert(0, {"type": "text", "text": note})
            if not texts:
                texts.append("The result is in the user message that follows the tool results.")
        result = {"role": "tool", "tool_call_id": block.tool_use_id, "content": _joined(texts)}
        return result, others

    def _parts(self, placed: Placed) -> list[Message]:
        """The parts that a block becomes: documents of text and search results may be several."""
        where, block = placed
        if block.type == "document":
            return self._document(placed)
        if block.type == "search_result":
            self._note(block)
            head = "\n".join(line for line in (block.title, block.source) if isinstance(line, str) and line)
            inside = [self._part(one) for one in _blocks(f"{where}.content", block.content)]
            return ([_text(head)] if head else []) + inside
        return [self._part(placed)]

    def _part(self, placed: Placed) -> Message:
        where, block = placed
        self._note(block)
        if block.type == "text":
            return _text(block.text)
        if block.type == "image":
            return {"type": "image_url", "image_url": {"url": _image_url(f"{where}.source", block.source)}}
        raise _not_carried(where, block)

    def _document(self, placed: Placed) -> list[Message]:
        where, block = placed
        self._note(block)
        source = block.source if isinstance(block.source, dict) else {}
        kind, data = source.get("type"), source.get("data")
        context = [_text(block.context)] if block.context else []
        if kind == "base64" and isinstance(data, str):
            media = source.get("media_type") or "application/pdf"
            name = block.title or "document.pdf"
            file = {"filename": name, "file_data": f"data:{media};base64,{data}"}
            return [*context, {"type": "file", "file": file}]
        title = [_text(block.title)] if block.title else []
        if kind == "text" and isinstance(data, str):
            return [*title, *context, _text(data)]
        if kind == "content":
            inside = _blocks(f"{where}.source.content", _read(f"{where}.source", source.get("content")))
            return [*title, *context, *(self._part(one) for one in inside if not _is_empty(one[1]))]
        message = (
            f"a document of source type {kind!r:.40} cannot be given to an OpenAI upstream: send its bytes"
        )
        raise _refused(f"{where}.source", message)

    def _note(self, block: Block) -> None:
        if block.cache_control is not None:
            self.dropped["cache_control"] = None
        if block.type != "text" and isinstance(block.citations, dict) and block.citations.get("enabled"):
            self.dropped["citations"] = None


def _call(where: str, block: Block) -> Message:
    """The client's own bytes of `input` are the arguments."""
    if not block.id or not block.name:
        raise _refused(where, "a tool_use block needs an id and a name")
    arguments = bytes(block.input).decode()
    return {
        "id": block.id,
        "type": "function",
        "function": {"name": block.name, "arguments": arguments},
    }


def _merged(run: list[tuple[str, Turn]]) -> list[Placed]:
    return [placed for where, turn in run for placed in _blocks(f"{where}.content", turn.content)]


def _blocks(where: str, content: Any) -> list[Placed]:
    if isinstance(content, str):
        return [(where, Block("text", text=content))]
    if isinstance(content, list):
        return _placed(_read(where, content), where)
    return []


def _read(where: str, content: Any) -> Any:
    """Blocks from what was read untyped."""
    if not isinstance(content, list) or all(isinstance(item, Block) for item in content):
        return content
    try:
        return msgspec.convert(content, list[Block])
    except msgspec.ValidationError as error:
        raise _refused(where, f"is not a list of content blocks: {error}") from None


def _placed(blocks: list[Block], where: str) -> list[Placed]:
    return [(f"{where}[{number}]", block) for number, block in enumerate(blocks)]


def _is_empty(block: Block) -> bool:
    return block.type == "text" and not block.text


def _text(text: str) -> Message:
    return {"type": "text", "text": text}


def _content(parts: list[Message]) -> str | list[Message]:
    """A lone text as a string, which every upstream of the dialect takes."""
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _joined(texts: list[str]) -> str | list[Message]:
    return "" if not texts else _content([_text(text) for text in texts])


def _image_url(where: str, source: Any) -> str:
    value = source if isinstance(source, dict) else {}
    kind = value.get("type")
    if kind == "base64" and isinstance(value.get("data"), str) and isinstance(value.get("media_type"), str):
        return f"data:{value['media_type']};base64,{value['data']}"
    if kind == "url" and isinstance(value.get("url"), str):
        return str(value["url"])
    message = (
        f"an image of source type {kind!r:.40} cannot be given to an OpenAI upstream: send base64 or a url"
    )
    raise _refused(where, message)


def _not_carried(where: str, block: Block) -> RequestError:
    return _refused(where, f"a block of type {block.type!r:.60} cannot be given to an OpenAI upstream")


def _refused(where: str, message: str) -> RequestError:
    return RequestError(400, "not_translatable", f"{where}: {message}", param=where)
