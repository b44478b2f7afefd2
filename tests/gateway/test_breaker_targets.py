"""The breaker in front of real targets."""

from __future__ import annotations

from typing import Any

import pytest
from gateway_support import QUESTION, WHOLE, RawUpstream, delta, reply_json, reply_stream, snapshot_of

from proxy.gateway.recorder import RefusalSampler
from proxy.service.data_plane_view import RuntimeView
from proxy.upstream.breaker import BreakerRules, Breakers

ASK: dict[str, Any] = {"model": "m", "messages": QUESTION}
DOWN = {"error": {"message": "down"}}


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def policy(*urls: str, models: str = "m") -> str:
    lines = "".join(
        f"    - {{id: t{place}, provider: openai-compatible, base_url: '{url}', models: [{models}]}}\n"
        for place, url in enumerate(urls)
    )
    return "providers:\n  targets:\n" + lines


@pytest.fixture
async def other() -> Any:
    upstream = RawUpstream()
    await upstream.start()
    yield upstream
    await upstream.stop()


@pytest.fixture
async def pair(start_gateway: Any, upstream: RawUpstream, other: RawUpstream) -> Any:
    """A gateway in front of a failing and a healthy target, and its clock."""
    clock = Clock()
    breakers = Breakers(clock, BreakerRules(failures=3, open_s=10))
    upstream.script = reply_json(DOWN, 500)
    gateway = await start_gateway(policy(upstream.url, other.url), breakers=breakers)
    return gateway, clock


def states(gateway: Any) -> list[str]:
    return [target.breaker for target in RuntimeView(gateway.runtime, RefusalSampler()).targets()]


async def test_a_failing_target_is_left_alone_and_probed_later(
    pair: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    gateway, clock = pair
    for _ in range(5):
        assert (await gateway.ask(ASK)).status == 200
    assert (len(upstream.seen), len(other.seen)) == (3, 5)
    assert states(gateway) == ["open", "closed"]
    clock.now += 10
    assert states(gateway) == ["half-open", "closed"]
    upstream.script = reply_json(WHOLE)
    await gateway.ask(ASK)
    assert (len(upstream.seen), states(gateway)) == (4, ["closed", "closed"])


async def test_a_probe_that_fails_costs_the_client_nothing(
    pair: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    gateway, clock = pair
    for _ in range(3):
        await gateway.ask(ASK)
    clock.now += 10
    assert (await gateway.ask(ASK)).status == 200
    assert (len(upstream.seen), states(gateway)) == (4, ["open", "closed"])


async def test_errors_of_callers_never_open_it(pair: Any, upstream: RawUpstream) -> None:
    gateway, _ = pair
    for status in (400, 401, 404, 422, 429):
        upstream.script = reply_json(DOWN, status)
        for _ in range(4):
            await gateway.ask(ASK)
    assert states(gateway) == ["closed", "closed"]


async def test_the_only_target_is_always_asked(start_gateway: Any, upstream: RawUpstream) -> None:
    upstream.script = reply_json(DOWN, 500)
    gateway = await start_gateway(policy(upstream.url), breakers=Breakers(Clock(), BreakerRules(failures=3)))
    for _ in range(3):
        assert (await gateway.ask(ASK)).status == 500
    assert states(gateway) == ["open"]
    upstream.script = reply_json(WHOLE)
    assert (await gateway.ask(ASK)).status == 200
    assert states(gateway) == ["closed"]


async def test_streams_that_break_count_too(pair: Any, upstream: RawUpstream) -> None:
    gateway, _ = pair
    upstream.script = reply_stream([delta("Hi")])
    for _ in range(3):
        assert b"stream_truncated" in (await gateway.ask({**ASK, "stream": True})).body
    assert states(gateway) == ["open", "closed"]


async def test_a_new_version_resets_only_what_it_changes(
    pair: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    gateway, _ = pair
    for _ in range(3):
        await gateway.ask(ASK)
    gateway.runtime.snapshot = snapshot_of("# moved by a line\n" + policy(upstream.url, other.url), number=2)
    assert states(gateway) == ["open", "closed"]
    gateway.runtime.snapshot = snapshot_of(policy(upstream.url, other.url, models="m, n"), number=3)
    assert states(gateway) == ["closed", "closed"]


@pytest.mark.parametrize(
    "body", [b"<html>busy</html>", b"", b"[1]", b'{"error": {"message": "busy", "code": "x"}}']
)
async def test_a_200_that_is_no_answer_is_an_error_and_counts(
    pair: Any, upstream: RawUpstream, body: bytes
) -> None:
    gateway, _ = pair
    upstream.script = reply_json(body)
    for _ in range(3):
        reply = await gateway.ask(ASK)
        assert (reply.status, reply.body) == (200, body), "it passes as it came"
    assert states(gateway) == ["open", "closed"]
    event = gateway.events.events[0]
    assert (event.outcome, event.error) == ("error", "x" if b"error" in body else "invalid_answer")
