"""Which arm a unit belongs to: weighted rendezvous. No state, n arms, the same on every replica.

A unit's arm is the one with the smallest `-ln(h) / w`, where `h = (H + 0.5) / 2**64` and `H` is the 8-byte
BLAKE2b digest (big-endian) of salt, policy name, hex unit digest and tag, each as UTF-8 behind its length
in 4 bytes big-endian. So raising one weight only pulls units into that arm, and an arm of weight 0 is never
chosen.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from math import log

from proxy.policy.facts import NotRecordedError, RequestFacts

DEFAULT_CHAIN: tuple[str, ...] = ("header:x-kt-unit", "safety_identifier", "user")
"""What is sticky when a split does not say; a random draw is always the last resort."""
UNIT_KINDS: frozenset[str] = frozenset({"safety_identifier", "user", "key", "conversation"})
RANDOM = "random"
_SCALE = 2.0**-64


def unit_digest(kind: str, value: str) -> str:
    """BLAKE2b-128 of kind + NUL + value, in hex."""
    # A request may carry lone surrogates; they must not fail here.
    return blake2b(f"{kind}\0{value}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def unit_of(facts: RequestFacts, chain: Iterable[str]) -> tuple[str, str]:
    """Kind and value of the first unit of `chain` the request carries (not empty), else the draw."""
    for kind in chain:
        if kind.startswith("header:"):
            value = facts.headers.get(kind[7:])
        elif kind == "user":
            value = facts.user
        elif kind == "safety_identifier":
            value = facts.safety_identifier
        elif kind == "key":
            value = facts.key
        else:
            value = facts.conversation if kind == "conversation" else None
        if value:
            return kind, value
    return RANDOM, str(facts.draw)


def digest_of(facts: RequestFacts, chain: Iterable[str]) -> tuple[str, str]:
    """Kind and digest of the unit that `unit_of` finds.

    A recorded request has digests in place of values; NotRecordedError when the one asked for was not kept.
    """
    if facts.recording is None:
        kind, value = unit_of(facts, chain)
        return kind, unit_digest(kind, value)
    units = facts.recording.units
    for kind in chain:
        if kind not in units:
            raise NotRecordedError(f"unit:{kind}")
        digest = units[kind]
        if digest is not None:
            return kind, digest
    return RANDOM, unit_digest(RANDOM, str(facts.draw))


def length_prefixed(text: str) -> bytes:
    """UTF-8 of `text` behind its length in 4 bytes big-endian."""
    data = text.encode("utf-8", "surrogatepass")
    return len(data).to_bytes(4, "big") + data


class Rendezvous:
    """The arms of one split, ready to pick from. `arms` are (tag, weight), at least one weight above 0."""

    __slots__ = ("_arms", "_prefix")

    def __init__(self, salt: str, policy: str, arms: Iterable[tuple[str, float]]) -> None:
        self._prefix = length_prefixed(salt) + length_prefixed(policy) + (32).to_bytes(4, "big")
        # Sorted by tag, so that the (practically impossible) tie does not depend on the order in the file.
        self._arms = tuple((tag, length_prefixed(tag), weight) for tag, weight in sorted(arms) if weight > 0)
        if not self._arms:
            raise ValueError("a split needs an arm with a weight above 0")

    def pick(self, digest: str) -> str:
        """The tag of the arm that the unit with this hex digest belongs to."""
        arms = self._arms
        best = arms[0][0]
        if len(arms) == 1:
            return best
        head = self._prefix + digest.encode("ascii")
        smallest = float("inf")
        for tag, suffix, weight in arms:
            number = int.from_bytes(blake2b(head + suffix, digest_size=8).digest(), "big")
            distance = -log((number + 0.5) * _SCALE) / weight
            if distance < smallest:
                smallest, best = distance, tag
        return best

    def distances(self, digest: str) -> dict[str, float]:
        """`-ln(h) / w` of every arm that can be chosen: what an explanation shows."""
        head = self._prefix + digest.encode("ascii")
        return {
            tag: -log((int.from_bytes(blake2b(head + suffix, digest_size=8).digest(), "big") + 0.5) * _SCALE)
            / weight
            for tag, suffix, weight in self._arms
        }
