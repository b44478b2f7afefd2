"""Where state, settings and running gateways are."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.base.secret import Secret
from proxy.cli.exits import UsageError

if TYPE_CHECKING:
    import ssl

    from proxy.service.state_dir import RunRecord

_APP = "ktui"


def default_state_dir(env: Mapping[str, str]) -> Path:
    """XDG_STATE_HOME/ktui, else ~/.local/state/ktui."""
    base = env.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / _APP


@dataclass(frozen=True, slots=True)
class Gateway:
    """A control API to talk to."""

    api: str
    """Base address, `http://host:port`."""
    token: Secret
    verify: ssl.SSLContext | bool = True
    """What its certificate is verified with."""


def find_gateway(api: str | None, state_dir: Path, env: Mapping[str, str]) -> Gateway | None:
    """The gateway meant: `--api` or KT_API_URL, else the only live one of the state directory; None when none lives.

    Raises UsageError when several live and none is named, or when no token is to be had.
    """
    from proxy.service.state_dir import running_gateways

    address = api or env.get("KT_API_URL")
    if not address:
        live = [record for record in running_gateways(state_dir) if not _refused(record)]
        if not live:
            return None
        if len(live) > 1:
            names = ", ".join(record.api_url for record in live)
            raise UsageError(f"{len(live)} gateways run ({names}); name one with --api")
        address = live[0].api_url
    if "://" not in address:
        address = f"http://{address}"
    address = address.rstrip("/")
    ours = _ours(address, state_dir)
    if not env.get("KT_API_TOKEN") and ours is None:
        raise UsageError(
            f"{address} is not a gateway of the state directory {state_dir}, so its token is not sent there; set KT_API_TOKEN"
        )
    return Gateway(address, read_token(state_dir, env), _verify(address, ours, env))


def _refused(record: RunRecord) -> bool:
    """Whether nothing listens there: after a crash another process may have the id that was noted."""
    host, _, port = record.api.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except (OSError, ValueError):
        return False
    return False


def _verify(address: str, ours: RunRecord | None, env: Mapping[str, str]) -> ssl.SSLContext | bool:
    from proxy.base.tls import CA_VARIABLE, pinned, trusted

    if not address.startswith("https://"):
        return True
    certificate = ours.certificate if ours is not None else None
    try:
        return pinned(Path(certificate)) if certificate else trusted(env)
    except OSError as error:
        place = certificate or env.get(CA_VARIABLE, "")
        raise UsageError(f"the certificate {place} cannot be used: {error.strerror or error}") from None


def _ours(address: str, state_dir: Path) -> RunRecord | None:
    """The live gateway of the state directory that listens there (by whichever name of loopback)."""
    from proxy.service.state_dir import running_gateways

    wanted = address.partition("://")[2].replace("localhost", "127.0.0.1")
    return next((record for record in running_gateways(state_dir) if record.api == wanted), None)


def read_token(state_dir: Path, env: Mapping[str, str]) -> Secret:
    """KT_API_TOKEN, else the operator's token of the state directory. Raises UsageError."""
    if env.get("KT_API_TOKEN"):
        return Secret(env["KT_API_TOKEN"])
    path = state_dir / "tokens.json"
    try:
        entries = json.loads(path.read_text())["tokens"]
        return Secret(next(entry["token"] for entry in entries if entry["role"] == "operator"))
    except (OSError, ValueError, KeyError, TypeError, StopIteration):
        raise UsageError(
            f"no token: set KT_API_TOKEN, or name the gateway's state directory with --state-dir ({path} has none)"
        ) from None


def environment() -> dict[str, str]:
    """A copy of the environment."""
    return dict(os.environ)
