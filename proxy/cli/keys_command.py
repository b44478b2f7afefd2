"""`kt keys`: the key store that `secret_key_ref: {store: NAME}` reads, and hashes of client keys."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

import typer

from proxy.base.secret import Secret
from proxy.cli.exits import ProblemError, UsageError, emit, exits, say
from proxy.cli.places import environment

app = typer.Typer(no_args_is_help=True, help="Store provider keys; hash client keys.")

NameArgument = Annotated[str, typer.Argument(help="What secret_key_ref: {store: NAME} calls the key.")]


@app.command("set")
def set_key(name: NameArgument) -> None:
    """Store a key read from stdin (asked for without echo on a terminal); never from the command line."""
    with exits():
        from proxy.upstream.secrets import store_secret

        try:
            store_secret(name, _read(f"key for {name}: "), environment())
        except ValueError as error:
            raise UsageError(str(error)) from None
        except OSError as error:
            raise ProblemError(f"the key was not stored: {error.strerror or error}") from None
        say(f"stored {name}; a policy file names it with secret_key_ref: {{store: {name}}}")


@app.command("list")
def list_keys() -> None:
    """Names of the stored keys; never their values."""
    with exits():
        for name in _names():
            say(name)


@app.command("remove")
def remove_key(name: NameArgument) -> None:
    """Forget a stored key."""
    with exits():
        if name not in _names():
            raise ProblemError(f"there is no stored key {name!r}; kt keys list names those there are")
        (_directory() / name).unlink()
        say(f"removed {name}")


@app.command("hash")
def hash_key() -> None:
    """Write the SHA-256 of a client key read from stdin, for `gateway.client_keys: [{name: ..., sha256: ...}]`."""
    with exits():
        import hashlib

        emit(hashlib.sha256(_read("client key: ").reveal().encode()).hexdigest() + "\n")


def _read(prompt: str) -> Secret:
    text = getpass.getpass(prompt) if sys.stdin.isatty() else sys.stdin.readline()
    key = text.strip()
    if not key:
        raise UsageError("no key came; write it to stdin, one line")
    return Secret(key)


def _directory() -> Path:
    from proxy.upstream.secrets import key_directory

    return key_directory(environment())


def _names() -> list[str]:
    directory = _directory()
    if not directory.is_dir():
        return []
    return sorted(path.name for path in directory.iterdir() if path.is_file() and path.name[:1] != ".")
