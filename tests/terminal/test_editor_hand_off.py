"""The draft in another editor: it gets the terminal, requests go on, and what it leaves is the draft."""

from __future__ import annotations

import http.client
import json
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from pty_support import Terminal

Launch = Callable[..., Terminal]

POLICY = """\
providers:
  targets:
    - {id: openai, base_url: "http://127.0.0.1:9", secret_key_ref: {env: OPENAI_API_KEY}}
policies:
  - {name: none-of-it, type: model_filter, blocked_models: [o1-pro]}
"""
EDITOR = """\
import json, os, signal, sys
path = sys.argv[-1]
signal.signal(signal.SIGINT, lambda *_: print("INTERRUPTED", flush=True))
print("EDITOR HERE", *sys.argv[1:-1], flush=True)
os.kill(0, signal.SIGTSTP)  # What ctrl+z makes of an editor.
print("GOES ON", flush=True)
seen = {"mode": os.stat(path).st_mode & 0o777, "folder": os.stat(os.path.dirname(path)).st_mode & 0o777,
        "name": os.path.basename(path), "text": open(path).read(), "tty": os.isatty(0)}
while (line := sys.stdin.readline().strip()) not in ("save", "fail"):
    pass
if line == "save":
    open(path, "a").write("  - {name: added, type: log}\\n")
json.dump(seen, open(os.environ["HOME"] + "/seen.json", "w"))
sys.exit(3 if line == "fail" else 0)
"""


def free_address() -> tuple[str, int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return "127.0.0.1", server.getsockname()[1]


class Traffic:
    """Requests the gateway answers by itself, one after the other, until it is ended."""

    def __init__(self, where: tuple[str, int]) -> None:
        self.answers: list[int] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(where,))
        self._thread.start()

    def _run(self, where: tuple[str, int]) -> None:
        connection = http.client.HTTPConnection(*where, timeout=5)
        body = b'{"model":"o1-pro","messages":[{"role":"user","content":"hello"}]}'
        while not self._ended.wait(0.01):
            connection.request("POST", "/v1/chat/completions", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            self.answers.append(answer.status)
        connection.close()

    def wait_for(self, more: int) -> None:
        """Until so many more were answered."""
        wanted = len(self.answers) + more
        for _ in range(2_000):
            if len(self.answers) >= wanted:
                return
            self._ended.wait(0.01)
        raise AssertionError(f"{len(self.answers)} answers, not {wanted}")

    def end(self) -> None:
        self._ended.set()
        self._thread.join(10)


@pytest.mark.parametrize("gateway", ["process", "thread"])
def test_requests_go_on_while_another_editor_has_the_draft(launch: Launch, home: Path, gateway: str) -> None:
    (home / "policy.yaml").write_text(POLICY)
    (home / "my editor.py").write_text(EDITOR)
    where = free_address()
    terminal = launch(
        "policy.yaml",
        "--gateway",
        gateway,
        "--listen",
        f"{where[0]}:{where[1]}",
        "--api-listen",
        "127.0.0.1:0",
        EDITOR="false",
        VISUAL=f"{sys.executable} '{home / 'my editor.py'}' --wait",
        OPENAI_API_KEY="x",
    )
    terminal.wait_for(lambda text: "● serving" in text, 30)
    traffic = Traffic(where)
    try:
        terminal.type("2")
        terminal.wait_for(lambda text: "none-of-it" in text, 10)
        terminal.type("\x1bOS")
        terminal.wait_for(lambda text: "EDITOR HERE --wait" in text and "GOES ON" in text, 20)
        drawn = len(terminal.raw)
        traffic.wait_for(150)
        terminal.type("\x03")
        terminal.wait_for(lambda text: "INTERRUPTED" in text, 10)
        assert terminal.process.poll() is None
        assert len(terminal.raw) - drawn < 100  # Nothing is drawn over the editor.
        terminal.type("save\n")
        terminal.wait_for(lambda text: "taken over as the draft, not applied" in text and "added" in text, 20)
        traffic.wait_for(20)
        seen = json.loads((home / "seen.json").read_text())
        assert seen == {"mode": 0o600, "folder": 0o700, "name": "policy.yaml", "text": POLICY, "tty": True}
        assert (home / "policy.yaml").read_text() == POLICY

        terminal.type("\x1bOS")
        terminal.wait_for(lambda text: "GOES ON" in text, 20)
        terminal.type("fail\n")
        terminal.wait_for(
            lambda text: "the draft is as it was: the editor ended with exit code 3" in text, 20
        )
        terminal.wait_for(lambda text: "added" in text, 10)
    finally:
        traffic.end()
    assert set(traffic.answers) == {403}
    assert not [path for path in (home / "tmp").iterdir() if (path / "policy.yaml").exists()]
    terminal.type("\x11")
    terminal.wait_for(lambda text: "has a draft that is not applied" in text, 10)


@pytest.mark.parametrize(
    ("env", "words"),
    [
        ({}, "neither $VISUAL nor $EDITOR is set"),
        ({"EDITOR": "/nowhere/vi"}, "$EDITOR names a program that is not there"),
        ({"VISUAL": "vi 'x"}, "$VISUAL has a quote that is not closed"),
    ],
)
def test_without_an_editor_one_sentence_says_so(
    launch: Launch, home: Path, env: dict[str, str], words: str
) -> None:
    (home / "policy.yaml").write_text(POLICY)
    terminal = launch("policy.yaml", "--listen", "127.0.0.1:0", "--api-listen", "127.0.0.1:0", **env)
    terminal.wait_for(lambda text: "● serving" in text, 30)
    terminal.type("2")
    terminal.wait_for(lambda text: "none-of-it" in text, 10)
    terminal.type("\x1bOS")
    terminal.wait_for(lambda text: words in text, 10)
