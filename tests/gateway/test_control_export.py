"""`kt export` over the control API gives the bytes that it gives over the store, and goes from one to the other."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from control_support import Running, gateway
from typer.testing import CliRunner, Result

from proxy.base.times import now_ms, rfc3339
from proxy.cli import export_file, export_run, export_source
from proxy.cli.exits import ProblemError
from proxy.cli.export_file import load_manifest
from proxy.cli.export_source import ApiSource
from proxy.cli.main import app


async def export(state: Path, *arguments: str, **env: str) -> Result:
    known = {"KT_API_TOKEN": "", "KT_API_URL": "", **env}
    command = ["export", "create", "--state-dir", str(state), *arguments]
    return await asyncio.to_thread(CliRunner().invoke, app, command, env=known)


async def some_of_each(running: Running) -> None:
    await running.ask(20)
    await running.ask(3, model="no-such-model")


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_the_api_and_the_store_give_the_same_file(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_source, "API_PAGE", 7)
    since = rfc3339(now_ms() - 60_000)
    asked = ("--format", form, "--since", since, "--filter", "not user:u-3")
    async with gateway(tmp_path) as running:
        await some_of_each(running)
        live = await export(running.state, *asked, "--out", str(tmp_path / "live"))
        assert live.exit_code == 0, live.output
    still = await export(running.state, *asked, "--out", str(tmp_path / "still"))
    assert still.exit_code == 0, still.output
    text = (tmp_path / "live").read_bytes()
    manifest = load_manifest(tmp_path / "live")
    assert text == (tmp_path / "still").read_bytes() and manifest is not None and manifest.rows == 22


async def test_begun_over_the_api_it_goes_on_over_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_source, "API_PAGE", 7)
    monkeypatch.setattr(export_file, "CHECKPOINT_S", 0.0)
    cut, whole = str(tmp_path / "cut"), str(tmp_path / "whole")
    async with gateway(tmp_path) as running:
        await some_of_each(running)

        class Broken(ApiSource):
            def pages(self, before_seq: int) -> Any:
                for number, page in enumerate(super().pages(before_seq)):
                    if number == 2:
                        raise ProblemError("no gateway answers")
                    yield page

        with monkeypatch.context() as broken:
            broken.setattr(export_run, "ApiSource", Broken)
            assert (await export(running.state, "--out", cut)).exit_code == 1
        kept = load_manifest(Path(cut))
        assert kept is not None and kept.rows == 14
        assert (await export(running.state, "--out", whole)).exit_code == 0
    other = await export(tmp_path / "other", "--out", cut, "--resume")
    assert other.exit_code == 2 and "the export is of the events of" in other.stderr
    assert (await export(running.state, "--out", cut)).exit_code == 0
    assert Path(cut).read_bytes() == Path(whole).read_bytes()


async def test_spans_count_back_from_the_moment_given(tmp_path: Path) -> None:
    async with gateway(tmp_path) as running, running.control() as control:
        await running.ask(2)
        asked: dict[str, str] = {"since": "1s"}
        assert (
            len((await control.get("/v1/events", params={**asked, "at": rfc3339(now_ms() + 600_000)})).json())
            == 0
        )
        hour_ago = rfc3339(now_ms() - 3_600_000)
        assert len((await control.get("/v1/events", params={**asked, "at": hour_ago})).json()) == 2
        assert (await control.get("/v1/events", params={"filter": "..-30m", "at": hour_ago})).json() == []
        assert (await control.get("/v1/events", params={"at": "noon"})).status_code == 400
