"""Request bodies that come compressed with gzip. Everything behind this sees them plain."""

from __future__ import annotations

import asyncio
import zlib

from proxy.gateway.guard import Headers
from proxy.wire.errors import RequestError

_GZIP = 16 + zlib.MAX_WBITS


async def plain_body(headers: Headers, body: bytes, limit: int) -> bytes:
    """`body`, inflated if it came compressed. Raises RequestError (400, 413).

    Not on the loop: a small body can be a large one when inflated, and takes as long. It is never held beyond
    `limit` bytes.
    """
    if any(name == b"content-encoding" and value.strip().lower() == b"gzip" for name, value in headers):
        return await asyncio.to_thread(_inflated, body, limit)
    return body


def _inflated(body: bytes, limit: int) -> bytes:
    inflater = zlib.decompressobj(_GZIP)
    try:
        plain = inflater.decompress(body, limit + 1)
    except zlib.error:
        raise RequestError(400, "invalid_encoding", "the body is not gzip, as its header says") from None
    if len(plain) > limit:
        raise RequestError(413, "body_too_large", f"the body is larger than {limit} bytes when inflated")
    if not inflater.eof or inflater.unused_data:
        raise RequestError(400, "invalid_encoding", "the gzip of the body is cut, or more stands behind it")
    return plain
