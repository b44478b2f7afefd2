"""Who may use the control API: named tokens with a role."""

from __future__ import annotations

import getpass
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from proxy.base.secret import Secret
from proxy.control.discovery import TOKEN_ENV, operator_token, write_private

Role = Literal["viewer", "operator"]
_SHORTEST = 16


class TokensError(Exception):
    """The tokens cannot be read or made. Its argument is one sentence."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who showed a token."""

    name: str
    """What versions record as `who`."""
    role: Role

    @property
    def may_change(self) -> bool:
        """Whether this principal may do more than read."""
        return self.role == "operator"


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    token: str
    role: Role = "viewer"


class Tokens:
    """The tokens a control API accepts."""

    def __init__(self, operator: Secret, known: tuple[tuple[Secret, Principal], ...]) -> None:
        self.operator = operator
        """The operator's own; `kt token` prints it."""
        self._known = known

    def principal(self, candidate: bytes) -> Principal | None:
        """Who shows `candidate`. Every token is compared, so that the time taken tells nothing."""
        found = None
        for secret, principal in self._known:
            if secret.matches(candidate) and found is None:
                found = principal
        return found


def load_tokens(state_dir: Path, env: Mapping[str, str]) -> Tokens:
    """The operator's token (KT_API_TOKEN, else `token` of the state directory, made at the first start) and those of
    `tokens.json`: `{"name": {"token": "...", "role": "viewer"}}`. Raises TokensError."""
    operator = operator_token(state_dir, env)
    if operator is None:
        operator = Secret(secrets.token_urlsafe(32))
        try:
            write_private(state_dir / "token", f"{operator.reveal()}\n".encode())
        except OSError as error:
            raise TokensError(f"cannot write {state_dir / 'token'}: {error.strerror}") from None
    elif env.get(TOKEN_ENV, "").strip() and len(operator.reveal()) < _SHORTEST:
        raise TokensError(f"{TOKEN_ENV} is shorter than {_SHORTEST} characters: choose a longer one")
    known = [(operator, Principal(_user(env), "operator"))]
    known += _further(state_dir / "tokens.json")
    return Tokens(operator, tuple(known))


def _further(path: Path) -> list[tuple[Secret, Principal]]:
    try:
        data = path.read_bytes()
        mode = path.stat().st_mode
    except FileNotFoundError:
        return []
    except OSError as error:
        raise TokensError(f"cannot read {path}: {error.strerror}") from None
    if mode & 0o077:
        raise TokensError(f"{path} can be read by others: run chmod 600 {path}")
    try:
        entries = msgspec.json.decode(data, type=dict[str, _Entry])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        shape = '{"name": {"token": "...", "role": "viewer"}}'
        raise TokensError(f"{path} is not of the form {shape}") from None
    for name, entry in entries.items():
        if len(entry.token) < _SHORTEST:
            raise TokensError(f"the token of {name!r} in {path} is shorter than {_SHORTEST} characters")
    return [(Secret(entry.token), Principal(name, entry.role)) for name, entry in entries.items()]


def _user(env: Mapping[str, str]) -> str:
    """The name changes of the operator are recorded under: that of the account."""
    try:
        return env.get("LOGNAME") or env.get("USER") or getpass.getuser()
    except (OSError, KeyError):
        return "operator"
