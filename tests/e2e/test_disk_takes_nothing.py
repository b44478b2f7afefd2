"""The disk takes nothing for a while: every request is answered, the status tells, nothing kept is lost."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="prlimit and tmpfs are of Linux")


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))


@pytest.fixture(params=["full", "failing"])
def how(request: pytest.FixtureRequest, tmp_path: Path, _importable: None) -> Iterator[str]:
    from benchmarks.disk_full import small_file_system

    if request.param == "failing":
        yield request.param
        return
    if shutil.which("mount") is None:
        pytest.skip("no mount")
    try:
        with small_file_system(tmp_path / "state"):
            yield request.param
    except PermissionError as error:
        pytest.skip(str(error))


async def test_no_request_fails_and_all_is_stored_once_there_is_room(tmp_path: Path, how: str) -> None:
    from benchmarks.disk_full import run

    seen = await run(tmp_path, how, seconds=1.5, rate=40)
    assert not seen.wrong
    assert len(seen.answered) > 20 and seen.most_spilled > 5
    assert any("they wait in memory" in text for text in seen.troubles)
