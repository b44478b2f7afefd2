"""`ktui replay`: an exported file, shown in a terminal."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from pty_support import Terminal, clean_env, ktui_command

from proxy.base.ids import uuid7
from proxy.base.times import now_ms
from proxy.events.event import Event
from proxy.events.wire_form import event_json

Launch = Callable[..., Terminal]


def export(path: Path) -> None:
    """Newest first, as `kt export` writes it: ten requests, a minute between them."""
    begin = now_ms() - 86_400_000
    lines = []
    for number in range(10, 0, -1):
        event = Event(
            id=uuid7(), timestamp_ms=begin + number * 60_000, endpoint="chat", requested_model="m", model=f"model-{number}",
            decision="allow", status=200, outcome="ok", latency_ms=800.0, attempts=1, seq=number, cost_nanos=2_000_000,
            cost_status="priced",
        )  # fmt: skip
        lines.append(json.dumps(event_json(event, unknown_null=True)))
    path.write_text("\n".join(lines) + "\n")


def test_a_file_is_shown_at_its_end_and_before(home: Path, launch: Launch) -> None:
    export(home / "bad-day.jsonl")
    (home / "tmp").mkdir()
    terminal = launch("replay", "bad-day.jsonl", TMPDIR=str(home / "tmp"))
    terminal.wait_for(lambda text: "‖ replay: bad-day.jsonl" in text and "model-10" in text, 30)
    assert "model-1 " in terminal.text() and "10 stored" in terminal.text()
    # The moment is that of the last request: half a minute back it is not there yet.
    terminal.type("[")
    terminal.wait_for(lambda text: "model-9" in text and "model-10" not in text, 15)
    terminal.type("0")
    terminal.wait_for(lambda text: "model-10" in text, 15)
    terminal.type("q")
    assert terminal.exit_code(10) == 0
    assert list((home / "tmp").iterdir()) == []


def test_what_cannot_be_replayed_is_said_in_one_sentence(home: Path, launch: Launch) -> None:
    (home / "notes.txt").write_text("not an export\n")
    (home / "empty.jsonl").write_text("")
    for name, words in (
        ("notes.txt", "is no export of events"),
        ("empty.jsonl", "there is no event in empty.jsonl"),
        ("missing.jsonl", "cannot be read: No such file"),
        (".", "there is no event store in"),
    ):
        terminal = launch("replay", name)
        assert terminal.exit_code(20) == 2
        assert words in terminal.text() and "Traceback" not in terminal.text()


def test_without_a_terminal(home: Path) -> None:
    done = subprocess.run(
        ktui_command("replay", "x"), stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=home,
        env=clean_env(home), timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 2 and "needs a terminal" in done.stderr
