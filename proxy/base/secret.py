"""A value that must never be shown."""

from __future__ import annotations

import hmac
from hashlib import sha256


class Secret:
    """Holds a key or token; `repr`, `str` and formatting give `***`. Only `reveal()` gives the value."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself. Call it only where the value leaves the process on purpose."""
        return self._value

    def matches(self, candidate: bytes) -> bool:
        """Whether `candidate` is this secret, compared in constant time (over SHA-256 digests)."""
        return hmac.compare_digest(sha256(self._value.encode()).digest(), sha256(candidate).digest())

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return "***"

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> str:
        raise TypeError("a Secret is never pickled")


class SecretDigest:
    """The SHA-256 of a secret: enough to recognise it, not to show it."""

    __slots__ = ("_digest",)

    def __init__(self, hex_digest: str) -> None:
        """`hex_digest`: 64 hex digits. Raises ValueError for anything else."""
        self._digest = bytes.fromhex(hex_digest)
        if len(self._digest) != 32:
            raise ValueError("a SHA-256 has 64 hex digits")

    def matches(self, candidate: bytes) -> bool:
        """Whether `candidate` is the secret, compared in constant time."""
        return hmac.compare_digest(self._digest, sha256(candidate).digest())

    def __repr__(self) -> str:
        return "***"
