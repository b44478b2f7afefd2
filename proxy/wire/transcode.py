"""What every translation between dialects gives back, and the shape of a stream on its way. No I/O."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from proxy.wire.errors import ReportedError
from proxy.wire.usage import Usage

Dialect = Literal["openai", "anthropic"]
"""Who speaks it: OpenAI, Azure OpenAI and what is compatible with them; or Anthropic messages."""


class StreamCutError(Exception):
    """The upstream ended its stream before the answer was complete."""


@dataclass(frozen=True, slots=True)
class Translated:
    """A request in another dialect."""

    body: bytes
    dropped: tuple[str, ...] = ()
    """Parameters that the other dialect cannot carry, in the order of the request."""
    json_tool: bool = False
    """The wanted form of the answer is asked for by a tool of ours; its call is the content."""
    filled_max_tokens: int | None = None
    """The limit that had to be chosen, because the other dialect demands one and the request has none."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer in another dialect, and what it says of itself."""

    status: int
    body: bytes
    usage: Usage | None = None
    finish_reason: str | None = None
    """As the vendor spelled it."""
    upstream_model: str | None = None
    error: ReportedError | None = None


class Stream(Protocol):
    """A stream on its way: chunks of the upstream in, the client's bytes out, whatever the boundaries of the chunks.

    What it says of itself is known as far as it was fed.
    """

    @property
    def usage(self) -> Usage | None:
        """Tokens reported so far."""

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, as the vendor spelled it."""

    @property
    def upstream_model(self) -> str | None:
        """The model as the vendor reports it."""

    @property
    def first_token(self) -> bool:
        """A content token came."""

    @property
    def done(self) -> bool:
        """The frame that ends the stream came; nothing of the answer follows."""

    @property
    def error(self) -> ReportedError | None:
        """What an error inside the stream says."""

    def feed(self, chunk: bytes) -> bytes:
        """The client's bytes, always whole frames."""

    def finish(self) -> bytes:
        """The upstream has ended: what is left. Raises StreamCutError when the answer is not complete."""


def load_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object in `data`, lone surrogates allowed; None when it is none."""
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            return None
    return value if isinstance(value, dict) else None


def dump(value: Any) -> bytes:
    """`value` as compact JSON; what is not valid Unicode is escaped."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, msgspec.MsgspecError):
        return json.dumps(value, separators=(",", ":")).encode()


def mapping(value: object, name: str) -> dict[str, Any]:
    """The object under `name`; an empty one when there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def items(value: object, name: str) -> list[Any]:
    """The list under `name`; an empty one when there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def text(value: object, name: str) -> str:
    """The string under `name`; an empty one when there is none."""
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""
