"""`kt policy lint`: exit codes, the place with its line and marks, JSON for CI."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from proxy.cli.main import app

SAMPLES = Path(__file__).parents[2] / "sample_configs"
BROKEN = "policies:\n  - name: a\n    type: trafic_split\n"
WARNED = "policies:\n  - {name: q, type: cost_limit, limit_usd: 5, window: day, action: block}\n"


def kt(*arguments: str | Path, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    return tmp_path / "policy.yaml"


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_sample_is_clean(sample: Path) -> None:
    assert kt("policy", "lint", "--file", sample).exit_code == 0


def test_an_error_is_pointed_at(policy: Path) -> None:
    policy.write_text(BROKEN)
    done = kt("policy", "lint", "--file", policy)
    assert done.exit_code == 1
    assert done.stdout.splitlines() == [
        f"{policy}:3:11: error[unknown-type]: unknown policy type trafic_split; did you mean traffic_split?",
        "  |",
        "3 |     type: trafic_split",
        "  |           ^^^^^^^^^^^^",
        "  = fix: write traffic_split",
        f"{policy}: 1 error",
    ]


def test_warnings_count_only_when_asked(policy: Path) -> None:
    policy.write_text(WARNED)
    env = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "y"}
    done = kt("policy", "lint", "--file", policy, env=env)
    assert done.exit_code == 0 and "1 warning" in done.stdout
    assert kt("policy", "lint", "--file", policy, "--strict", env=env).exit_code == 1


def test_json_is_for_machines(policy: Path, tmp_path: Path) -> None:
    policy.write_text(BROKEN)
    done = kt("policy", "lint", "--file", policy, "--format", "json")
    report = json.loads(done.stdout)
    assert done.exit_code == 1 and report["valid"] is False and report["file"] == str(policy)
    (problem,) = [item for item in report["diagnostics"] if item["severity"] == "error"]
    assert (problem["line"], problem["column"], problem["fix"]["title"]) == (3, 11, "write traffic_split")
    clean = tmp_path / "clean.yaml"
    clean.write_text("policies: []\n")
    both = json.loads(kt("policy", "lint", "--file", policy, "--file", clean, "--format", "json").stdout)
    assert [item["valid"] for item in both] == [False, True]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "there is no such file"), (b"\xff\xfea\x00", "the file is not UTF-8 (byte 0); save it as UTF-8")],
)
def test_a_file_that_cannot_be_read_is_wrong_use(policy: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        policy.write_bytes(content)
    done = kt("policy", "lint", "--file", policy)
    assert done.exit_code == 2 and done.stdout == ""
    assert done.stderr == f"kt: {policy}: {said}\n"


def test_wrong_use_is_2(policy: Path) -> None:
    policy.write_text("policies: []\n")
    assert kt("policy", "lint").exit_code == 2
    assert kt("policy", "lint", "--file", policy, "--format", "xml").exit_code == 2
    assert kt("no-such-command").exit_code == 2


def test_nothing_of_the_file_acts_on_the_terminal(policy: Path) -> None:
    policy.write_text('policies:\n  - name: "a\\e[2J"\n    type: "x\u202ey\u200b"\n    \u202ekey: 1\n')
    out = kt("policy", "lint", "--file", policy).stdout
    assert "error" in out
    assert not [letter for letter in out if letter != "\n" and (letter < " " or letter in "\u202e\u200b\x7f")]
