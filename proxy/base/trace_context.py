"""Trace context in HTTP headers: W3C "Trace Context", level 1, section 3.2 (`traceparent`)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import blake2b

_FORM = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?\Z", re.DOTALL)
_LONGEST = 256


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A span of another party, as 128 and 64 bits; never 0."""

    trace_id: int
    span_id: int
    flags: int = 1
    """Bit 0: sampled."""

    def __str__(self) -> str:
        """`TRACE-SPAN-FLAGS` in hexadecimal: a `traceparent` without its version."""
        return f"{self.trace_id:032x}-{self.span_id:016x}-{self.flags:02x}"

    def header(self) -> str:
        """The value of `traceparent`, version 00."""
        return f"00-{self}"


def read_header(value: bytes) -> TraceContext | None:
    """The context of a `traceparent` header; None when it is not valid, which means: there is none.

    A later version is read by the form of version 00, as the specification wants it.
    """
    found = _FORM.match(value.strip()) if len(value) <= _LONGEST else None
    if found is None or found[1] == b"ff" or (found[1] == b"00" and found[5] is not None):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    return TraceContext(trace_id, span_id, int(found[4], 16)) if trace_id and span_id else None


def read_text(text: str | None) -> TraceContext | None:
    """What `str` of a context says; None when it says something else."""
    return read_header(b"00-" + text.encode("utf-8", "replace")) if text is not None else None


def trace_id_of(request_id: str) -> int:
    """The id of the trace that begins with a request.

    Not the request id itself: samplers expect trace ids whose low bits are random, those of a UUID are not.
    """
    return int.from_bytes(blake2b(request_id.encode("utf-8", "replace"), digest_size=16).digest()) or 1


def span_id_of(request_id: str, attempt: int = 0) -> int:
    """The id of the span of a request (0), or of its first, second, ... attempt.

    It is computed, so that what is sent upstream names the span that is exported once the request has ended.
    """
    digest = blake2b(f"{request_id}/{attempt}".encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest) or 1
