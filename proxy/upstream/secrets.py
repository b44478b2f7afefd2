"""Finds a secret where the policy file says it is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from proxy.base.sanitise import sanitise
from proxy.base.secret import Secret

_LARGEST = 16 * 1024


@dataclass(frozen=True, slots=True)
class SecretPlace:
    """Where a secret is: an environment variable, a file, or the key store of the config directory."""

    env: str | None = None
    file: str | None = None
    store: str | None = None


class SecretMissingError(Exception):
    """The secret cannot be had. Its argument is a sentence that names the place, never the value."""


def find_secret(place: SecretPlace, env: Mapping[str, str]) -> Secret:
    """The secret. Raises SecretMissingError."""
    if place.env is not None:
        value = env.get(place.env, "").strip()
        if not value:
            raise SecretMissingError(f"the environment variable {sanitise(place.env, 128)} is not set")
        return _checked(value, f"the environment variable {sanitise(place.env, 128)}")
    if place.file is not None:
        return _from_file(Path(place.file).expanduser(), f"the file {sanitise(place.file, 200)}")
    name = place.store or ""
    if not _is_key_name(name):
        raise SecretMissingError(f"the key store has no key called {sanitise(name, 128)!r}")
    return _from_file(
        key_directory(env) / name, f"the key {sanitise(name, 128)} (kt keys set {sanitise(name, 128)})"
    )


def key_directory(env: Mapping[str, str]) -> Path:
    """Where stored keys are: one file each, readable by their owner only."""
    config = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME") or "~").expanduser() / ".config")
    return Path(config) / "ktui" / "keys"


def store_secret(name: str, secret: Secret, env: Mapping[str, str]) -> Path:
    """Put `secret` into the key store under `name`, readable by its owner only; an older one is replaced at once.

    Raises ValueError with one sentence for a name or a key that cannot be one, OSError when it cannot be written.
    """
    if not _is_key_name(name):
        raise ValueError(f"{sanitise(name, 128)!r} cannot be the name of a key: no slash, no dot in front")
    try:
        _checked(secret.reveal(), "stdin")
    except SecretMissingError as error:
        raise ValueError(str(error)) from None
    directory = key_directory(env)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, unfinished = tempfile.mkstemp(prefix=".", dir=directory)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secret.reveal() + "\n")
        Path(unfinished).replace(directory / name)
    except OSError:
        Path(unfinished).unlink(missing_ok=True)
        raise
    return directory / name


def _is_key_name(name: str) -> bool:
    return 0 < len(name) <= 128 and name.isprintable() and "/" not in name and not name.startswith(".")


def _from_file(path: Path, name: str) -> Secret:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise SecretMissingError(f"{name} cannot be read: {error.strerror or 'no such file'}") from None
    try:
        value = data.decode("ascii").strip()
    except UnicodeDecodeError:
        raise SecretMissingError(f"{name} holds no key: it is not plain ASCII text") from None
    if not value or len(data) > _LARGEST:
        raise SecretMissingError(f"{name} holds no key: it is {'empty' if not value else 'too large'}")
    return _checked(value, name)


def _checked(value: str, name: str) -> Secret:
    if not value.isascii() or not value.isprintable() or " " in value:
        raise SecretMissingError(f"{name} holds no key: a key is one word of ASCII characters")
    return Secret(value)
