"""One request to an upstream and its answer: what the data plane needs of an HTTP client, and no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec
from yarl import URL

FailureKind = Literal["refused", "connect", "stale", "reset", "timeout", "protocol"]
"""`refused`: an address that is never dialled. `connect`: no connection (DNS, TCP, TLS). `stale`: a
kept-alive connection that was dead already. `reset`: the connection broke. `timeout`: nothing came in time.
`protocol`: what came is not HTTP."""


class UpstreamError(Exception):
    """A request that got no answer, or an answer that broke off. The message is safe to show."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind: FailureKind = kind
        self.message = message


class Call(msgspec.Struct, frozen=True):
    """One request to an upstream. Times in seconds."""

    url: URL
    headers: Sequence[tuple[str, str]]
    body: bytes
    method: str = "POST"
    connect_s: float = 5.0
    first_byte_s: float = 600.0
    """Until the first byte of the body."""
    idle_s: float = 120.0
    """Between two chunks of the body."""
    proxy: str | None = None
    ca_file: str | None = None
    allow_link_local: bool = False
    """The file allows addresses that are otherwise never dialled (see `addresses`)."""


class Answer(Protocol):
    """An answer whose head has come."""

    @property
    def status(self) -> int:
        """HTTP status."""

    @property
    def headers(self) -> Sequence[tuple[str, str]]:
        """Names in lower case, in order."""

    async def chunk(self) -> bytes:
        """The next bytes of the body as they come; b"" at its end. Raises UpstreamError.

        Nothing is read ahead without bound: who does not ask, slows the upstream down.
        """

    def close(self) -> None:
        """Done with it.

        An answer that was read to its end gives its connection back; any other is cut off at once.
        """


class Transport(Protocol):
    """Carries requests."""

    async def send(self, call: Call) -> Answer:
        """Send and wait for the head of the answer.

        Raises UpstreamError. A cancelled call leaves nothing open.
        """

    async def close(self) -> None:
        """Close every connection."""
