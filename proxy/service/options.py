"""How a gateway is started."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from proxy.base.secret import Secret

DEFAULT_LISTEN = "127.0.0.1:41002"
DEFAULT_API_LISTEN = "127.0.0.1:41003"


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """Addresses are `host:port`, port 0 takes a free one. `env` is where secrets and vendor settings are read."""

    policy_path: Path
    state_dir: Path
    listen: str = DEFAULT_LISTEN
    api_listen: str = DEFAULT_API_LISTEN
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    allow_broken_start: bool = False
    """Start although neither the file nor a stored version can run: requests get 503 until the file is mended."""
    insecure_api: bool = False
    """Let the control API listen off loopback without TLS."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    badges: tuple[str, ...] = ()
    api_token: Secret | None = None


def split_address(text: str) -> tuple[str, int]:
    """Host and port of `host:port` (`[::1]:8080` for IPv6). Raises ValueError with one sentence."""
    host, colon, port = text.rpartition(":")
    host = host.strip("[]")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        raise ValueError(f"{text!r} is not an address; write host:port such as 127.0.0.1:41002")
    return host, int(port)


def join_address(host: str, port: int) -> str:
    """`host:port`, with brackets around IPv6."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a listener on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
