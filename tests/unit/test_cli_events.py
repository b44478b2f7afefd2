"""`kt events`: the table, the store read without a gateway, what a terminal never sees. `kt doctor`: its findings."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from events_factory import make_event
from typer.testing import CliRunner, Result
from wcwidth import wcswidth

from proxy.base.times import now_ms
from proxy.cli.doctor_command import examine
from proxy.cli.event_table import heading, line
from proxy.cli.main import app
from proxy.events.event import Event
from proxy.events.sqlite_store import SqliteEventStore
from proxy.events.wire_form import event_json

EVIL = "gpt\x1b[2J\x1b]0;owned\x07\u202e\nnew line"


def row(**changes: Any) -> str:
    return line(event_json(make_event(**changes), unknown_null=True))


def store(state: Path, events: list[Event]) -> Path:
    async def fill() -> None:
        store = SqliteEventStore(state / "events.db", state / "journal")
        await store.start()
        for event in events:
            store.append(event)
        await store.close()

    state.mkdir(parents=True, exist_ok=True)
    asyncio.run(fill())
    return state


def kt(state: Path, *arguments: str) -> Result:
    env = {"KT_API_TOKEN": "", "KT_API_URL": "", "XDG_STATE_HOME": str(state.parent)}
    return CliRunner().invoke(app, ["events", *arguments, "--state-dir", str(state)], env=env)


def test_a_row_has_what_happened() -> None:
    shown = row(latency_ms=2_040.0, ttft_ms=518.4, ab_tag="variant-a", split="ab", policies_triggered=["ab"])
    for part in ("✓ 200", "gpt-4o", "variant-a", "2.04 s", "518 ms", "1,000", "100", "$0.00350", "allow ab"):
        assert part in shown
    assert shown.startswith("2025-10-")


def test_unknown_is_never_zero_in_a_row() -> None:
    unknown: dict[str, Any] = {"cost_nanos": None, "input_tokens": None, "output_tokens": None}
    unpriced = row(**unknown, cost_status="unpriced", usage_status="unknown")
    assert "unpriced" in unpriced and "unknown" in unpriced and "$" not in unpriced
    blocked = row(**unknown, decision="block", status=403, outcome="blocked", attempts=0, usage_status="none",
                  cost_status="none", error="policy_blocked", policies_triggered=["no-turbo"])  # fmt: skip
    assert "✗ 403" in blocked and blocked.endswith("block no-turbo") and "$" not in blocked
    assert row(outcome="error", status=502, error="upstream_error").endswith("error upstream_error")


@pytest.mark.parametrize("model", ["m" * 300, "日本語" * 40, "a\u0301" * 60, "🙂" * 50, "", EVIL])
def test_columns_stay_in_line_and_nothing_acts_on_the_terminal(model: str) -> None:
    shown = row(model=model, decision="allow", policies_triggered=[])
    assert not [letter for letter in shown if letter < " " or letter in "\x7f\u202e\u200b"]
    before_latency = shown[: shown.index("412 ms") + len("412 ms")]
    assert wcswidth(before_latency) == heading().index("latency") + len("latency")


def test_without_a_gateway_the_store_itself_is_read(tmp_path: Path) -> None:
    now = now_ms()
    events = [make_event(timestamp_ms=now - age * 1_000, model=model)
              for age, model in ((7_200, "gpt-4o"), (60, "gpt-4o"), (30, "claude-x"), (1, EVIL))]  # fmt: skip
    state = store(tmp_path / "ktui", events)
    assert kt(state, "list").stdout.count("✓") == 3
    listed = json.loads(kt(state, "list", "--since", "7d", "--format", "json").stdout)
    assert [event["id"] for event in listed] == [event.id for event in events[::-1]]
    lines = kt(state, "list", "--since", "7d", "--model", "gpt-4o", "--format", "jsonl").stdout.splitlines()
    assert [json.loads(text)["id"] for text in lines] == [events[1].id, events[0].id]
    rows = list(csv.DictReader(io.StringIO(kt(state, "list", "--limit", "2", "--format", "csv").stdout)))
    assert [item["id"] for item in rows] == [events[3].id, events[2].id]
    assert json.loads(kt(state, "list", "--since", "1s", "--model", "none", "--format", "json").stdout) == []


def test_what_came_from_outside_is_escaped_in_every_format(tmp_path: Path) -> None:
    state = store(tmp_path / "ktui", [make_event(timestamp_ms=now_ms(), model=EVIL)])
    table = kt(state, "list").stdout
    assert "\x1b" not in table and "\u202e" not in table and len(table.splitlines()) == 2
    for form in ("json", "jsonl"):
        text = kt(state, "list", "--format", form).stdout
        assert "\x1b" not in text and text.count("\n") == 1
        event = json.loads(text)
        assert (event[0] if form == "json" else event)["model"] == EVIL


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["list", "--since", "yesterday"], "--since: 'yesterday' is not a time"),
        (["tail", "--format", "json"], "a tail has no end, so json cannot be written"),
        (["list", "--fields", "id,cots"], "no field is called 'cots', did you mean cost?"),
        (["show", "01976b2e", "--body", "--fields", "id"], "leave it out to see --body"),
        (["purge", "--before", "soon"], "--before: 'soon' is not a time"),
        (["purge", "--yes"], "there is no event store"),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = kt(tmp_path, *arguments)
    assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert kt(tmp_path, "list", "--limit", "0").exit_code == 2


def status() -> dict[str, Any]:
    file = {"state": "same", "reason": None, "diagnostics": []}
    return {
        "gateway": {"state": "serving", "reason": None, "listen": "127.0.0.1:41002", "api": "127.0.0.1:41003",
                    "pid": 1, "version": "0.1.0"},
        "config": {"number": 3, "short": "3fa9c1e", "path": "/p.yaml", "not_enforced": [], "warnings": [],
                   "file": file},
        "file": file,
        "traffic": {"window_s": 60, "requests": 6, "error_rate": 0.5, "latency_ms": {"p95": 1_234.0}},
        "events": {"total": 9, "accepted": 6, "stored": 6, "spilled": 0, "dropped": {}, "trouble": None},
        "targets": [{"id": "openai", "provider": "openai", "base_url": "u", "available": True, "reason": None}],
        "notices": [],
    }  # fmt: skip


def marks(body: dict[str, Any]) -> list[str]:
    return [str(finding) for finding in examine(body) if finding.mark == "✗"]


def test_the_doctor_has_nothing_against_a_healthy_gateway() -> None:
    assert marks(status()) == []
    said = "\n".join(str(finding) for finding in examine(status()))
    for part in ("127.0.0.1:41002", "v3 3fa9c1e", "50.00 % errors", "p95 1,234 ms", "9 stored", "sqlite"):
        assert part in said


def test_the_doctor_finds_what_is_wrong() -> None:
    body = status()
    body["gateway"] |= {"state": "not_ready", "reason": "no policy runs: 1 error"}
    body["file"] = {"state": "differs", "reason": "1 error", "diagnostics": [
        {"severity": "error", "line": 3, "column": 5, "message": "no such type"}]}  # fmt: skip
    body["targets"][0] |= {"available": False, "reason": "OPENAI_API_KEY is not set"}
    body["events"] |= {"dropped": {"full": 2}, "trouble": "events are not being stored: disk full"}
    found = "\n".join(marks(body))
    for part in ("not_ready: no policy runs", "differs from what runs: 1 error", "line 3, column 5: no such type",
                 "OPENAI_API_KEY is not set", "2 full", "disk full"):  # fmt: skip
        assert part in found
    body["config"] = None
    assert any("no policy runs" in line for line in marks(body))


def test_the_doctor_accounts_for_every_event() -> None:
    body = status()
    body["events"] |= {"accepted": 7, "forgotten": {"age": 1_200, "size": 0}}
    assert any("+1 not accounted for" in line for line in marks(body))
    body["events"]["spilled"] = 1
    assert marks(body) == []
    said = [str(finding) for finding in examine(body)]
    assert any("retention since the start: 1,200 by age" in line for line in said)


def test_the_doctor_tells_a_limit_that_does_not_hold() -> None:
    body = status()
    body["config"]["not_enforced"] = [{"policy": "budget\x1b[2J", "type": "cost_limit", "line": 4}]
    said = [str(finding) for finding in examine(body) if "budget" in str(finding)]
    assert said == ["! policy    line 4: budget␛[2J (cost_limit) is checked but not enforced by this version"]
