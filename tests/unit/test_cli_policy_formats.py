"""`kt policy lint` for people, CI systems and pipes; `schema` and `explain`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from proxy.cli.lint_formats import Report, github_lines, pointed, sarif_text, text_lines
from proxy.cli.main import app
from proxy.policy.diagnostics import Diagnostic, Fix, TextEdit
from proxy.policy.schema import json_schema

SAMPLES = sorted((Path(__file__).parents[2] / "sample_configs").glob("*.yaml"))
BROKEN = "policies:\n  - name: a\n    type: trafic_split\n"
ENV = {"OPENAI_API_KEY": "x", "ANTHROPIC_API_KEY": "y"}


class YamlOfEditors(yaml.SafeLoader):
    """YAML 1.2, as editors read it: without dates."""


YamlOfEditors.yaml_implicit_resolvers = {
    letter: [pair for pair in pairs if not pair[0].endswith("timestamp")]
    for letter, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def kt(*arguments: str | Path, stdin: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin, env=ENV)


def problem(message: str = "m", line: int = 1, column: int = 1, end: int = 2, **more: Any) -> Diagnostic:
    return Diagnostic("some-code", "error", message, line, column, more.pop("end_line", line), end, **more)


# -- stdin and exit codes


def test_stdin_is_a_file() -> None:
    done = kt("policy", "lint", "--file", "-", stdin=BROKEN)
    assert done.exit_code == 1 and done.stdout.startswith("stdin:3:11: error[unknown-type]")
    assert kt("policy", "lint", "--file", "-", stdin="policies: []\n").exit_code == 0
    done = kt("policy", "lint", "--file", "-", stdin=b"\xff\xfe")
    assert (
        done.exit_code == 2 and done.stderr == "kt: stdin: the file is not UTF-8 (byte 0); save it as UTF-8\n"
    )


@pytest.mark.parametrize("form", ["text", "json", "sarif", "github"])
def test_one_unreadable_file_does_not_hide_the_others(form: str, tmp_path: Path) -> None:
    broken = tmp_path / "b.yaml"
    broken.write_text(BROKEN)
    done = kt("policy", "lint", "--file", tmp_path / "none.yaml", "--file", broken, "--format", form)
    assert done.exit_code == 2 and "unknown-type" in done.stdout and "there is no such file" in done.stderr


def test_files_as_pre_commit_names_them(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((SAMPLES[0].parents[1] / ".pre-commit-hooks.yaml").read_text())
    assert hook["id"] == "kt-policy-lint" and re.search(hook["files"], "etc/routing-policy.yaml")
    broken, fine = tmp_path / "b.yaml", tmp_path / "f.yaml"
    broken.write_text(BROKEN)
    fine.write_text("policies: []\n")
    done = kt(*hook["entry"].split()[1:], "--strict", fine, broken)
    assert done.exit_code == 1 and f"{fine}: 1 info" in done.stdout and "unknown-type" in done.stdout
    assert kt("policy", "lint", fine).exit_code == 0


# -- text


def test_marks_stand_below_the_place_whatever_is_on_the_line() -> None:
    source = "a: 漢字\tе\u0301 'x'\u200b bad"
    column = source.index("bad") + 1
    *_, text, marks = pointed(problem(column=column, end=column + 3), "f", [source])
    assert text.endswith("bad") and "\u200b" not in text
    before = text[: text.index("bad")]
    cells = len(before) + 2 - 1  # two wide letters, one mark that joins the letter before it
    assert marks.index("^") == cells and marks.count("^") == 3


def test_a_long_line_is_cut_around_the_place() -> None:
    source = "x" * 500 + "bad" + "y" * 500
    *_, text, marks = pointed(problem(column=501, end=504), "f", [source])
    assert len(text) < 200 and text.count("…") == 2
    assert text[marks.index("^") :][:3] == "bad"


def test_colours_only_when_asked() -> None:
    report = Report("f", "abc\n", (problem(fix=Fix("do", ())),))
    plain = "\n".join(text_lines(report, colour=False))
    painted = "\n".join(text_lines(report, colour=True))
    assert "\x1b" not in plain and "\x1b[31m" in painted
    assert re.sub(r"\x1b\[[0-9;]*m", "", painted) == plain


def test_no_file_name_or_message_acts_on_the_terminal() -> None:
    report = Report("f\x1b[2J", "a\x1b]0;x\x07\n", (problem("m\x1b[1m\n", end=5),))
    for line in (*text_lines(report, colour=False), *github_lines(report)):
        assert line.isprintable()


# -- GitHub


def test_workflow_commands_are_escaped() -> None:
    report = Report("a,b:c%.yaml", "abc\n", (problem("100 %\nx: y, z", column=1, end=3),))
    (line,) = github_lines(report)
    head, _, message = line.partition("::error ")[2].partition("::")
    assert head == "file=a%2Cb%3Ac%25.yaml,line=1,endLine=1,title=some-code,col=1,endColumn=2"
    assert message.startswith("100 %25") and message.endswith("x: y, z")
    (line,) = github_lines(Report("f", "a\nb\n", (problem(end_line=2),)))
    assert "col=" not in line


# -- SARIF


def test_sarif_has_rules_places_and_fixes() -> None:
    text = "policies: []\nname: x\n"
    fix = Fix("write a", (TextEdit(13, 17, "a"),))
    report = Report("dir/a b.yaml", text, (problem(line=2, end=5, fix=fix, path="name"),))
    log = json.loads(sarif_text([report], "1.2.3"))
    (run,) = log["runs"]
    (result,) = run["results"]
    assert log["version"] == "2.1.0" and run["tool"]["driver"]["semanticVersion"] == "1.2.3"
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "dir/a%20b.yaml"
    assert place["region"] == {"startLine": 2, "startColumn": 1, "endLine": 2, "endColumn": 5}
    (replacement,) = result["fixes"][0]["artifactChanges"][0]["replacements"]
    assert replacement["deletedRegion"] == place["region"]
    assert replacement["insertedContent"] == {"text": "a"}
    assert {rule["defaultConfiguration"]["level"] for rule in run["tool"]["driver"]["rules"]} == {
        "error",
        "warning",
        "note",
    }


def test_every_result_names_its_rule(tmp_path: Path) -> None:
    file = tmp_path / "b.yaml"
    file.write_text(BROKEN)
    (run,) = json.loads(kt("policy", "lint", "--file", file, "--format", "sarif").stdout)["runs"]
    assert run["results"]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == file.as_uri()


# -- schema


def test_the_schema_describes_every_key() -> None:
    schema = json.loads(kt("policy", "schema").stdout)
    assert schema == json_schema()
    owners = {"file": schema, **schema["$defs"]}
    silent = [
        f"{owner}.{key}"
        for owner, definition in owners.items()
        for key, value in definition.get("properties", {}).items()
        if not value.get("description")
    ]
    assert silent == []


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_every_sample_is_valid_by_the_schema(sample: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.Draft202012Validator.check_schema(json_schema())
    jsonschema.Draft202012Validator(json_schema()).validate(yaml.load(sample.read_text(), YamlOfEditors))


def test_a_misspelt_key_is_not() -> None:
    jsonschema = pytest.importorskip("jsonschema")
    wrong = {"policies": [{"name": "a", "type": "log", "enabeld": True}]}
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate(wrong)


# -- explain


@pytest.fixture
def split(tmp_path: Path) -> Path:
    path = tmp_path / "p.yaml"
    path.write_text(
        "policies:\n"
        "  - {name: off, type: model_filter, blocked_models: x, enabled: false}\n"
        "  - name: team\n"
        "    type: model_filter\n"
        "    conditions: {header: {x-team: search}}\n"
        "    preferred_model: gpt-4o\n"
        "  - name: ab\n"
        "    type: traffic_split\n"
        "    variants: [{model: gpt-4o, weight: 50, tag: a}, {model: gpt-4.1, weight: 50, tag: b}]\n"
    )
    return path


def body(tmp_path: Path, **fields: Any) -> Path:
    path = tmp_path / "r.json"
    path.write_text(json.dumps({"model": "gpt-3", "messages": [{"role": "user", "content": "x"}], **fields}))
    return path


def test_explain_tells_every_step(split: Path, tmp_path: Path) -> None:
    wanted = ("policy", "explain", "--file", split, "--request", body(tmp_path, user="u-1"))
    told = json.loads(kt(*wanted, "--header", "X-Team=search", "--format", "json").stdout)
    assert [(step["policy"], step["line"], step["outcome"]) for step in told["steps"]] == [
        ("off", 2, "skipped"),
        ("team", 3, "matched"),
        ("ab", 7, "matched"),
    ]
    assigned = told["assignment"]
    assert assigned["unit_kind"] == "user" and len(assigned["unit_digest"]) == 32
    scores = {arm["tag"]: arm["score"] for arm in assigned["arms"]}
    assert min(scores, key=lambda tag: scores[tag]) == told["variant"]
    without = kt(*wanted)
    assert without.exit_code == 0
    assert "○ team · model_filter · line 3\n    skipped: " in without.stdout
    assert "unit user" not in without.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--endpoint", "nope"], "--endpoint: one of chat"),
        (["--header", "x"], "--header x: write NAME=VALUE"),
        (["--format", "xml"], "--format: text or json"),
    ],
)
def test_explain_used_wrongly(split: Path, tmp_path: Path, arguments: list[str], sentence: str) -> None:
    done = kt("policy", "explain", "--file", split, "--request", body(tmp_path), *arguments)
    assert done.exit_code == 2 and sentence in done.stderr


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[1]", "a request body is a JSON object"),
        ("{", "not JSON"),
        ('{"messages": []}', "would refuse this body"),
    ],
)
def test_explain_wants_a_request(split: Path, tmp_path: Path, content: str, sentence: str) -> None:
    request = tmp_path / "x.json"
    request.write_text(content)
    done = kt("policy", "explain", "--file", split, "--request", request)
    assert done.exit_code == 2 and sentence in done.stderr


def test_explain_of_a_broken_file_shows_the_place(tmp_path: Path) -> None:
    done = kt("policy", "explain", "--file", "-", "--request", body(tmp_path), stdin=BROKEN)
    assert done.exit_code == 1 and "stdin:3:11: error[unknown-type]" in done.stdout
