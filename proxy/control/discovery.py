"""How `kt` and `ktui` find a gateway of this user: the files each gateway leaves in its state directory."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from proxy.base.secret import Secret

TOKEN_ENV = "KT_API_TOKEN"
URL_ENV = "KT_API_URL"


class RunFile(msgspec.Struct, frozen=True):
    """What one running gateway says of itself in `<state>/run/<pid>.json`."""

    pid: int
    listen: str
    """Address of the data plane, host:port."""
    api: str
    """URL of the control API."""
    file: str
    """Path of its policy file."""
    version: str
    started: str
    """RFC 3339."""


def default_state_dir(env: Mapping[str, str]) -> Path:
    """`$XDG_STATE_HOME/ktui`, or `~/.local/state/ktui`."""
    base = env.get("XDG_STATE_HOME", "")
    # The XDG rules say that a relative path is to be ignored.
    home = Path(base) if base.startswith("/") else Path.home() / ".local" / "state"
    return home / "ktui"


def write_run_file(state_dir: Path, run: RunFile) -> Path:
    """Say that this gateway runs; the path to remove when it no longer does."""
    path = state_dir / "run" / f"{run.pid}.json"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(path, msgspec.json.encode(run))
    return path


def live_runs(state_dir: Path) -> list[RunFile]:
    """The gateways of this state directory whose process lives, by start. What a crash left behind is passed over."""
    found = []
    for path in (state_dir / "run").glob("*.json"):
        try:
            run = msgspec.json.decode(path.read_bytes(), type=RunFile)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if _lives(run.pid):
            found.append(run)
    return sorted(found, key=lambda run: run.started)


def operator_token(state_dir: Path, env: Mapping[str, str]) -> Secret | None:
    """The token of an operator: KT_API_TOKEN, else the one the gateway made in its state directory."""
    given = env.get(TOKEN_ENV, "").strip()
    if given:
        return Secret(given)
    try:
        text = (state_dir / "token").read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return Secret(text) if text else None


def write_private(path: Path, data: bytes) -> None:
    """Write `path` so that it is whole or not there, readable by its owner only."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _lives(pid: int) -> bool:
    if pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.EPERM
    return True
