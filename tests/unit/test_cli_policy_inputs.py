"""What `kt policy` is handed instead of a policy: one sentence and exit 2, at once, whatever it is."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli.main import app

GOOD = "policies:\n  - {name: a, type: log, severity: info}\n"
BROKEN = "policies:\n  - name: a\n    type: trafic_split\n"
REQUEST = '{"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}'


def kt(*arguments: str | Path, state: Path) -> Result:
    env = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "y", "XDG_STATE_HOME": str(state), "KT_API_URL": ""}
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


INPUTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "there is no such file"),
    "directory": (Path.mkdir, "it is a directory, not a file"),
    "pipe": (os.mkfifo, "it is a pipe, a socket or a device, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is a pipe, a socket or a device, not a file"),
    "loop": (link_to_itself, "could not read the file: Too many levels of symbolic links"),
    "utf-16": (lambda path: path.write_bytes(GOOD.encode("utf-16")), "the file is not UTF-8 (byte 0)"),
    "latin": (lambda path: path.write_bytes(b"# caf\xe9\n"), "the file is not UTF-8 (byte 5)"),
    "huge": (lambda path: path.write_bytes(b"a" * (5 << 20)), "the file is larger than 4 MiB"),
}
COMMANDS = {
    "lint": ("lint", "--file", "{bad}"),
    "lint json": ("lint", "--format", "json", "{bad}"),
    "explain": ("explain", "--file", "{bad}", "--request", "{request}"),
    "explain a request": ("explain", "--file", "{good}", "--request", "{bad}"),
    "diff": ("diff", "{good}", "{bad}"),
    "simulate": ("simulate", "--file", "{bad}"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", INPUTS)
def test_what_is_no_text_is_one_sentence(kind: str, command: str, tmp_path: Path) -> None:
    make, sentence = INPUTS[kind]
    places = {name: tmp_path / f"{name}.yaml" for name in ("bad", "good", "request")}
    make(places["bad"])
    places["good"].write_text(GOOD)
    places["request"].write_text(REQUEST)
    done = kt("policy", *(part.format(**places) for part in COMMANDS[command]), state=tmp_path)
    assert done.exit_code == 2, done.output
    assert done.stderr.startswith(f"kt: {places['bad']}: {sentence}")
    assert done.stderr.count("\n") == 1


def test_what_a_command_of_the_shell_writes_is_read(tmp_path: Path) -> None:
    """`kt policy lint --file <(generate)`: a pipe too, but one that ends."""
    reading, writing = os.pipe()
    os.write(writing, BROKEN.encode())
    os.close(writing)
    done = kt("policy", "lint", "--file", f"/dev/fd/{reading}", state=tmp_path)
    os.close(reading)
    assert (done.exit_code, "error[unknown-type]" in done.stdout) == (1, True), done.output


def test_a_draft_with_errors_is_shown_at_its_place_without_a_store(tmp_path: Path) -> None:
    (tmp_path / "draft.yaml").write_text(BROKEN)
    done = kt("policy", "simulate", "--file", tmp_path / "draft.yaml", state=tmp_path)
    assert done.exit_code == 1 and done.stdout == ""
    assert done.stderr.startswith("kt: the draft has errors, so nothing was replayed\n")
    assert "draft.yaml:3:11: error[unknown-type]" in done.stderr


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("\ufeff" + REQUEST, 0, "allowed: gpt-4o"),
        ("[" * 100_000, 2, "not JSON that can be read: nested too deeply"),
        ("{", 2, "not JSON: "),
        ("[]", 2, "a request body is a JSON object"),
    ],
)
def test_a_request_is_json(text: str, code: int, said: str, tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "request.json").write_text(text, encoding="utf-8")
    done = kt(
        "policy", "explain", "--file", tmp_path / "good.yaml", "--request", tmp_path / "request.json",
        state=tmp_path,
    )  # fmt: skip
    assert done.exit_code == code, done.output
    assert said in done.output
