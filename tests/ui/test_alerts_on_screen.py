"""Alerts on the screen: the header names them, a toast tells of a change, and a key shows their requests."""

from __future__ import annotations

from typing import Any

import pytest
from fake_api import FakeGateway
from test_live_frame import line_of, make, screen_text, until

from ktui.alert_words import counted, headline
from ktui.answers import Alert
from ktui.screens.live import LivePane


def alert(name: str = "timeouts", **more: Any) -> dict[str, Any]:
    base = {"name": name, "filter": "error:timeout", "firing": True, "since": "2026-06-11T14:30:00Z", "requests": 7,
            "of": 80, "limit": 5, "is_share": False, "within_s": 300, "newest": None}  # fmt: skip
    return {**base, **more}


def toasts(app: Any) -> list[str]:
    return [str(notification.message) for notification in app._notifications]


def test_words() -> None:
    one = Alert("b-slow", requests=10, of=80, is_share=True, within_s=900)
    assert counted(one) == "12.5 % of 80 in 15m"
    assert headline([one]) == ("✗ b-slow: 12.5 % of 80 in 15m", "✗ b-slow")
    assert headline([one, one, one]) == ("✗ 3 alerts: b-slow, b-slow, …", "✗ 3 alerts")
    assert headline([]) == ("", "")


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_an_alert_is_seen_told_and_followed(size: tuple[int, int]) -> None:
    fake = FakeGateway()
    fake.status["alerts"] = [alert(firing=False, since=None, requests=2)]
    app = make(fake)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: "answered in" in screen_text(app))
        assert "timeouts" not in line_of(app, 2)
        await pilot.press("exclamation_mark")
        await until(pilot, lambda: "no alert fires" in screen_text(app))
        fake.status["alerts"] = [alert()]
        fake.push_status()
        await until(pilot, lambda: "✗ timeouts" in line_of(app, 2))
        await until(
            pilot, lambda: any("alert timeouts: 7 in 5m, more than 5" in words for words in toasts(app))
        )
        await pilot.press("5", "exclamation_mark")
        live = app.query_one(LivePane)
        await until(pilot, lambda: live.shown and live.events.filter_text == "error:timeout")
        fake.status["alerts"] = [alert(firing=False, since=None, requests=0)]
        fake.push_status()
        await until(pilot, lambda: "✗ timeouts" not in line_of(app, 2))
        await until(pilot, lambda: any("alert timeouts is over" in words for words in toasts(app)))
