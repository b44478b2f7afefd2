"""The link's errors are sentences, its answers tolerant; the scheduler coalesces; the dialog is safe."""

from __future__ import annotations

import httpx
import pytest
from fake_api import FakeGateway
from rich.text import Text

from ktui.link import Conflict, GatewayLink, LinkError, LintRefused, Refused, Unreachable
from ktui.refresh import Scheduler
from ktui.themed import ThemedApp
from ktui.widgets.dialog import ConfirmDialog
from proxy.base.secret import Secret


def link_to(handler) -> GatewayLink:
    return GatewayLink("http://127.0.0.1:1/", Secret("s3cret"), transport=httpx.MockTransport(handler))


async def test_answers_are_typed_and_unknown_keys_ignored() -> None:
    fake = FakeGateway()
    fake.status["something_new"] = {"a": 1}
    fake.status["splits"][0]["arms"][0]["colour"] = "blue"
    status = await fake.link().status()
    assert status.splits[0].tags == ("variant-a", "variant-b")
    assert status.splits[0].phase_index == 0
    assert status.config is not None and status.config.short == "3fa9c1e"
    rows = await fake.link().events(limit=3)
    assert [row.seq for row in rows] == [19, 18, 17]
    series = await fake.link().series("latency_p95")
    assert series.series[1].window_value == 2050


async def test_no_gateway_is_unreachable_in_one_sentence() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("boom", request=request)

    with pytest.raises(Unreachable, match=r"^nothing answers at http://127\.0\.0\.1:1$"):
        await link_to(refuse).status()
    with pytest.raises(Unreachable, match="starting"):
        await GatewayLink().status()


async def test_hostile_and_broken_answers_are_sentences_without_control_characters() -> None:
    answers = [
        httpx.Response(500, content=b"<html>\x1b[2J"),
        httpx.Response(200, content=b"{nonsense"),
        httpx.Response(200, json={"gateway": 5}),
        httpx.Response(403, json={"error": {"code": "forbidden", "message": "no\x1b[31m"}}),
        httpx.Response(400, json=["a"]),
        httpx.Response(422, json={"error": "x", "diagnostics": [{"bad": 1}]}),
    ]
    for answer in answers:
        with pytest.raises(LinkError) as caught:
            await link_to(lambda request, answer=answer: answer).status()
        assert str(caught.value)
        assert "\x1b" not in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "s3cret" not in repr(caught.value)


async def test_conflicts_and_lint_errors_carry_what_the_editor_needs() -> None:
    fake = FakeGateway()
    fake.file_text = "other: text\n"
    with pytest.raises(Conflict) as conflict:
        await fake.link().put_config("x", if_match="0" * 64)
    assert conflict.value.text == "other: text\n"
    fake.lint_answer = [
        {"code": "unknown_key", "severity": "error", "message": "unknown key", "line": 3, "column": 5}
    ]
    with pytest.raises(LintRefused) as refused:
        await fake.link().put_config("x", if_match="*")
    assert refused.value.diagnostics[0].line == 3
    with pytest.raises(Refused, match="there is no"):
        await fake.link().event("nope")


async def test_the_if_match_header_is_quoted() -> None:
    seen = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["if-match"])
        return httpx.Response(200, json={"number": 1, "hash": "h", "changed": True})

    await link_to(handler).set_weights("a/b", if_match="abc", weights={"x": 1})
    await link_to(handler).set_weights("a", weights={"x": 1})
    assert seen == ['"abc"', "*"]


def test_the_scheduler_draws_the_latest_once_per_interval_and_only_what_is_visible() -> None:
    now = 0.0
    drawn: list[str] = []
    visible = False
    scheduler = Scheduler(clock=lambda: now)
    scheduler.register("a", 1.0, lambda: drawn.append("a"))
    scheduler.register("b", 0.5, lambda: drawn.append("b"), lambda: visible)
    scheduler.tick()
    assert drawn == []
    for _ in range(5):
        scheduler.mark("a")
        scheduler.mark("b")
    scheduler.tick()
    scheduler.tick()
    assert drawn == ["a"]
    scheduler.mark("a")
    now = 0.9
    scheduler.tick()
    assert drawn == ["a"]
    now, visible = 1.0, True
    scheduler.tick()
    assert drawn == ["a", "a", "b"]
    scheduler.mark("a")
    scheduler.now("a")
    now = 1.5
    scheduler.tick()
    assert drawn == ["a", "a", "b", "a"]


def test_what_is_there_for_the_first_time_is_drawn_at_the_next_tick() -> None:
    drawn: list[str] = []
    scheduler = Scheduler(clock=lambda: 7.0)
    scheduler.register("a", 1.0, lambda: drawn.append("a"))
    scheduler.now("a")
    scheduler.mark("a")
    scheduler.tick()
    assert drawn == ["a"]
    scheduler.soon("a")
    scheduler.tick()
    scheduler.tick()
    assert drawn == ["a", "a"]


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("keys", "answer"), [(["enter"], False), (["escape"], False), (["x", "q", "y"], True)]
)
async def test_cancel_is_the_default_and_y_confirms(keys: list[str], answer: bool) -> None:
    app, clock, answers = ThemedApp(env={"TERM": "xterm-256color"}), Clock(), []
    async with app.run_test() as pilot:
        await app.push_screen(ConfirmDialog("Apply", [Text("95 → 70")], clock=clock), answers.append)
        await pilot.press("y")
        assert answers == []
        clock.now = 0.6
        await pilot.press(*keys)
        await pilot.pause()
        assert answers == [answer]


async def test_a_protected_change_wants_its_name_typed() -> None:
    app, clock, answers = ThemedApp(env={"TERM": "xterm-256color"}), Clock(), []
    async with app.run_test() as pilot:
        await app.push_screen(ConfirmDialog("Promote", ["x"], require="expand", clock=clock), answers.append)
        clock.now = 1.0
        await pilot.press("y", *"expanx", "backspace")
        assert answers == []
        await pilot.press("backspace", "backspace", "backspace", "backspace", "backspace", "backspace")
        await pilot.press(*"expand")
        await pilot.pause()
        assert answers == [True]
