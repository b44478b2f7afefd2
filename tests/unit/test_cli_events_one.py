"""`kt events show`, `explain` of a beginning, `purge`, chosen fields: over a store that no gateway has open."""

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

from proxy.base.times import now_ms
from proxy.cli.main import app
from proxy.events.event import Bodies, Body, Event
from proxy.events.feedback import Feedback
from proxy.events.sqlite_store import SqliteEventStore
from proxy.service.state_dir import StateDir

EVIL = "\x1b]0;owned\x07\u202e"
FRAMES = (
    b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\n'
    b'data: {"choices": [{"delta": {"content": "lo"}}]}\n\ndata: [DONE]\n\n'
)


def body(data: bytes, kind: str = "application/json", more: int = 0) -> Body:
    return Body(data, len(data) + more, kind)


RICH = make_event(
    id="01976b2e-0000-7000-8000-00000000000a",
    timestamp_ms=now_ms() - 60_000,
    stream=True,
    ttft_ms=120.5,
    cached_tokens=400,
    split="ab",
    ab_tag="variant-b",
    phase="canary",
    unit_kind="user",
    unit_digest="d1",
    policies_triggered=["ab"],
    config_version="c" * 64,
    request_metadata={"team": f"search{EVIL}"},
    dropped_params=["logit_bias"],
    attempts=2,
    attempt_log=[
        {
            "target": "openai",
            "model": "gpt-4o",
            "status": 503,
            "error": None,
            "ms": 31.5,
            "reason": "overloaded",
        },
        {"target": "azure", "model": "gpt-4o", "status": 200, "error": None, "ms": 380.1, "reason": None},
    ],
    bodies=Bodies(body(b'{"model":"gpt-4o"}'), body(FRAMES, "text/event-stream")),
)
BLOCKED = make_event(
    id="01976b2f-0000-7000-8000-00000000000b", timestamp_ms=now_ms() - 30_000, status=403, outcome="blocked",
    decision="block", error="policy_blocked", error_message="refused: no", attempts=0, usage_status="none",
    cost_status="none", cost_nanos=None, input_tokens=None, output_tokens=None, provider=None, target=None,
)  # fmt: skip
UNKNOWN = make_event(
    id="01976b2f-1111-7000-8000-00000000000c", timestamp_ms=now_ms() - 10_000, usage_status="unknown",
    cost_status="unpriced", cost_nanos=None, input_tokens=None, output_tokens=None,
)  # fmt: skip


@pytest.fixture
def state(tmp_path: Path) -> Path:
    async def fill() -> None:
        store = SqliteEventStore(tmp_path / "ktui" / "events.db", tmp_path / "ktui" / "journal")
        await store.start()
        for event in (RICH, BLOCKED, UNKNOWN):
            store.append(copy(event))
        given = Feedback(RICH.id, now_ms(), f"anna{EVIL}", 0.25, "wrong", "not asked for", "k")
        assert await store.give_feedback(given) is not None
        await store.close()

    (tmp_path / "ktui").mkdir()
    asyncio.run(fill())
    return tmp_path / "ktui"


def copy(event: Event) -> Event:
    from dataclasses import replace

    return replace(event)


def kt(state: Path, *arguments: str, typed: str | None = None) -> Result:
    env = {"KT_API_TOKEN": "", "KT_API_URL": "", "XDG_STATE_HOME": str(state.parent)}
    return CliRunner().invoke(app, ["events", *arguments, "--state-dir", str(state)], env=env, input=typed)


def test_everything_about_one_request(state: Path) -> None:
    shown = kt(state, "show", RICH.id, "--body").stdout
    for part in (
        RICH.id, "✓ 200 ok", "412.5 ms  first token after 120.5 ms", "1,000 in, 100 out, 400 cached", "$0.0035",
        "variant-b  of ab  phase canary  by user d1", "team: search", "logit_bias", "attempt 1   openai  gpt-4o  503",
        "overloaded", "attempt 2   azure", "0.25  wrong  not asked for", '"model": "gpt-4o"',
    ):  # fmt: skip
        assert part in shown, part
    assert shown.rstrip().endswith("2 frames say (--format json has them)\nHello")
    assert "\x1b" not in shown and "\u202e" not in shown


def test_what_is_not_known_says_so_and_what_does_not_apply_is_left_out(state: Path) -> None:
    unknown = kt(state, "show", UNKNOWN.id, "--body").stdout
    assert "tokens      unknown" in unknown and "cost        unknown: unpriced" in unknown
    assert "no bodies were kept of this request" in unknown
    blocked = kt(state, "show", BLOCKED.id).stdout
    assert "✗ 403 blocked  policy_blocked" in blocked and "refused: no" in blocked
    assert "nothing went upstream" in blocked and "tokens" not in blocked and "$" not in blocked


def test_json_has_the_bodies_and_says_why_there_are_none(state: Path) -> None:
    found = json.loads(kt(state, "show", RICH.id, "--body", "-o", "json").stdout)
    assert found["bodies"]["response"]["text"] == FRAMES.decode() and found["no_bodies"] is None
    assert found["attempt_log"][0]["reason"] == "overloaded" and found["feedback"][0]["score"] == 0.25
    line = kt(state, "show", UNKNOWN.id, "--body", "-o", "jsonl").stdout
    assert line.count("\n") == 1 and json.loads(line)["bodies"] is None and json.loads(line)["no_bodies"]
    assert json.loads(line)["cost"] is None


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ("01976b2e", 0, RICH.id),
        ("01976B2E-00", 0, RICH.id),
        ("01976b2f", 1, "several ids begin with 01976b2f: "),
        ("01976", 1, "too short for an id"),
        ("0bcdef12", 1, "there is no event whose id begins with 0bcdef12"),
        ("no-such-id", 1, "there is no event no-such-id"),
        ("01976b2e-0000-7000-8000-0000000000ff", 1, "there is no event 01976b2e-0000"),
        ("\x1b[2J", 1, "there is no event"),
    ],
)
def test_an_id_or_its_beginning(state: Path, given: str, code: int, said: str) -> None:
    for command in ("show", "explain"):
        done = kt(state, command, given)
        if code == 0 and command == "explain":
            assert done.exit_code == 0 and "cannot tell: " in done.stdout
            continue
        assert (done.exit_code, said in done.stdout + done.stderr) == (code, True), done.output
        assert "\x1b" not in done.output and (code == 0 or done.stderr.count("\n") == 1)


def test_chosen_fields_in_every_form(state: Path) -> None:
    names = "id,cost,metadata.ab_tag"
    table = kt(state, "list", "--fields", names).stdout.splitlines()
    assert table[0].split() == names.split(",") and len(table) == 4
    assert table[1].split() == [UNKNOWN.id, "-", "-"] and table[3].split() == [RICH.id, "0.0035", "variant-b"]
    assert [line.index("variant") for line in table if "variant" in line] == [table[0].index("metadata")]
    rows = list(csv.DictReader(io.StringIO(kt(state, "list", "--fields", names, "-o", "csv").stdout)))
    assert [row["cost"] for row in rows] == ["", "", "0.0035"], "not known, does not apply, known"
    for form in ("json", "jsonl"):
        text = kt(state, "list", "--fields", names, "-o", form, "--limit", "1", "--order", "oldest").stdout
        found: Any = json.loads(text)
        only = found[0] if form == "json" else found
        assert only == {"id": RICH.id, "cost": "0.0035", "metadata": {"ab_tag": "variant-b"}}


def test_the_whole_csv_leaves_empty_what_does_not_apply(state: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(kt(state, "list", "-o", "csv").stdout)))
    assert [(row["cost"], row["input_tokens"]) for row in rows] == [("", ""), ("", ""), ("0.0035", "1000")]


def test_stats_in_every_form(state: Path) -> None:
    told = json.loads(kt(state, "stats", "--by", "decision", "-o", "json").stdout)
    assert {group["group"]: group["requests"] for group in told} == {"allow": 2, "block": 1}
    lines = kt(state, "stats", "--by", "decision", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == told
    rows = list(csv.DictReader(io.StringIO(kt(state, "stats", "--by", "decision", "-o", "csv").stdout)))
    assert [row["group"] for row in rows] == [group["group"] for group in told]
    assert rows[0]["latency_ms_p50"] and rows[0]["cost"] == "0.0035"


def test_a_purge_says_first_what_it_would_remove(state: Path) -> None:
    asked = kt(state, "purge", "--bodies")
    assert asked.exit_code == 2 and "the bodies of 1 request: everything there is, in " in asked.stdout
    assert "nothing was removed" in asked.stderr
    assert "Hello" in kt(state, "show", RICH.id, "--body").stdout
    done = kt(state, "purge", "--bodies", "--yes")
    assert done.exit_code == 0 and "removed the bodies of 1 request; the events stay" in done.stdout
    assert "were purged on" in kt(state, "show", RICH.id, "--body").stdout
    assert "nothing to remove" in kt(state, "purge", "--bodies", "--yes").stdout


def test_a_purge_of_some_events(state: Path) -> None:
    done = kt(state, "purge", "--filter", "decision:block", "--before", "1s", "--yes")
    assert (
        "1 event, 0 of them with bodies: arrived before " in done.stdout
        and "and decision:block" in done.stdout
    )
    left = json.loads(kt(state, "list", "-o", "json").stdout)
    assert [event["id"] for event in left] == [UNKNOWN.id, RICH.id]
    figures = json.loads(kt(state, "stats", "--by", "decision", "-o", "json").stdout)
    assert {group["group"] for group in figures} == {"allow", "block"}, "the figures of the past stay"


def test_no_purge_beside_a_gateway_that_does_not_answer(state: Path) -> None:
    holder = StateDir(state)
    holder.claim()
    try:
        done = kt(state, "purge", "--yes")
    finally:
        holder.release()
    assert done.exit_code == 1 and "another gateway uses the state directory" in done.stderr
    assert len(json.loads(kt(state, "list", "-o", "json").stdout)) == 3
