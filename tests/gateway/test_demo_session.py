"""The whole demo without a screen: vendors, gateway, traffic and script, as `ktui demo` starts them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from ktui.demo.session import DemoSession
from ktui.embedded import EmbeddedError, Mode

FAST = 3 * 86_400 / 4
"""A canary of three days in four seconds."""


class Api:
    """The control API of a running demo."""

    def __init__(self, session: DemoSession) -> None:
        started = session.begin()
        headers = {"Authorization": f"Bearer {started.token.reveal()}"}
        self.client = httpx.Client(base_url=started.api_url, headers=headers)

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = self.client.get("/v1/status").json()
        return status

    def events(self) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = self.client.get("/v1/events", params={"limit": "2000"}).json()
        return events

    def until(self, condition: Callable[[dict[str, Any]], bool], within_s: float) -> dict[str, Any]:
        """The first status that meets `condition`."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            status = self.status()
            if condition(status):
                return status
            time.sleep(0.1)
        raise AssertionError(f"not within {within_s} s: {status['traffic']} {status['splits']}")


def phase(status: dict[str, Any]) -> str:
    name: str = status["splits"][0]["phase"]
    return name


@pytest.fixture(params=["thread", "process"])
def session(request: pytest.FixtureRequest) -> Iterator[DemoSession]:
    mode: Mode = request.param
    session = DemoSession(seed=11, mode=mode, rate=40, speed=FAST)
    yield session
    session.close()


def test_traffic_is_answered_split_priced_and_phases_move(session: DemoSession) -> None:
    api = Api(session)
    first = api.until(lambda status: status["traffic"]["requests"] > 40, 20)
    assert phase(first) == "canary"
    assert first["badges"] == [f"demo ×{FAST:g}"]
    assert first["config"]["warnings"] == [] and first["config"]["not_enforced"] == []
    assert all(target["available"] for target in first["targets"])

    equal = api.until(lambda status: phase(status) == "equal", 30)
    assert equal["config"]["through"] == "demo"
    assert equal["config"]["file"]["state"] == "same"
    api.until(lambda status: min(arm["observed_units"] for arm in status["splits"][0]["arms"]) > 40, 30)

    events = api.events()
    seen = {(event["model"], event["decision"]) for event in events}
    assert ("gpt-4o-mini", "redirect") in seen
    assert ("o1-pro", "block") in seen
    assert ("gpt-4-turbo", "warn") in seen
    assert ("claude-sonnet-4-20250514", "allow") in seen
    answered = [event for event in events if event["status"] == 200]
    assert len(answered) > 0.95 * sum(1 for event in events if event["decision"] != "block")
    assert {event["cost_status"] for event in answered} == {"priced"}
    assert all(float(event["cost"]) > 0 and event["output_tokens"] > 0 for event in answered)
    assert any(event["ttft_ms"] for event in answered)
    # The same user stays with the same variant under one version.
    chosen: dict[tuple[str, Any], set[str]] = {}
    for event in events:
        if event["metadata"].get("ab_tag"):
            key = (str(event["config_version"]), event["metadata"].get("unit"))
            chosen.setdefault(key, set()).add(event["metadata"]["ab_tag"])
    assert chosen and all(len(tags) == 1 for unit, tags in chosen.items() if unit[1] is not None)


def test_weights_set_by_hand_stop_the_script() -> None:
    session = DemoSession(seed=1, rate=5, speed=FAST)
    try:
        api = Api(session)
        answer = api.client.put(
            "/v1/splits/ab-test-models/weights",
            json={"weights": {"variant-a": 80, "variant-b": 20}},
            headers={"If-Match": "*"},
        )
        assert answer.status_code == 200
        time.sleep(6)  # Longer than canary is held: nothing may have moved.
        status = api.status()
        assert phase(status) == "canary" and status["splits"][0]["off_plan"]
        assert [arm["weight"] for arm in status["splits"][0]["arms"]] == [80, 20]
    finally:
        session.close()


def test_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    session = DemoSession()
    assert session.directory.is_relative_to(tmp_path)
    assert session.directory.stat().st_mode & 0o077 == 0
    api = Api(session)
    world = session._world.pid
    assert world is not None
    began = time.monotonic()
    session.close()
    assert time.monotonic() - began < 2
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ProcessLookupError):
        os.kill(world, 0)
    with pytest.raises(httpx.ConnectError):
        api.status()
    session.close()


def test_one_closed_before_it_began_does_not_begin() -> None:
    session = DemoSession()
    session.close()
    with pytest.raises(EmbeddedError):
        session.begin()
    assert not session.directory.exists()


async def test_the_screen_of_a_session_shows_its_traffic() -> None:
    session = DemoSession(seed=3)
    try:
        app = session.app()
        async with app.run_test(size=(120, 40)) as pilot:
            end = time.monotonic() + 20
            while time.monotonic() < end:
                await pilot.pause(0.1)
                status = app.state.status
                if status is not None and status.traffic.requests > 5:
                    break
            assert status is not None and status.gateway.state == "serving"
            assert status.traffic.requests > 5
            assert status.badges == ("demo ×7200",)
    finally:
        session.close()
