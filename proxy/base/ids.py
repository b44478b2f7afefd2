"""Event ids: UUID version 7 (RFC 9562, section 5.7)."""

from __future__ import annotations

import random
import time


def uuid7(unix_ms: int | None = None) -> str:
    """A UUIDv7 in its canonical text form; `unix_ms` is the wall clock in milliseconds (default: now)."""
    stamp = time.time_ns() // 1_000_000 if unix_ms is None else unix_ms
    # Not a secret, and a system call is dear: the generator that seeds itself from the system will do.
    value = random.getrandbits(80)
    number = (stamp & 0xFFFFFFFFFFFF) << 80 | value
    number = number & ~(0xF << 76) | 0x7 << 76
    number = number & ~(0x3 << 62) | 0x2 << 62
    text = f"{number:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
