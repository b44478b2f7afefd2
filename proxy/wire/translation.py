"""What a translation between two dialects gives: requests, whole answers, streams."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from proxy.wire.errors import ReportedError
from proxy.wire.usage import Usage

Dialect = Literal["openai", "anthropic"]


class TruncatedError(Exception):
    """The upstream ended its stream before the answer was complete."""


@dataclass(frozen=True, slots=True)
class Translated:
    """A request in another dialect."""

    body: bytes
    dropped: tuple[str, ...] = ()
    """Names of the parameters that cannot be carried, each once, in the order of the request."""
    json_tool: bool = False
    """The wanted form of the answer is asked for by a tool of ours; its call is the content."""
    filled_max_tokens: int | None = None
    """The limit that had to be chosen, because the other dialect demands one and the request has none."""


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """A whole answer (or an error) in the client's dialect, and what it says about itself."""

    status: int
    body: bytes
    usage: Usage | None = None
    finish_reason: str | None = None
    """As the upstream said it, untranslated."""
    upstream_model: str | None = None
    error: ReportedError | None = None


class StreamTranscoder(Protocol):
    """Turns the bytes of an upstream's SSE stream into the client's dialect; no I/O; any chunk boundaries."""

    @property
    def usage(self) -> Usage | None:
        """Tokens reported so far."""

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended, as the upstream said it."""

    @property
    def upstream_model(self) -> str | None:
        """The model as the upstream reports it."""

    @property
    def first_token(self) -> bool:
        """A content token came."""

    @property
    def error(self) -> ReportedError | None:
        """What an error inside the stream says."""

    @property
    def done(self) -> bool:
        """The frame that ends the source's stream came."""

    def feed(self, chunk: bytes) -> bytes:
        """Bytes ready for the client (may be b"")."""

    def finish(self) -> bytes:
        """The upstream has ended: what is left.

        Raises TruncatedError when the source's own end was not seen.
        """
