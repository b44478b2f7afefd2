"""Who is told that a client has left."""

from __future__ import annotations

from proxy.gateway.presence import Presence


def test_the_watching_request_is_told_once_and_the_connection_goes_on_reading() -> None:
    read, told = [], []
    presence = Presence(lambda: read.append("on"))
    presence.watch(lambda: told.append("left"))
    assert (read, told) == (["on"], [])
    presence.leave()
    presence.leave()
    assert told == ["left"]


def test_who_watches_after_the_client_left_is_told_at_once() -> None:
    told: list[str] = []
    presence = Presence(lambda: None)
    presence.leave()
    presence.watch(lambda: told.append("left"))
    assert told == ["left"]


def test_a_request_that_is_tidied_up_does_not_stop_the_watch_of_the_next() -> None:
    told: list[str] = []

    def first() -> None:
        told.append("first")

    def second() -> None:
        told.append("second")

    presence = Presence(lambda: None)
    presence.watch(first)
    presence.watch(second)
    presence.unwatch(first)
    presence.leave()
    assert told == ["second"]
