"""The command line of `ktui`. Heavy imports happen in the command that needs them, after it is clear that it runs."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import NoReturn

from proxy.base.sanitise import sanitise

FINE, USAGE = 0, 2
_LOG_BYTES = 1_000_000
_NOISY = ("watchfiles", "httpx", "httpcore", "aiosqlite", "asyncio")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `ktui`; the exit code: 0 fine, 1 crashed, 2 used wrongly, 128+n ended by signal n."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if given[:1] == ["demo"]:
            return _demo(_demo_parser().parse_args(given[1:]))
        if given[:1] == ["attach"]:
            return _attach(_attach_parser().parse_args(given[1:]))
        if given[:1] == ["replay"]:
            return _replay(_replay_parser().parse_args(given[1:]))
        return _open(_open_parser().parse_args(given))
    except _UsageError as error:
        return _complain(str(error))
    except KeyboardInterrupt:
        return 130


class _UsageError(Exception):
    """The command cannot be carried out as given; the text is one sentence."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message}; see {self.prog} --help")


def _open_parser() -> _Parser:
    parser = _Parser(
        prog="ktui",
        description="Run a gateway with a policy file and show what goes through it.",
        epilog="ktui demo: simulated vendors and traffic, nothing to set up.  "
        "ktui attach URL: the screen of a gateway that runs elsewhere.  "
        "ktui replay FILE: the screen at an earlier moment.  ./demo names a file.",
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="the policy file")
    parser.add_argument("--policy-config", type=Path, metavar="FILE", help="the same, as for kt gateway run")
    parser.add_argument("--listen", metavar="HOST:PORT", help="where clients connect (127.0.0.1:41002)")
    parser.add_argument("--api-listen", metavar="HOST:PORT", help="the control API (127.0.0.1:41003)")
    _add_gateway(parser)
    _add_state_dir(parser)
    _add_theme(parser)
    parser.add_argument("--version", action="version", version=f"ktui {version('ktui')}")
    return parser


def _attach_parser() -> _Parser:
    parser = _Parser(
        prog="ktui attach",
        description="The screen of a gateway that runs. Its token is KT_API_TOKEN, "
        "on this machine that of the state directory, else it is asked for.",
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="its control API, http://host:port")
    parser.add_argument("--token", action="store_true", help="ask for the token (it is never an argument)")
    parser.add_argument("--insecure", action="store_true", help="allow http to another machine")
    _add_state_dir(parser)
    _add_theme(parser)
    return parser


def _replay_parser() -> _Parser:
    parser = _Parser(
        prog="ktui replay",
        description="The screen at an earlier moment, of an exported file (json, jsonl, csv, parquet) or of "
        "a store. [ and ] go a minute back and on, { and } an hour, @ to a moment, 0 to the end.",
    )
    parser.add_argument(
        "file", nargs="?", type=Path, metavar="FILE", help="what kt export wrote, or a state directory"
    )
    _add_state_dir(parser)
    _add_theme(parser)
    return parser


def _demo_parser() -> _Parser:
    parser = _Parser(prog="ktui demo", description="Simulated vendors, real HTTP, nothing left behind.")
    _add_gateway(parser)
    _add_theme(parser)
    parser.add_argument("--seed", type=int, help="the same prompts, users and answers each time")
    return parser


def _add_gateway(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--gateway",
        choices=("thread", "process"),
        default="thread",
        help="where the gateway runs: beside the screen, or in a process of its own (steadier latency)",
    )


def _add_state_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="events, versions and tokens")


def _add_theme(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--theme", metavar="NAME", help="colour theme, such as kt-dark, kt-light or mono")


# -- commands


def _demo(options: argparse.Namespace) -> int:
    _need_terminal()
    from ktui.demo.session import DemoSession
    from ktui.ending import run

    def make() -> DemoSession:
        session = DemoSession(seed=options.seed, mode=options.gateway, theme=options.theme)
        _log_to(session.directory / "ktui.log")
        return session

    return run(make)


def _attach(options: argparse.Namespace) -> int:
    _need_terminal()
    from ktui.ending import run
    from ktui.opening import AttachedSession, OpeningError, find_place
    from ktui.paths import state_dir

    env = dict(os.environ)
    state = options.state_dir or state_dir(env)
    try:
        place = find_place(
            options.url, ask_token=options.token, insecure=options.insecure, state_dir=state, env=env
        )
    except OpeningError as error:
        raise _UsageError(str(error)) from None
    logging.getLogger().addHandler(logging.NullHandler())
    return run(lambda: AttachedSession(place, theme=options.theme, env=env))


def _replay(options: argparse.Namespace) -> int:
    _need_terminal()
    from ktui.ending import run
    from ktui.paths import state_dir
    from ktui.replay.session import ReplayError, ReplaySession, find_recording

    env = dict(os.environ)
    try:
        recording = find_recording(options.file, options.state_dir or state_dir(env))
    except ReplayError as error:
        raise _UsageError(str(error)) from None

    def make() -> ReplaySession:
        session = ReplaySession(recording, theme=options.theme, env=env)
        _log_to(session.directory / "ktui.log")
        return session

    return run(make)


def _open(options: argparse.Namespace) -> int:
    if options.file is not None and options.policy_config is not None:
        raise _UsageError("FILE and --policy-config name the same thing; give one")
    _need_terminal()
    from ktui import opening
    from ktui.ending import run
    from ktui.paths import state_dir

    env = dict(os.environ)
    state = options.state_dir or state_dir(env)
    named = options.file or options.policy_config
    listen = _checked(options.listen, opening.DEFAULT_LISTEN)
    api_listen = _checked(options.api_listen, opening.DEFAULT_API_LISTEN)
    try:
        url = opening.answering(api_listen)
        place = opening.local_place(url, state, env) if url is not None else None
        if place is not None:
            logging.getLogger().addHandler(logging.NullHandler())
            note = "this gateway ran already; quitting leaves it running"
            if named is not None:
                note += f", and {sanitise(named, 100)} was not opened"
            return run(lambda: opening.AttachedSession(place, theme=options.theme, env=env, note=note))
        policy = opening.find_policy(named, state)
    except opening.OpeningError as error:
        raise _UsageError(str(error)) from None
    _log_to(state / "ktui.log")
    own = opening.OwnOptions(policy, state, env, listen, api_listen, options.gateway, options.theme)
    return run(lambda: opening.OwnSession(own))


# -- parts


def _need_terminal() -> None:
    # The screen is drawn on stderr.
    if not (sys.stdin.isatty() and sys.stdout.isatty() and sys.stderr.isatty()):
        raise _UsageError("ktui needs a terminal; without one, kt gateway run is the same gateway")


def _checked(address: str | None, default: str) -> str:
    if address is None:
        return default
    from proxy.service.options import split_address

    try:
        split_address(address)
    except ValueError as error:
        raise _UsageError(str(error)) from None
    return address


def _log_to(path: Path) -> None:
    """Everything that is logged goes to a file: the terminal belongs to the screen."""
    root = logging.getLogger()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))
        handler: logging.Handler = RotatingFileHandler(path, maxBytes=_LOG_BYTES, backupCount=1)
    except OSError:
        # The gateway cannot use the directory either, and says so on the screen.
        handler = logging.NullHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    logging.captureWarnings(True)
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)


def _complain(sentence: str) -> int:
    sys.stderr.write(f"ktui: {sanitise(sentence, 2_000)}\n")
    return USAGE


if __name__ == "__main__":
    sys.exit(main())
