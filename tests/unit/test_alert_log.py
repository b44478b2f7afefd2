"""The log names an alert when it fires and when it is over, once each."""

from __future__ import annotations

import asyncio
import logging

import pytest
from events_factory import T0, make_event

from proxy.events.alert_text import counted, limit_text
from proxy.events.alerts import Alerts, Rule
from proxy.service.alert_log import AlertLog

MANY = Rule("many\x1b[31m", "variant:a", 2, 60_000)


class Watched:
    """Alerts, a clock to turn and the log that looks at them."""

    def __init__(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.INFO, "proxy.service.alert_log")
        self._caplog = caplog
        self.now = T0
        self.alerts = Alerts(lambda: self.now)
        self.alerts.keep([MANY])
        self.log = AlertLog(self.alerts)

    def look(self) -> list[tuple[str, str]]:
        """What one look adds to the log."""
        self._caplog.clear()
        self.log.look()
        return [(record.levelname, record.getMessage()) for record in self._caplog.records]

    def requests(self, number: int) -> None:
        self.alerts.observe_all(
            make_event(id=f"{self.now}-{place}", timestamp_ms=self.now, latency_ms=0.0, ab_tag="a")
            for place in range(number)
        )


def test_one_line_when_it_fires_and_one_when_it_is_over(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(caplog)
    watched.requests(2)
    assert watched.look() == []
    watched.requests(1)
    ((level, text),) = watched.look()
    assert (level, text) == ("WARNING", "alert many␛[31m: 3 in 1m, more than 2: variant:a")
    watched.requests(5)
    assert watched.look() == []
    watched.now += 70_000
    ((level, text),) = watched.look()
    assert (level, text) == ("INFO", "alert many␛[31m is over: 0 in 1m")
    assert watched.look() == []


def test_an_alert_that_left_the_file_is_not_spoken_of_and_fires_anew_when_it_is_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    watched = Watched(caplog)
    watched.requests(3)
    assert len(watched.look()) == 1
    watched.alerts.keep([])
    assert watched.look() == []
    watched.alerts.keep([MANY])
    watched.requests(3)
    assert [level for level, _ in watched.look()] == ["WARNING"]


async def test_it_looks_once_more_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    watched = Watched(caplog)
    watched.log.start()
    await asyncio.sleep(0)
    watched.requests(3)
    await watched.log.stop()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    await watched.log.stop()


def test_shares_have_their_own_words() -> None:
    assert counted(1_200, 4_800, 900, is_share=True) == "25.0 % of 4,800 in 15m"
    assert counted(0, 0, 60, is_share=True) == "0.0 % of 0 in 1m"
    assert (limit_text(12.5, is_share=True), limit_text(1_000, is_share=False)) == ("12.5 %", "1,000")
