"""How `ktui` starts: arguments, files, gateways that run already."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pty_support import REPOSITORY, Terminal, clean_env, ktui_command

Launch = Callable[..., Terminal]

POLICY = """\
providers:
  targets:
    - {id: openai, base_url: "http://127.0.0.1:9", secret_key_ref: {env: OPENAI_API_KEY}}
policies:
  - {name: none-of-it, type: model_filter, blocked_models: [o1-pro]}
"""


def plain(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Without a terminal."""
    return subprocess.run(
        ktui_command(*arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=home,
        env=clean_env(home),
        timeout=30,
        check=False,
    )


def free_addresses() -> tuple[str, str]:
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        return f"127.0.0.1:{a.getsockname()[1]}", f"127.0.0.1:{b.getsockname()[1]}"


@pytest.mark.parametrize("arguments", [[], ["demo"], ["attach", "http://127.0.0.1:1"], ["policy.yaml"]])
def test_without_a_terminal_it_says_one_sentence(home: Path, arguments: list[str]) -> None:
    done = plain(home, *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr == "ktui: ktui needs a terminal; without one, kt gateway run is the same gateway\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--gateway", "fork"], "invalid choice"),
        (["a", "b"], "unrecognized arguments: b"),
        (["demo", "--listen", "x"], "unrecognized arguments"),
        (["a.yaml", "--policy-config", "b.yaml"], "give one"),
    ],
)
def test_wrong_use_is_one_sentence(home: Path, arguments: list[str], words: str) -> None:
    done = plain(home, *arguments)
    assert done.returncode == 2
    assert words in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"], ["attach", "--help"], ["--version"]])
def test_help_and_version_need_no_terminal(home: Path, arguments: list[str]) -> None:
    done = plain(home, *arguments)
    assert done.returncode == 0 and "ktui" in done.stdout and done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.yaml"], "there is no file missing.yaml"),
        (["."], "is a directory"),
        (["p.yaml", "--listen", "nonsense"], "is not an address"),
        (["attach", "127.0.0.1:1"], "needs a token"),
        (["attach", "http://example.invalid"], "unencrypted"),
        (["attach", "ftp://127.0.0.1"], "is not an address"),
        (["attach"], "no gateway runs here"),
    ],
)
def test_what_cannot_be_opened_is_one_sentence(
    launch: Launch, home: Path, arguments: list[str], words: str
) -> None:
    (home / "p.yaml").write_text(POLICY)
    terminal = launch(*arguments, size=(200, 24))
    if words == "needs a token":
        terminal.wait_for(lambda text: "Token of" in text, 10)
        terminal.type("\n")
    assert terminal.exit_code(15) == 2
    terminal.wait_for(lambda text: words in text, 2)
    assert "Traceback" not in terminal.text()
    assert b"\x1b[?1049h" not in terminal.raw
    assert terminal.modes_now() == terminal.modes_before


def test_a_starter_file_is_written_when_it_is_wanted(launch: Launch, home: Path) -> None:
    listen, api = free_addresses()
    terminal = launch("--listen", listen, "--api-listen", api)
    terminal.wait_for(lambda text: "Write a starter file" in text, 10)
    terminal.type("y\n")
    terminal.wait_for(lambda text: "● serving" in text and listen in text, 20)
    starter = home / "policy-config.yaml"
    assert "traffic_split" in starter.read_text()
    terminal.type("q")
    assert terminal.exit_code(8) == 0
    state = home / ".local" / "state" / "ktui"
    assert (state / "last-policy").read_text() == f"{starter}\n"
    assert state.stat().st_mode & 0o077 == 0
    assert list((state / "run").iterdir()) == []
    assert b"Traceback" not in terminal.raw


@pytest.mark.parametrize("answer", ["n\n", "\n"])
def test_a_starter_file_is_not_written_when_it_is_not(launch: Launch, home: Path, answer: str) -> None:
    terminal = launch()
    terminal.wait_for(lambda text: "Write a starter file" in text, 10)
    terminal.type(answer)
    assert terminal.exit_code(8) == 2
    assert not (home / "policy-config.yaml").exists()


def test_the_file_used_last_is_opened_again(launch: Launch, home: Path) -> None:
    state = home / ".local" / "state" / "ktui"
    state.mkdir(parents=True)
    (home / "mine.yaml").write_text(POLICY)
    (state / "last-policy").write_text(f"{home / 'mine.yaml'}\n")
    listen, api = free_addresses()
    terminal = launch("--listen", listen, "--api-listen", api)
    terminal.wait_for(lambda text: "● serving" in text, 20)
    record = json.loads(next((state / "run").iterdir()).read_text())
    assert record["policy"] == str(home / "mine.yaml")


def test_a_taken_port_is_said_on_the_screen(launch: Launch, home: Path) -> None:
    (home / "p.yaml").write_text(POLICY)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        terminal = launch("p.yaml", "--listen", listen, "--api-listen", free_addresses()[1])
        terminal.wait_for(lambda text: "port is taken" in text or "cannot listen" in text, 20)
        terminal.type("q")
        assert terminal.exit_code(8) == 0


@pytest.fixture
def running(home: Path) -> Iterator[tuple[str, str]]:
    """`kt gateway run` with the state directory of `home`: (data plane, control API)."""
    policy = home / "p.yaml"
    policy.write_text(POLICY)
    listen, api = free_addresses()
    command = [sys.executable, "-c", "from proxy.cli.main import main; main()", "gateway", "run"]
    command += ["--policy-config", str(policy), "--listen", listen, "--api-listen", api]
    gateway = subprocess.Popen(
        command, cwd=REPOSITORY, env=clean_env(home), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert gateway.stdout is not None and b"serving" in gateway.stdout.readline()
    yield listen, api
    assert gateway.poll() is None, "the screen took the gateway with it"
    gateway.send_signal(signal.SIGTERM)
    assert gateway.wait(15) == 0
    gateway.stdout.close()


def test_a_gateway_that_runs_already_is_attached_to(
    launch: Launch, home: Path, running: tuple[str, str]
) -> None:
    listen, api = running
    terminal = launch("p.yaml", "--api-listen", api)
    terminal.wait_for(lambda text: "● serving" in text and listen in text, 20)
    terminal.wait_for(lambda text: f"attached {api}" in text, 5)
    terminal.wait_for(lambda text: "ran already" in text, 5)
    terminal.type("q")
    assert terminal.exit_code(8) == 0


@pytest.mark.parametrize("named", [True, False])
def test_attach_finds_address_and_token(launch: Launch, running: tuple[str, str], named: bool) -> None:
    listen, api = running
    terminal = launch("attach", *([f"http://{api}"] if named else []))
    terminal.wait_for(lambda text: "● serving" in text and listen in text, 20)
    terminal.type("q")
    assert terminal.exit_code(8) == 0


def test_a_token_is_asked_for_and_not_shown(launch: Launch, home: Path, running: tuple[str, str]) -> None:
    listen, api = running
    token = json.loads((home / ".local/state/ktui/tokens.json").read_text())["tokens"][0]["token"]
    terminal = launch("attach", api, "--token", "--state-dir", str(home / "other"))
    terminal.wait_for(lambda text: "Token of" in text, 10)
    terminal.type(f"{token}\n")
    terminal.wait_for(lambda text: "● serving" in text and listen in text, 20)
    assert token.encode() not in terminal.raw
    terminal.type("q")
    assert terminal.exit_code(8) == 0


def test_a_wrong_token_is_one_sentence(launch: Launch, running: tuple[str, str]) -> None:
    terminal = launch("attach", running[1], "--token", size=(200, 24))
    terminal.wait_for(lambda text: "Token of" in text, 10)
    terminal.type("wrong\n")
    assert terminal.exit_code(8) == 2
    terminal.wait_for(lambda text: "does not know this token" in text, 2)


def test_the_token_of_the_state_directory_goes_only_to_its_own_gateway(launch: Launch, home: Path) -> None:
    """Whoever listens on the control port first must not be handed the operator's token."""
    state = home / ".local" / "state" / "ktui"
    state.mkdir(parents=True)
    (state / "tokens.json").write_text(
        '{"tokens": [{"name": "a", "role": "operator", "token": "kt-canary"}]}'
    )
    (home / "p.yaml").write_text(POLICY)
    refusal = b'{"error": {"code": "unauthorized", "message": "no"}}'
    with socket.create_server(("127.0.0.1", 0)) as thief:
        thief.settimeout(10)
        terminal = launch("p.yaml", "--api-listen", f"127.0.0.1:{thief.getsockname()[1]}", size=(200, 24))
        heard = b""
        until = time.monotonic() + 10
        while terminal.process.poll() is None and time.monotonic() < until:
            thief.settimeout(0.2)
            try:
                connection, _ = thief.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(0.5)
                try:
                    heard += connection.recv(65_536)
                    connection.sendall(
                        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%b" % (len(refusal), refusal)
                    )
                except OSError:
                    continue
        assert terminal.exit_code(5) == 2
        assert b"GET /v1/status" in heard and b"canary" not in heard
        terminal.wait_for(lambda text: "another state directory" in text, 2)


def test_a_folder_named_proxy_where_one_stands_is_not_ours(home: Path, launch: Launch) -> None:
    (home / "proxy").mkdir()
    (home / "proxy" / "__init__.py").write_text("raise SystemExit('the wrong one')")
    script = [sys.executable, "-P", "-c", "import sys; from ktui.__main__ import main; sys.exit(main())"]
    terminal = Terminal([*script, "demo", "--gateway", "process"], env=clean_env(home), cwd=home)
    try:
        terminal.wait_for(lambda text: "● serving" in text, 20)
        os.kill(terminal.process.pid, signal.SIGTERM)
        assert terminal.exit_code(6) == 128 + signal.SIGTERM
    finally:
        terminal.close()
