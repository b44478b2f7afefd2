"""`kt export`: what the files hold, and that an export stopped anywhere comes out as if it had not been."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from events_factory import make_event
from test_cli_events import store
from typer.testing import CliRunner, Result

from proxy.base.times import now_ms, rfc3339
from proxy.cli import export_file, export_run, export_source
from proxy.cli.exits import ProblemError
from proxy.cli.export_file import load_manifest, opened_rows, part_path, rows_path
from proxy.cli.export_progress import Meter
from proxy.cli.export_source import StoreSource
from proxy.cli.main import app
from proxy.events.event import Event
from proxy.events.export import Manifest, Record, Request, layout, read_manifest
from proxy.events.wire_form import csv_header, csv_row, event_json

FORMATS = ("json", "jsonl", "csv", "parquet")
NOTHING: dict[str, Any] = {"cost_nanos": None, "input_tokens": None, "output_tokens": None}


def mixed(now: int, count: int = 40) -> list[Event]:
    """Priced, unpriced and refused ones, with texts that files must survive."""
    kinds: list[dict[str, Any]] = [
        {"ab_tag": "b", "split": "ab", "quality_score": 0.5, "policies_triggered": ["ab", "log"]},
        {**NOTHING, "cost_status": "unpriced", "usage_status": "unknown", "model": '=cmd|"x",\n\u202e'},
        {**NOTHING, "cost_status": "none", "usage_status": "none", "decision": "block", "status": 403,
         "outcome": "blocked", "error": "policy_blocked", "request_metadata": {"team": "a"}},
        {"cost_nanos": 1, "stream": True, "ttft_ms": 1.5, "dropped_params": ["seed"]},
    ]  # fmt: skip
    return [make_event(timestamp_ms=now - i * 1_000, **kinds[i % len(kinds)]) for i in range(count)]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return store(tmp_path / "ktui", mixed(now_ms()))


def export(state: Path, *arguments: str) -> Result:
    env = {"KT_API_TOKEN": "", "KT_API_URL": "", "XDG_STATE_HOME": str(state.parent)}
    return CliRunner().invoke(app, ["export", *arguments, "--state-dir", str(state)], env=env)


def create(state: Path, *arguments: str) -> Result:
    return export(state, "create", *arguments)


def read_back(path: Path, form: str) -> list[dict[str, Any]]:
    if form == "json":
        return json.loads(path.read_text())  # type: ignore[no-any-return]
    if form == "jsonl":
        return [json.loads(line) for line in path.read_text().split("\n")[:-1]]
    if form == "csv":
        return list(csv.DictReader(io.StringIO(path.read_bytes().decode(), newline="")))
    return pyarrow.parquet.read_table(path).to_pylist()  # type: ignore[no-any-return]


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_events_are_in_every_format_newest_first(state: Path, form: str) -> None:
    done = create(state, "--format", form, "--out", "e", "--description", "for the evaluation")
    assert done.exit_code == 0, done.stderr
    rows = read_back(Path("e"), form)
    assert [int(row["seq"]) for row in rows] == list(range(40, 0, -1))
    assert stat.S_IMODE(Path("e").stat().st_mode) == 0o600
    assert sorted(path.name for path in Path().iterdir()) == ["e", "e.manifest.json"]
    manifest = read_manifest(Path("e.manifest.json").read_bytes())
    assert (manifest.state, manifest.rows, manifest.request.description) == (
        "finished",
        40,
        "for the evaluation",
    )
    assert (
        manifest.sha256 == hashlib.sha256(Path("e").read_bytes()).hexdigest()
        and manifest.sha256 in done.stdout
    )


@pytest.mark.parametrize("form", FORMATS)
def test_what_is_unknown_or_does_not_apply_is_never_zero(state: Path, form: str) -> None:
    assert create(state, "--format", form, "--out", "e").exit_code == 0
    null = "" if form == "csv" else None
    found = {row["cost_status"]: row for row in read_back(Path("e"), form)}
    for status in ("none", "unpriced"):
        row = found[status]
        assert [row[name] for name in ("cost", "input_tokens", "output_tokens")] == [null] * 3
    costs = [Decimal(row["cost"]) for row in read_back(Path("e"), form) if row["cost"] not in (None, "")]
    assert sorted(set(costs)) == [Decimal("0.000000001"), Decimal("0.0035")]


def test_csv_is_what_the_events_api_writes(state: Path) -> None:
    assert create(state, "--format", "csv", "--out", "e.csv").exit_code == 0
    now = now_ms()
    events = mixed(now)
    for seq, event in enumerate(events, 1):
        event.seq = seq
    written = Path("e.csv").read_bytes().decode()
    expected = csv_header() + "".join(map(csv_row, reversed(events)))
    # Ids and times are those of another call; every other cell agrees.
    ours, theirs = (list(csv.DictReader(io.StringIO(text, newline=""))) for text in (written, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert {**one, "id": "", "timestamp": ""} == {**other, "id": "", "timestamp": ""}


def test_parquet_has_types(state: Path) -> None:
    assert create(state, "--format", "parquet", "--out", "e", "--description", "typed").exit_code == 0
    table = pyarrow.parquet.read_table("e")
    types = {field.name: str(field.type) for field in table.schema}
    assert types["cost"] == "decimal128(20, 9)" and types["timestamp"] == "timestamp[ms, tz=UTC]"
    assert types["policies_triggered"] == "list<element: string>" and types["stream"] == "bool"
    assert table.schema.metadata[b"description"] == b"typed"
    first = table.to_pylist()[-1]
    assert first["policies_triggered"] == ["ab", "log"] and first["quality_score"] == 0.5
    assert dict(table.to_pylist()[-3]["request_metadata"]) == {"team": "a"}


def test_window_and_filter(state: Path) -> None:
    assert create(state, "--filter", "decision:block", "--out", "blocked").exit_code == 0
    assert {row["decision"] for row in read_back(Path("blocked"), "jsonl")} == {"block"}
    until = rfc3339(now_ms() - 20_500)
    assert create(state, "--since", "1h", "--until", until, "--out", "old").exit_code == 0
    found = read_back(Path("old"), "jsonl")
    assert found and all(row["timestamp"] < until for row in found) and len(found) < 40
    assert create(state, "--filter", "model:none", "--format", "json", "--out", "no").exit_code == 0
    assert Path("no").read_bytes() == b"[]\n"
    assert create(state, "--filter", "model:none", "--format", "csv", "--out", "no.csv").exit_code == 0
    assert Path("no.csv").read_text() == csv_header().replace("\r\n", "\n")


class Flaky:
    """A source that fails after so many pages."""

    def __init__(self, inner: StoreSource, pages: int) -> None:
        self._inner, self._left = inner, pages

    def newest(self) -> int | None:
        return self._inner.newest()

    def pages(self, before_seq: int) -> Iterator[list[Record]]:
        for page in self._inner.pages(before_seq):
            if self._left == 0:
                raise ProblemError("cut")
            self._left -= 1
            yield page

    def close(self) -> None:
        self._inner.close()


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("pages", [0, 1, 4])
def test_stopped_after_any_page_and_gone_on_with_it_is_the_same_file(
    state: Path, form: str, pages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_source, "PAGE", 9)
    monkeypatch.setattr(export_file, "CHECKPOINT_S", 0.0)
    assert create(state, "--format", form, "--out", "whole").exit_code == 0
    with monkeypatch.context() as cut:
        cut.setattr(export_run, "StoreSource", lambda *given: Flaky(StoreSource(*given), pages))
        stopped = create(state, "--format", form, "--out", "cut")
    assert stopped.exit_code == 1 and stopped.stderr.endswith("cut\n") and not Path("cut").exists()
    kept = load_manifest(Path("cut"))
    assert kept is not None and (kept.state, kept.rows) == ("unfinished", 9 * pages)
    # What comes in meanwhile is not part of it, and bytes beyond the mark do not count.
    store(state, [make_event(timestamp_ms=now_ms())])
    with rows_path(Path("cut"), form).open("ab") as file:
        file.write(b"half a row" * 10_000)
    assert create(state, "--format", form, "--out", "cut").exit_code == 0
    assert Path("cut").read_bytes() == Path("whole").read_bytes()
    assert len(list(Path().iterdir())) == 4


KILLED = """
import sys
from proxy.cli import export_file, export_source
export_source.PAGE, export_file.CHECKPOINT_S = 5, 0.0
from proxy.cli.main import main
main()
"""


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_killed_and_run_again_it_is_byte_for_byte_the_same(tmp_path: Path, form: str) -> None:
    state = store(tmp_path / "ktui", mixed(now_ms(), 600))
    env = {
        "PATH": os.environ["PATH"],
        "XDG_STATE_HOME": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [
        sys.executable,
        "-c",
        KILLED,
        "export",
        "create",
        "--state-dir",
        str(state),
        "--format",
        form,
        "--out",
    ]
    kills = 0
    out = tmp_path / "killed"
    while True:
        process = subprocess.Popen([*command, str(out)], env=env, stdout=subprocess.DEVNULL)
        before = rows_of(out)
        while process.poll() is None and rows_of(out) < before + 180:
            time.sleep(0.001)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
    assert process.returncode == 0 and kills >= 2
    assert (
        subprocess.run([*command, str(tmp_path / "whole")], env=env, stdout=subprocess.DEVNULL).returncode
        == 0
    )
    assert out.read_bytes() == (tmp_path / "whole").read_bytes() and rows_of(out) == 600


def rows_of(path: Path) -> int:
    manifest = load_manifest(path)
    return 0 if manifest is None else manifest.rows


def unfinished(state: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    with monkeypatch.context() as cut:
        cut.setattr(export_source, "PAGE", 9)
        cut.setattr(export_file, "CHECKPOINT_S", 0.0)
        cut.setattr(export_run, "StoreSource", lambda *given: Flaky(StoreSource(*given), 2))
        assert create(state, *arguments).exit_code == 1


def test_killed_between_the_last_mark_and_the_name_it_only_gets_its_name(state: Path) -> None:
    assert create(state, "--out", "e").exit_code == 0
    text = Path("e").read_bytes()
    Path("e").rename(part_path(Path("e")))
    assert create(state, "--out", "e").exit_code == 0
    assert Path("e").read_bytes() == text and not part_path(Path("e")).exists()


def test_without_a_name_the_same_command_finds_what_it_began(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unfinished(state, monkeypatch, "--format", "csv", "--description", "mine")
    begun = next(Path().glob("*.part"))
    assert create(state, "--format", "csv", "--description", "other").exit_code == 0
    assert begun.exists()
    assert create(state, "--format", "csv", "--description", "mine").exit_code == 0
    assert not begun.exists() and begun.with_suffix("").exists()


def test_resume_goes_on_with_it_as_it_was_asked_for(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = create(state, "--resume")
    assert refused.exit_code == 2 and "there are: none" in refused.stderr
    assert create(state, "--resume", "--out", "e").exit_code == 2
    unfinished(state, monkeypatch, "--out", "e", "--format", "csv", "--filter", "status>=0")
    assert create(state, "--resume").exit_code == 0
    assert len(read_back(Path("e"), "csv")) == 40


def test_what_is_there_is_not_written_over_unasked(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine").write_text("precious")
    refused = create(state, "--out", "mine")
    assert refused.exit_code == 2 and "is there already" in refused.stderr
    assert Path("mine").read_text() == "precious" and len(list(Path().iterdir())) == 1
    assert create(state, "--out", "mine", "--overwrite").exit_code == 0
    unfinished(state, monkeypatch, "--out", "e")
    other = create(state, "--out", "e", "--since", "1h")
    assert other.exit_code == 2 and "since 7d instead of 1h" in other.stderr
    assert create(state, "--out", "e", "--since", "1h", "--overwrite").exit_code == 0
    part_path(Path("f")).write_text("whose?")
    assert "has no manifest" in create(state, "--out", "f").stderr


def test_two_at_once_do_not_write_one_file(state: Path) -> None:
    with opened_rows(Path("e").absolute(), "json"):
        refused = create(state, "--format", "json", "--out", "e")
    assert refused.exit_code == 2 and "another kt is writing" in refused.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--since", "yesterday"], "--since: 'yesterday' is not a time"),
        (["--until", "soon"], "--until: 'soon' is not a time"),
        (["--filter", "nonsense:"], "--filter: "),
        (["--out", "no/such/file"], "there is no directory"),
        (["--out", "."], "is a directory"),
        (["--resume", "--overwrite"], "give one of them"),
    ],
)
def test_wrong_use_is_said_and_leaves_nothing(state: Path, arguments: list[str], said: str) -> None:
    done = create(state, *arguments)
    assert done.exit_code == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert list(Path().iterdir()) == []


def test_without_a_store_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = create(tmp_path / "none", "--out", "e")
    assert done.exit_code == 2 and "there is no event store" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_is_one_sentence(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = create(state, "--format", "parquet", "--out", "e")
    assert done.exit_code == 2 and "pip install 'ktui[parquet]'" in done.stderr
    assert list(Path().iterdir()) == []


def test_a_full_disk_is_said_and_can_be_gone_on_with(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(export_file, "_mark", full)
        done = create(state, "--out", "e")
    assert done.exit_code == 1 and "No space left on device" in done.stderr
    assert create(state, "--out", "e").exit_code == 0
    assert len(read_back(Path("e"), "jsonl")) == 40


def test_verify_tells_what_changed(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert create(state, "--out", "e").exit_code == 0
    fine = CliRunner().invoke(app, ["export", "verify", "e"])
    assert fine.exit_code == 0 and "as it was written" in fine.stdout
    text = Path("e").read_bytes()
    for changed, said in (
        (text[:-1], "bytes, and had"),
        (text.replace(b"gpt-4o", b"gpt-5o"), "has the SHA-256"),
    ):
        Path("e").write_bytes(changed)
        done = CliRunner().invoke(app, ["export", "verify", "e"])
        assert done.exit_code == 1 and said in done.stderr
    Path("e").unlink()
    assert "is gone" in CliRunner().invoke(app, ["export", "verify", "e"]).stderr
    assert "has no manifest" in CliRunner().invoke(app, ["export", "verify", "x"]).stderr
    unfinished(state, monkeypatch, "--out", "u")
    assert "is not finished: 18 rows" in CliRunner().invoke(app, ["export", "verify", "u"]).stderr
    Path("e.manifest.json").write_text("{}")
    broken = CliRunner().invoke(app, ["export", "verify", "e"])
    assert broken.exit_code == 1 and "is not the manifest of an export" in broken.stderr


def test_list_tells_of_all(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(export(state, "list", "--format", "json").stdout) == []
    assert create(state, "--out", "a", "--description", "evil \x1b[2J").exit_code == 0
    unfinished(state, monkeypatch, "--out", "b", "--filter", "status:200")
    assert create(state, "--out", "c").exit_code == 0
    Path("c").unlink()
    found = json.loads(export(state, "list", "--format", "json").stdout)
    told = {Path(item["path"]).name: (item["state"], item["rows"]) for item in found}
    assert told == {"a": ("finished", 40), "b": ("unfinished", 18), "c": ("gone", 40)}
    assert found[0]["sha256"] == hashlib.sha256(Path("a").read_bytes()).hexdigest()
    table = export(state, "list").stdout
    assert "\x1b" not in table and "filter: status:200" in table and found[0]["sha256"] in table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_one_line_of_a_terminal_and_gone_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request("events", "json", "7d", None, None, "", "s")
    manifest = Manifest(request, 0, 9, rows=12_000, size=3_400_000)
    record = {"timestamp": "2026-11-20T10:00:00.000Z"}
    for stderr, said in (
        (Terminal(), "12,000 rows, 3.4 MB, back to 2026-11-20T10:00:00Z"),
        (io.StringIO(), ""),
    ):
        monkeypatch.setattr(sys, "stderr", stderr)
        with Meter(manifest) as meter:
            for _ in range(100):
                meter.show(manifest, record)
        shown = stderr.getvalue()
        assert said in shown and "\n" not in shown and shown.count("rows") == (1 if said else 0)
        assert shown.endswith("\r\x1b[K") == bool(said)
    with pytest.raises(KeyboardInterrupt), Meter(manifest):
        raise KeyboardInterrupt
    assert stderr.getvalue().endswith("stopped after 12,000 rows; the same command goes on from there\n")


def test_ctrl_c_keeps_what_was_written(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_source, "PAGE", 9)

    class Interrupted(StoreSource):
        def pages(self, before_seq: int) -> Iterator[list[Record]]:
            for number, page in enumerate(super().pages(before_seq)):
                if number == 3:
                    raise KeyboardInterrupt
                yield page

    with monkeypatch.context() as cut:
        cut.setattr(export_run, "StoreSource", Interrupted)
        done = create(state, "--out", "e")
    assert done.exit_code == 130 and "stopped after 27 rows" in done.stderr
    kept = load_manifest(Path("e"))
    assert kept is not None and kept.rows == 27
    assert create(state, "--out", "e").exit_code == 0
    assert len(read_back(Path("e"), "jsonl")) == 40


def test_what_an_older_gateway_does_not_tell_is_not_known() -> None:
    record = event_json(make_event(), unknown_null=True)
    del record["overhead_us"], record["metadata"]["salt"]
    row = next(csv.DictReader(io.StringIO(csv_header() + layout("csv").row(record).decode())))
    assert (row["overhead_us"], row["salt"], row["model"]) == ("", "", "gpt-4o")
