"""Finding the gateway that is meant, and its token."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli.exits import UsageError
from proxy.cli.main import app
from proxy.cli.places import default_state_dir, find_gateway, read_token
from proxy.control.auth import load_tokens

TOKEN = {"KT_API_TOKEN": "kt-given"}


def running(state: Path, pid: int, port: int) -> None:
    (state / "run").mkdir(parents=True, exist_ok=True)
    record = {
        "pid": pid, "listen": "127.0.0.1:1", "api": f"127.0.0.1:{port}", "policy": "/p.yaml",
        "version": "0", "started": "2026-01-01T00:00:00.000Z",
    }  # fmt: skip
    (state / "run" / f"{pid}.json").write_text(json.dumps(record))


def test_the_state_directory_is_where_xdg_says() -> None:
    assert default_state_dir({"XDG_STATE_HOME": "/x"}) == Path("/x/ktui")
    assert default_state_dir({}) == Path.home() / ".local" / "state" / "ktui"


@pytest.fixture
def listener() -> Iterator[int]:
    """A port where something answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    """A port where nothing answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def test_the_only_live_gateway_is_meant(tmp_path: Path, listener: int) -> None:
    assert find_gateway(None, tmp_path, TOKEN) is None
    running(tmp_path, 999_999_999, listener)
    assert find_gateway(None, tmp_path, TOKEN) is None
    running(tmp_path, os.getpid(), listener)
    found = find_gateway(None, tmp_path, TOKEN)
    assert found is not None and found.api == f"http://127.0.0.1:{listener}"
    assert found.token.reveal() == "kt-given" and "kt-given" not in repr(found)


def test_one_that_is_named_wins(tmp_path: Path) -> None:
    running(tmp_path, os.getpid(), 41_003)
    env = {**TOKEN, "KT_API_URL": "http://127.0.0.1:2/"}
    by_environment, by_option = find_gateway(None, tmp_path, env), find_gateway("127.0.0.1:3", tmp_path, env)
    assert by_environment is not None and by_environment.api == "http://127.0.0.1:2"
    assert by_option is not None and by_option.api == "http://127.0.0.1:3"


def test_after_a_crash_the_id_of_another_process_is_no_gateway(tmp_path: Path) -> None:
    """Else nothing could be read from the store after a reboot until a gateway had run again."""
    running(tmp_path, os.getpid(), free_port())
    assert find_gateway(None, tmp_path, TOKEN) is None


def test_of_two_one_must_be_named(tmp_path: Path, listener: int) -> None:
    running(tmp_path, os.getpid(), listener)
    running(tmp_path, os.getppid(), listener)
    with pytest.raises(UsageError, match=r"2 gateways run \(http://127.0.0.1:\d+, .*name one with --api"):
        find_gateway(None, tmp_path, TOKEN)


def test_the_token_is_the_operator_s(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no token: set KT_API_TOKEN"):
        read_token(tmp_path, {})
    operator = load_tokens(tmp_path, None)[0].secret
    assert read_token(tmp_path, {}) == operator
    assert read_token(tmp_path, TOKEN).reveal() == "kt-given"
    done = CliRunner().invoke(app, ["token", "--state-dir", str(tmp_path)], env={"KT_API_TOKEN": ""})
    assert (done.exit_code, done.stdout) == (0, operator.reveal() + "\n")


@pytest.mark.parametrize("command", [["doctor"], ["events", "tail"], ["events", "list"], ["token"]])
def test_without_a_gateway_commands_say_what_to_do(tmp_path: Path, command: list[str]) -> None:
    env = {"KT_API_TOKEN": "", "KT_API_URL": ""}
    done = CliRunner().invoke(app, [*command, "--state-dir", str(tmp_path)], env=env)
    assert done.exit_code == 2 and done.stdout == ""
    assert done.stderr.startswith("kt: no ") and done.stderr.count("\n") == 1


def test_a_gateway_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    for command in (["doctor"], ["events", "tail"], ["events", "list"]):
        arguments = [*command, "--state-dir", str(tmp_path), "--api", "http://127.0.0.1:9"]
        done = CliRunner().invoke(app, arguments, env=TOKEN)
        assert done.exit_code == 1
        assert done.stderr == "kt: no gateway answers at http://127.0.0.1:9\n"
