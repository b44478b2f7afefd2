"""`kt policy simulate` and `kt events explain` without a gateway: what they say and how they end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from events_factory import make_event
from typer.testing import CliRunner, Result

from proxy.base.times import now_ms
from proxy.cli.main import app
from proxy.cli.simulate_command import report
from proxy.config.state import StoredVersion, text_hash
from proxy.config.versions import VersionStore
from proxy.events.event import Event
from proxy.events.sqlite_store import SqliteEventStore

RAN = "policies:\n  - {name: note, type: log, conditions: {stream: true}}\n"
BLOCKS = "policies:\n  - {name: no-minis, type: model_filter, blocked_models: ['*-mini']}\n"
FACTS = {"has_tools": False, "has_images": False, "prompt_chars": 12, "units": {}}


def stored(state: Path, *events: Event) -> Path:
    async def fill() -> None:
        store = SqliteEventStore(state / "events.db", state / "journal")
        await store.start()
        for event in events:
            store.append(event)
        await store.close()
        versions = VersionStore(state / "versions.db")
        await versions.open()
        await versions.add("/p.yaml", StoredVersion(0, text_hash(RAN), 1_000, "ann", "editor", "", RAN))
        await versions.close()

    state.mkdir(parents=True)
    asyncio.run(fill())
    return state


def event(**changes: Any) -> Event:
    values = {"facts": FACTS, "timestamp_ms": now_ms() - 60_000, "config_version": text_hash(RAN)}
    return make_event(**{**values, **changes})


def kt(state: Path, *arguments: str | Path) -> Result:
    env = {"KT_API_TOKEN": "", "KT_API_URL": "", "XDG_STATE_HOME": str(state.parent)}
    return CliRunner().invoke(app, [*map(str, arguments), "--state-dir", str(state)], env=env)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    old = event(timestamp_ms=now_ms() - 7_200_000, requested_model="gpt-4o-mini", model="gpt-4o-mini")
    new = [
        event(id="one", stream=True, policies_triggered=["note"]),
        event(),
        event(requested_model="a-mini", model="a-mini"),
    ]
    return stored(tmp_path / "ktui", old, *new, event(facts={}, status=401, outcome="error"))


def draft(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "draft.yaml"
    path.write_text(text)
    return path


def test_the_draft_is_replayed_from_the_store(state: Path, tmp_path: Path) -> None:
    done = kt(state, "policy", "simulate", "--file", draft(tmp_path, BLOCKS))
    assert done.exit_code == 0, done.output
    lines = done.output.splitlines()
    assert "over the last 4 recorded requests" in lines[0]
    assert lines[1] == (
        "2 stay as they were, 2 change (2 newly refused, 0 no longer refused, 0 newly redirected), 0 cannot be told"
    )
    assert lines[2] == "cost $0.014 → $0.007 (-0.007): an estimate, with the tokens as recorded"
    assert "       2  allow → block" in lines
    assert "       2  no-minis, line 2: fired 0 times" in lines
    assert "       0  note: fired 1 times  (not in the draft)" in lines


def test_the_window_is_by_arrival(state: Path, tmp_path: Path) -> None:
    file = draft(tmp_path, BLOCKS)
    done = kt(state, "policy", "simulate", "--file", file, "--since", "1h", "--format", "json")
    answer = json.loads(done.output)
    assert (answer["requests"], answer["blocked"]) == (3, 1)
    assert [example["requested_model"] for example in answer["examples"]] == ["a-mini"]
    last = json.loads(
        kt(state, "policy", "simulate", "--file", file, "--last", "2", "--format", "json").output
    )
    assert (last["requests"], last["asked"]) == (2, 2)


@pytest.mark.parametrize(
    ("text", "fail_on", "code"),
    [
        (BLOCKS, "none", 0),
        (BLOCKS, "blocked", 1),
        (BLOCKS, "changed", 1),
        (RAN, "changed", 0),
        ("policies:\n  - {name: a, type: log, severity: warn}\n", "blocked", 0),
        ("policies:\n  - {name: a, type: log, severity: warn}\n", "changed", 1),
    ],
)
def test_the_exit_code_is_what_ci_asks_for(
    state: Path, tmp_path: Path, text: str, fail_on: str, code: int
) -> None:
    done = kt(state, "policy", "simulate", "--file", draft(tmp_path, text), "--fail-on", fail_on)
    assert done.exit_code == code, done.output


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--file", "{broken}"], 1, "unknown policy type"),
        (["--file", "{nowhere}"], 2, "there is no such file"),
        (["--file", "{good}", "--since", "soon"], 2, "--since: 'soon' is not a time"),
        (["--file", "{good}", "--fail-on", "x"], 2, "Invalid value"),
        (["--file", "{good}", "--last", "0"], 2, "Invalid value"),
    ],
)
def test_wrong_use_is_one_sentence(
    state: Path, tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    (tmp_path / "broken.yaml").write_text("policies:\n  - {name: a, type: nonsense}\n")
    (tmp_path / "good.yaml").write_text(RAN)
    places = {name: str(tmp_path / f"{name}.yaml") for name in ("broken", "good", "nowhere")}
    done = kt(state, "policy", "simulate", *(item.format(**places) for item in arguments))
    assert (done.exit_code, "Traceback" in done.output) == (code, False)
    assert says in done.output


def test_without_a_store_or_requests(tmp_path: Path) -> None:
    file = draft(tmp_path, RAN)
    none = kt(tmp_path / "nothing", "policy", "simulate", "--file", file)
    assert (none.exit_code, "there is no event store" in none.output) == (2, True)
    empty = kt(stored(tmp_path / "ktui"), "policy", "simulate", "--file", file)
    assert (empty.exit_code, "no recorded requests to replay" in empty.output) == (0, True)


def test_what_comes_from_outside_cannot_write_on_the_terminal(tmp_path: Path) -> None:
    evil = "gpt\x1b[2J\u202e"
    state = stored(tmp_path / "ktui", event(id="e", requested_model=evil, model=evil))
    redirect = "policies:\n  - {name: a, type: model_filter, preferred_model: gpt-4o}\n"
    told = kt(state, "policy", "simulate", "--file", draft(tmp_path, redirect)).output
    told += kt(state, "events", "explain", "e").output
    assert "gpt-4o" in told
    assert "\x1b" not in told
    assert "\u202e" not in told


def test_an_event_is_explained_under_the_version_that_ran(state: Path) -> None:
    done = kt(state, "events", "explain", "one")
    assert done.exit_code == 0, done.output
    assert done.output.splitlines() == [
        "allowed: gpt-4o",
        f"decided by version 1 ({text_hash(RAN)[:7]}, applied 1970-01-01T00:00:01.000Z)",
        "",
        "● note · log · line 2",
        "    matched: marked with severity info",
    ]
    answer = json.loads(kt(state, "events", "explain", "one", "--format", "json").output)
    assert answer["text"] + "\n" == done.output


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"config_version": "ab" * 32}, "the text of version abababa is not kept here"),
        ({"facts": {}}, "it was answered before any policy was asked"),
        ({"facts": {**FACTS, "changed": True}}, "the request as it was was not recorded"),
    ],
)
def test_what_cannot_be_explained_says_why(tmp_path: Path, changes: dict[str, Any], says: str) -> None:
    state = stored(tmp_path / "ktui", event(id="this-one", **changes))
    done = kt(state, "events", "explain", "this-one")
    assert done.exit_code == 0
    assert f"cannot tell: {says}" in done.output.splitlines()


def test_an_event_that_is_not_there(state: Path, tmp_path: Path) -> None:
    none = kt(state, "events", "explain", "nobody")
    assert (none.exit_code, "there is no event nobody" in none.output) == (1, True)
    assert kt(tmp_path / "nothing", "events", "explain", "e").exit_code == 2


def test_long_lists_are_cut_and_say_so() -> None:
    moves = [
        {"from": {"model": f"m{n}", "variant": None}, "to": {"model": "x", "variant": "b"}, "requests": 1}
        for n in range(13)
    ]
    answer = {
        "requests": 13, "from": "a", "to": "b", "same": 0, "changed": 13, "blocked": 0, "unblocked": 0,
        "redirected": 0, "cannot_tell": 2, "moves": moves, "decisions": [], "policies": [],
        "reasons": [{"reason": "depends on the user, which was not recorded", "requests": 2}],
        "cost": {"now": "1", "draft": "2", "difference": "1", "unpriced": 3},
    }  # fmt: skip
    lines = list(report(answer, "draft.yaml"))
    assert sum("→ x (b)" in line for line in lines) == 10
    assert "          and 3 more" in lines
    assert lines[2].endswith(
        "(+1): an estimate, with the tokens as recorded; 3 requests without a known cost left out"
    )
    assert lines[-1] == "       2  depends on the user, which was not recorded"
