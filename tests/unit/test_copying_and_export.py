"""Copies as text, the way to the clipboard, and files written from the Events API."""

from __future__ import annotations

import asyncio
import json
import shlex
import stat
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from ktui import clipboard
from ktui.answers import EventRow
from ktui.copy_forms import NOT_KEPT, curl, ids, line, markdown, pretty
from ktui.export import ExportError, default_name, target_of, write_rows
from ktui.link import GatewayLink, LinkError
from ktui.settings import SettingsFile
from proxy.base.secret import Secret


def row(seq: int = 1, **more: object) -> EventRow:
    given = {"model": "gpt-4o", "requested_model": "gpt-4o", "endpoint": "chat", "status": 200, **more}
    return EventRow(id=f"id-{seq}", timestamp="2026-06-11T14:32:07Z", seq=seq, **given)  # type: ignore[arg-type]


# -- forms


def words_of(command: str) -> list[str]:
    return [word for word in shlex.split(command.replace("\\\n", " ")) if word.strip()]


def test_curl_is_one_safe_command_without_a_key() -> None:
    told = "it's $(rm) \x1b]52;c;x\x07 \x9b é\u202e"
    body = json.dumps({"model": "x", "messages": [{"role": "user", "content": told}]}, ensure_ascii=False)
    command = curl(row(stream=True), "127.0.0.1:41002", body)
    assert command.isascii() and "\x1b" not in command and "\x07" not in command
    words = words_of(command)
    assert words[:3] == ["curl", "-N", "http://127.0.0.1:41002/v1/chat/completions"]
    assert "authorization: Bearer $KT_KEY" in words
    assert json.loads(words[-1]) == json.loads(body)


@pytest.mark.parametrize(
    ("endpoint", "path", "where"),
    [
        ("chat", "/v1/chat/completions", "messages"),
        ("responses", "/v1/responses", "input"),
        ("messages", "/v1/messages", "messages"),
        ("embeddings", "/v1/embeddings", "input"),
        ("completions", "/v1/completions", "prompt"),
    ],
)
def test_without_a_body_curl_says_so(endpoint: str, path: str, where: str) -> None:
    words = words_of(curl(row(endpoint=endpoint, stream=True, requested_model="evil'\x1b"), "[::1]:1", None))
    assert any(word == f"http://[::1]:1{path}" for word in words)
    sent = json.loads(words[-1])
    assert NOT_KEPT in json.dumps(sent[where])
    assert sent["stream"] is True and sent["model"] == "evil'\x1b"
    assert ("max_tokens" in sent) == (endpoint == "messages")


def test_lines_and_markdown_show_no_control_and_no_markup() -> None:
    evil = row(model="a|b`*\x1b[2J\n")
    columns = ("time", "model", "status")
    assert "\x1b" not in line(evil, columns) and "\n" not in line(evil, columns)
    table = markdown([evil, row(2)], columns).split("\n")
    assert len(table) == 4 and table[1] == "| --- | --- | --- | --- |"
    assert "a\\|b\\`\\*" in table[2] and "\x1b" not in table[2]
    assert table[3].endswith("| id-2 |")
    assert ids([row(1), row(2)]) == "id-1\nid-2"
    assert json.loads(pretty([{"a": "é"}])) == {"a": "é"}
    assert json.loads(pretty([{"a": 1}, {"a": 2}])) == [{"a": 1}, {"a": 2}]


# -- routes


class Screen:
    def __init__(self) -> None:
        self.sent: list[str] = []

    def copy_to_clipboard(self, text: str) -> None:
        self.sent.append(text)


def test_the_way_follows_the_terminal() -> None:
    xterm = {"TERM": "xterm-256color"}
    assert clipboard.route(xterm, 10) == "osc52"
    assert clipboard.route(xterm, clipboard.OSC52_LARGEST + 1) == "file"
    assert clipboard.route({**xterm, "TMUX": "/tmp/x,1,0"}, 10**6) == "tmux"
    for deaf in (
        {"TERM": "linux"},
        {"TERM": "dumb"},
        {},
        {**xterm, "STY": "1.x"},
        {**xterm, "TERM_PROGRAM": "Apple_Terminal"},
    ):
        assert clipboard.route(deaf, 10) == "file"
    assert clipboard.route({"TERM": "linux"}, 10, "osc52") == "osc52"


async def test_a_file_is_only_for_its_owner_and_replaced(tmp_path: Path) -> None:
    env, screen = {"TERM": "linux", "XDG_STATE_HOME": str(tmp_path)}, Screen()
    for text in ("first", "zwei\x1b é"):
        done = await clipboard.copy(screen, text, "the id", env)
        path = tmp_path / "ktui" / clipboard.NAME
        assert done.done and str(path) in done.words
        assert path.read_text(encoding="utf-8") == text
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not screen.sent and [item.name for item in path.parent.iterdir()] == [clipboard.NAME]


async def test_osc52_says_that_a_terminal_may_refuse() -> None:
    screen = Screen()
    done = await clipboard.copy(screen, "x", "the id", {"TERM": "xterm"})
    assert screen.sent == ["x"]
    assert "OSC 52" in done.words and "copy: file" in done.words


@pytest.mark.parametrize(
    ("code", "route"), [("cat > '{out}'", "tmux"), ("echo no server >&2; exit 1", "OSC 52")]
)
async def test_tmux_is_asked_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, route: str
) -> None:
    out, program, screen = tmp_path / "out", tmp_path / "tmux", Screen()
    program.write_text(f"#!/bin/sh\n{code.format(out=out)}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    done = await clipboard.copy(screen, "text é", "the id", {"TERM": "tmux-256color", "TMUX": "x"})
    assert route in done.words
    if route == "tmux":
        assert out.read_text(encoding="utf-8") == "text é" and not screen.sent
    else:
        assert screen.sent == ["text é"] and "no server" in done.words


async def test_a_setting_decides(tmp_path: Path) -> None:
    settings, screen = SettingsFile(), Screen()
    settings.change(copy="file")
    env = {"TERM": "xterm", "XDG_STATE_HOME": str(tmp_path)}
    assert (await clipboard.copy(screen, "x", "the id", env, settings)).done
    assert not screen.sent
    (tmp_path / "blocked").write_text("")
    env = {"TERM": "xterm", "XDG_STATE_HOME": str(tmp_path / "blocked")}
    assert not (await clipboard.copy(screen, "x", "the id", env, settings)).done


# -- files


class Api:
    """GET /v1/events over five requests."""

    def __init__(self, *, breaks: bool = False) -> None:
        self.asked: list[dict[str, str]] = []
        self.breaks = breaks

    def link(self) -> GatewayLink:
        return GatewayLink("http://fake", Secret("t"), httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        params = dict(request.url.params)
        self.asked.append(params)
        if params.get("filter") == "bad":
            return httpx.Response(400, json={"error": {"message": "filter: bad", "code": "bad_filter"}})
        first, last = int(params.get("after_seq", 0)) + 1, int(params.get("before_seq", 6))
        found = [{"seq": seq} for seq in range(first, last)]
        if params["format"] == "csv":
            text = "seq,id\r\n" + "".join(f"{item['seq']},x\r\n" for item in found)
        elif params["format"] == "json":
            text = json.dumps(found)
        else:
            text = "".join(f"{json.dumps(item)}\n" for item in found)
        return httpx.Response(200, content=self._parts(text.encode()))

    async def _parts(self, data: bytes):  # type: ignore[no-untyped-def]
        yield data[:10]
        if self.breaks:
            raise httpx.ReadError("gone")
        yield data[10:]


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
@pytest.mark.parametrize("marked", [(), (4, 2)])
async def test_all_or_the_marked_ones_are_written(tmp_path: Path, form: str, marked: tuple[int, ...]) -> None:
    api, path, heard = Api(), tmp_path / f"out.{form}", list[int]()
    rows = [row(seq) for seq in marked]
    size = await write_rows(
        api.link(), path, form, filter_text="status:200", marked=rows, progress=heard.append
    )
    text = path.read_text()
    wanted = sorted(marked) or [1, 2, 3, 4, 5]
    if form == "json":
        assert [item["seq"] for item in json.loads(text)] == wanted
    elif form == "jsonl":
        assert [json.loads(item)["seq"] for item in text.splitlines()] == wanted
    else:
        assert text.splitlines() == ["seq,id", *(f"{seq},x" for seq in wanted)]
    assert size == path.stat().st_size == heard[-1]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    assert all(("filter" in asked) == (not marked) for asked in api.asked)


async def test_nothing_is_overwritten_and_nothing_half_written_stays(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with pytest.raises(LinkError):
        await write_rows(Api(breaks=True).link(), path, "jsonl")
    with pytest.raises(LinkError, match="bad"):
        await write_rows(Api().link(), path, "jsonl", filter_text="bad")
    assert not list(tmp_path.iterdir())

    def meanwhile(_size: int) -> None:
        path.write_text("another")

    with pytest.raises(ExportError, match="was not written"):
        await write_rows(Api().link(), path, "jsonl", progress=meanwhile)
    assert path.read_text() == "another"
    assert [item.name for item in tmp_path.iterdir()] == ["out.jsonl"]


async def test_cancelling_leaves_nothing(tmp_path: Path) -> None:
    begun = asyncio.Event()

    class Slow(Api):
        async def _parts(self, data: bytes):  # type: ignore[no-untyped-def]
            yield data[:10]
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write_rows(Slow().link(), tmp_path / "out.jsonl", "jsonl"))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not list(tmp_path.iterdir())


def test_a_name_is_checked_before_anything_is_asked(tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("")
    (tmp_path / "dangling.csv").symlink_to(tmp_path / "nowhere")
    assert target_of(" a.CSV ", tmp_path) == (tmp_path / "a.CSV", "csv")
    for text, said in (
        ("", "type a file name"),
        ("a\x1b.csv", "type a file name"),
        ("a.txt", "must end in"),
        ("a.parquet", "kt export create"),
        ("no/a.csv", "no directory"),
        ("there.csv", "never overwritten"),
        ("dangling.csv", "never overwritten"),
    ):
        with pytest.raises(ExportError, match=said):
            target_of(text, tmp_path)
    now = datetime(2026, 6, 11, 14, 32, 7, tzinfo=UTC)
    assert default_name(now, 0) == "requests-20260611-143207.jsonl"
    assert default_name(now, 2).startswith("marked-")
