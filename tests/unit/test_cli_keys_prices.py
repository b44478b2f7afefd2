"""`kt keys` and `kt prices`: stored so that only their owner reads them; what is unpriced is a finding."""

from __future__ import annotations

import hashlib
import json
import stat
from pathlib import Path

import pytest
from typer.testing import CliRunner

from proxy.cli.main import app
from proxy.upstream.secrets import SecretPlace, find_secret

CONFIG = """\
providers:
  targets:
    - {id: openai, secret_key_ref: {store: team}, models: [gpt-4o]}
    - {id: local, provider: openai-compatible, base_url: "http://127.0.0.1:9", models: [tiny, big]}
prices:
  big: {input: 1, output: 2.5, cache_write_1h: 3}
policies:
  - {name: only, type: model_filter, allowed_models: [gpt-4o, tiny, big]}
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CONFIG_HOME": str(tmp_path / "config"), "XDG_STATE_HOME": str(tmp_path), "KT_API_URL": ""}


def run(env: dict[str, str], *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    result = CliRunner().invoke(app, list(arguments), input=stdin, env=env)
    return result.exit_code, result.stdout, result.stderr


def test_a_key_is_stored_for_its_owner_only_found_listed_and_removed(
    env: dict[str, str], tmp_path: Path
) -> None:
    assert run(env, "keys", "list") == (0, "", "")
    code, out, _ = run(env, "keys", "set", "team", stdin="sk-first\n")
    assert code == 0 and "sk-first" not in out
    assert run(env, "keys", "set", "team", stdin="sk-second\n")[0] == 0
    path = tmp_path / "config" / "ktui" / "keys" / "team"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert find_secret(SecretPlace(store="team"), env).reveal() == "sk-second"
    assert run(env, "keys", "list") == (0, "team\n", "")
    assert run(env, "keys", "remove", "team")[0] == 0
    code, _, err = run(env, "keys", "remove", "team")
    assert code == 1 and "no stored key 'team'" in err
    assert not list(path.parent.iterdir())


@pytest.mark.parametrize("name", ["../x", ".hidden", "a/b", "", "x" * 129])
def test_a_name_cannot_lead_elsewhere(env: dict[str, str], name: str, tmp_path: Path) -> None:
    code, _, err = run(env, "keys", "set", name, stdin="sk-1\n")
    assert code == 2 and "cannot be the name of a key" in err
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("key", ["", "two words", "schlüssel"])
def test_what_is_no_key_is_not_stored(env: dict[str, str], key: str) -> None:
    code, _, err = run(env, "keys", "set", "a", stdin=key + "\n")
    assert code == 2 and err.count("\n") == 1 and (not key or key not in err)


def test_a_hash_is_that_of_the_line(env: dict[str, str]) -> None:
    assert run(env, "keys", "hash", stdin="client-1\n")[1].strip() == hashlib.sha256(b"client-1").hexdigest()


def test_prices_of_a_file(env: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(CONFIG)
    code, out, _ = run(env, "prices", "show", "--file", str(path), "--format", "json")
    rows = {row["model"]: row for row in json.loads(out)}
    assert code == 0 and set(rows) == {"gpt-4o", "tiny", "big"}
    assert (rows["big"]["input"], rows["big"]["output"], rows["big"]["source"]) == ("1", "2.5", "file")
    assert rows["big"]["cache_write_1h"] == "3"
    assert rows["tiny"]["input"] is None and rows["tiny"]["source"] is None
    assert rows["gpt-4o"]["source"].startswith("genai-prices ")
    code, out, _ = run(env, "prices", "show", "big", "--file", str(path))
    assert code == 0 and "gpt-4o" not in out and "2.5" in out
    code, _, err = run(env, "prices", "show", "nope", "--file", str(path))
    assert code == 1 and "nope" in err


def test_missing_prices_are_a_finding(env: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(CONFIG)
    code, out, _ = run(env, "prices", "missing", "--file", str(path), "--format", "json")
    assert code == 1 and json.loads(out) == [{"target": "local", "model": "tiny", "requests": 0}]
    path.write_text(CONFIG.replace("  big:", "  tiny: {input: 0, output: 0}\n  big:"))
    code, out, _ = run(env, "prices", "missing", "--file", str(path))
    assert (code, out) == (0, "every model has a price\n")


def test_without_a_gateway_and_without_a_file_it_says_so(env: dict[str, str]) -> None:
    code, _, err = run(env, "prices", "show")
    assert code == 2 and "--file" in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_that_cannot_be_written_is_one_sentence(env: dict[str, str]) -> None:
    import subprocess
    import sys

    with open("/dev/full", "w") as full:
        found = subprocess.run(
            [sys.executable, "-c", "from proxy.cli.main import main; main()", "version"],
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert found.returncode == 1
    assert found.stderr.decode() == "kt: the output could not be written: No space left on device\n"
