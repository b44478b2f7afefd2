"""Addresses that are never dialled: link-local ones and the metadata services of clouds."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

_METADATA = frozenset({ip_address("100.100.100.200"), ip_address("fd00:ec2::254"), ip_address("192.0.0.192")})


def is_forbidden(address: str) -> bool:
    """Whether `address` (an IP address, as resolved) must not be dialled.

    A name that is no address is not.
    """
    try:
        found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        found = found.ipv4_mapped or found.sixtofour or found
    return found.is_link_local or found.is_multicast or found in _METADATA
