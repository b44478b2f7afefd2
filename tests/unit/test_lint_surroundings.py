"""What lint is handed of traffic and of vendor data."""

from __future__ import annotations

import time
from typing import Any

from events_factory import make_event

from proxy.events.event import Event
from proxy.events.recent_units import ENOUGH, KEPT, RecentUnits
from proxy.policy.targets import TargetSpec
from proxy.prices.known import price_known


def carried(**units: str | None) -> Event:
    return make_event(facts={"units": {kind.replace("__", ":"): digest for kind, digest in units.items()}})


def test_a_kind_counts_once_enough_requests_were_asked_for_it() -> None:
    recent = RecentUnits()
    assert recent.counts() == {}
    recent.observe_all([carried(user="d", header__team=None)] * (ENOUGH - 1))
    assert recent.counts() == {}
    recent.observe_all([carried(user="d", header__team=None)])
    assert recent.counts() == {
        "user": ENOUGH,
        "header:team": 0,
        "safety_identifier": 0,
        "conversation": 0,
        "header:x-kt-unit": 0,
        "key": 0,
    }


def test_a_header_no_policy_asked_for_is_unknown_and_undecided_requests_do_not_count() -> None:
    recent = RecentUnits()
    recent.observe_all([make_event(facts={}, key="team") for _ in range(ENOUGH)])
    assert recent.counts() == {}
    recent.observe_all([make_event(facts={"units": {}}, key="team") for _ in range(ENOUGH)])
    assert recent.counts()["key"] == ENOUGH
    assert "header:team" not in recent.counts()


def test_old_requests_are_forgotten() -> None:
    recent = RecentUnits()
    recent.observe_all([carried(user="d")] * KEPT)
    recent.observe_all([carried()] * KEPT)
    assert recent.counts()["user"] == 0


def target(**more: Any) -> TargetSpec:
    return TargetSpec(id="t", **more)


def test_the_vendor_data_is_asked_under_the_name_that_is_priced() -> None:
    assert price_known(target(), "gpt-4o")
    assert not price_known(target(), "in-house-7b")
    local = {"provider": "openai-compatible", "base_url": "http://127.0.0.1:1"}
    assert not price_known(target(**local), "gpt-4o")
    assert price_known(target(**local, price_as="gpt-4o"), "in-house-7b")
    started = time.perf_counter()
    price_known(target(), "gpt-4o")
    assert time.perf_counter() - started < 0.05
