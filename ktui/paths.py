"""Where ktui keeps what outlives it, after the XDG base directories."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

APP = "ktui"
POLICY_NAME = "policy-config.yaml"
"""The policy file that is looked for where one stands."""


def state_dir(env: Mapping[str, str]) -> Path:
    """Events, versions, tokens, log: XDG_STATE_HOME/ktui, else ~/.local/state/ktui."""
    return _base(env, "XDG_STATE_HOME", Path(".local") / "state")


def config_dir(env: Mapping[str, str]) -> Path:
    """Settings and themes: XDG_CONFIG_HOME/ktui, else ~/.config/ktui."""
    return _base(env, "XDG_CONFIG_HOME", Path(".config"))


def user_themes(env: Mapping[str, str]) -> Path:
    """The reader's own colour themes."""
    return config_dir(env) / "themes"


def settings_file(env: Mapping[str, str]) -> Path:
    """What the reader has chosen."""
    return config_dir(env) / "settings.yaml"


def sample_configs() -> Path:
    """The sample policy files: in the wheel, else in the checkout beside the package."""
    package = Path(__file__).parent
    shipped = package / "_data" / "sample_configs"
    return shipped if shipped.is_dir() else package.parent / "sample_configs"


def last_policy(state: Path) -> Path | None:
    """The policy file used last with this state directory, if it still exists."""
    try:
        path = Path((state / "last-policy").read_text(encoding="utf-8").strip())
    except (OSError, ValueError):
        return None
    return path if path.is_absolute() and path.is_file() else None


def remember_policy(state: Path, policy: Path) -> None:
    """Note the policy file for the next start. One that cannot be noted is simply not offered."""
    note = state / "last-policy"
    try:
        descriptor = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError:
        return
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"{policy.absolute()}\n")


def _base(env: Mapping[str, str], name: str, fallback: Path) -> Path:
    # The specification has relative paths ignored.
    given = Path(env.get(name, ""))
    return (given if given.is_absolute() else Path.home() / fallback) / APP
