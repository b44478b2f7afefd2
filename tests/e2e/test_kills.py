"""The gateway's process is killed under load and started again: what was answered is in the store, once."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


async def test_every_answered_request_is_stored_exactly_once_through_kills(tmp_path: Path) -> None:
    from benchmarks.kills import run

    verdict, noted = await run(tmp_path, kills=3, clients=8, seed=5)
    assert verdict.fine, str(verdict)
    # Less would prove nothing: kills have to fall among answers.
    assert verdict.answered > 100 and noted.cut_off and noted.refused


@pytest.mark.parametrize("fault", ["missing", "doubled", "left"])
def test_what_is_wrong_is_found(tmp_path: Path, fault: str) -> None:
    from benchmarks.kills import judge

    (tmp_path / "journal").mkdir()
    with sqlite3.connect(tmp_path / "events.db") as database:
        database.execute("CREATE TABLE events (id TEXT)")
        database.executemany("INSERT INTO events VALUES (?)", [("a",), ("b",)])
    database.close()
    assert judge(tmp_path, ["b", "a"], []).fine
    answered = {"missing": ["a", "c"], "doubled": ["a", "a"], "left": ["a"]}[fault]
    if fault == "left":
        (tmp_path / "journal" / "1.journal").write_bytes(b"x")
    verdict = judge(tmp_path, answered, [])
    assert not verdict.fine
    assert getattr(verdict, fault)
