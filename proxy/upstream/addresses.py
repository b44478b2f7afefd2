"""Addresses that are never dialled: link-local ones and the metadata services of clouds."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

_METADATA = frozenset({ip_address("100.100.100.200"), ip_address("fd00:ec2::254"), ip_address("192.0.0.192")})


_NAT64 = ip_network("64:ff9b::/96")
"""IPv4 addresses in IPv6 ones, RFC 6052."""


@lru_cache(maxsize=1024)
def is_forbidden(address: str) -> bool:
    """Whether `address` (an IP address, as resolved) must not be dialled.

    A name that is no address is not.
    """
    try:
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or _translated(found) or found
    return found.is_link_local or found.is_multicast or found in _METADATA


def _translated(address: IPv6Address) -> IPv4Address | None:
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None
