"""The state directory: whose it is, and who runs in it."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from proxy.base.secret import Secret


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A running gateway, as `<state>/run/<pid>.json` tells of it."""

    pid: int
    listen: str
    api: str
    policy: str
    version: str
    started: str
    certificate: str | None = None
    """File of the certificate both listeners show; None: plain HTTP."""

    @property
    def api_url(self) -> str:
        """Base address of the control API."""
        return f"{'https' if self.certificate else 'http'}://{self.api}"


class StateDir:
    """A directory only its owner can read, with a lock: one writer at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: int | None = None

    def claim(self) -> None:
        """Make it and take its lock. Raises ValueError with one sentence when another gateway has it."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path.chmod(0o700)
        lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise ValueError(
                f"another gateway uses the state directory {self.path}; stop it, attach to it, or name another with --state-dir"
            ) from None
        self._lock = lock

    def release(self) -> None:
        """Give the lock back."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)

    def announce(self, record: RunRecord) -> None:
        """Let `kt` and `ktui` find this gateway."""
        directory = self.path / "run"
        directory.mkdir(mode=0o700, exist_ok=True)
        _write_private(directory / f"{record.pid}.json", json.dumps(asdict(record)))

    def withdraw(self, pid: int) -> None:
        """Forget it again; nothing to do where the directory was never claimed."""
        if self._lock is not None:
            (self.path / "run" / f"{pid}.json").unlink(missing_ok=True)

    def client_key(self) -> tuple[Secret, bool]:
        """The key made for a listener off loopback, and whether it was made just now."""
        path = self.path / "client_key"
        if path.exists():
            return Secret(path.read_text().strip()), False
        key = f"kt-client-{secrets.token_urlsafe(32)}"
        _write_private(path, key)
        return Secret(key), True


def running_gateways(state_dir: Path) -> list[RunRecord]:
    """The gateways of this state directory whose process lives."""
    found = []
    for path in sorted((state_dir / "run").glob("*.json")):
        try:
            record = RunRecord(**json.loads(path.read_text()))
            os.kill(record.pid, 0)
        except (OSError, ValueError, TypeError):
            continue
        found.append(record)
    return found


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
