"""Failures that are absorbed before the first byte, and those that are not."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from gateway_support import (
    DONE,
    QUESTION,
    WHOLE,
    CutError,
    Gateway,
    RawUpstream,
    Seen,
    delta,
    reply_json,
    reply_raw,
    reply_stream,
)

ASK: dict[str, Any] = {"model": "m", "messages": QUESTION}


def several(*urls: str, extra: str = "") -> str:
    lines = "".join(
        f"    - {{id: t{place}, provider: openai-compatible, base_url: '{url}', models: [m]{extra}}}\n"
        for place, url in enumerate(urls)
    )
    return "providers:\n  targets:\n" + lines


@pytest.fixture
async def other() -> Any:
    upstream = RawUpstream()
    await upstream.start()
    yield upstream
    await upstream.stop()


async def test_the_next_target_answers_for_a_dead_one(
    start_gateway: Any, upstream: RawUpstream, dead_port: int
) -> None:
    gateway = await start_gateway(several(f"http://127.0.0.1:{dead_port}", upstream.url))
    assert (await gateway.ask(ASK)).json == WHOLE
    (event,) = gateway.events.events
    assert (event.target, event.attempts, event.outcome) == ("t1", 2, "ok")


async def test_the_next_target_answers_for_a_failing_one(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    upstream.script = reply_json({"error": {"message": "down"}}, 503)
    gateway = await start_gateway(several(upstream.url, other.url))
    assert (await gateway.ask(ASK)).status == 200
    assert (len(upstream.seen), len(other.seen)) == (1, 1)


@pytest.mark.parametrize("status", [400, 401, 404, 422])
async def test_an_error_of_the_request_is_not_tried_elsewhere(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream, status: int
) -> None:
    upstream.script = reply_json({"error": {"message": "no"}}, status)
    gateway = await start_gateway(several(upstream.url, other.url))
    assert (await gateway.ask(ASK)).status == status
    assert (len(upstream.seen), len(other.seen)) == (1, 0)


async def test_three_attempts_in_all_and_the_last_error_passes(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    upstream.script = reply_json({"error": {"message": "down"}}, 500)
    gateway = await start_gateway(several(*[upstream.url] * 5))
    reply = await gateway.ask(ASK)
    assert (reply.status, len(upstream.seen)) == (500, 3)
    assert gateway.events.events[0].attempts == 3


async def test_nothing_is_retried_once_a_byte_was_sent(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    upstream.script = reply_stream([delta("Hi")], end=False, cut=True)
    gateway = await start_gateway(several(upstream.url, other.url))
    assert b"stream_truncated" in (await gateway.ask({**ASK, "stream": True})).body
    assert not other.seen


async def test_a_stale_connection_is_tried_once_more(start_gateway: Any, upstream: RawUpstream) -> None:
    """The upstream ends the kept-alive connection just as the next request comes."""
    gateway: Gateway = await start_gateway(several(upstream.url))

    async def once(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(upstream.seen) == 2:
            raise CutError
        await reply_json(WHOLE)(seen, reader, writer)

    upstream.script = once
    assert (await gateway.ask(ASK)).status == 200
    assert (await gateway.ask(ASK)).status == 200
    assert (len(upstream.seen), upstream.connections) == (3, 2)
    assert [event.attempts for event in gateway.events.events] == [1, 2]


async def test_a_fresh_connection_that_is_cut_is_not(start_gateway: Any, upstream: RawUpstream) -> None:
    upstream.script = reply_raw(b"", cut=True)
    gateway = await start_gateway(several(upstream.url))
    assert (await gateway.ask(ASK)).status == 502
    assert len(upstream.seen) == 1


async def test_retry_on_timeout_only_where_it_is_asked_for(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    async def silent(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        raise CutError

    upstream.script = silent
    patient = ", timeouts: {first_byte: 100ms}"
    gateway = await start_gateway(several(upstream.url, other.url, extra=patient))
    assert (await gateway.ask(ASK)).status == 504 and not other.seen
    gateway = await start_gateway(
        several(upstream.url, other.url, extra=patient + ", retry_on_timeout: true")
    )
    assert (await gateway.ask(ASK)).status == 200 and len(other.seen) == 1


async def test_a_request_ends_on_the_plan_it_began_with(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    from gateway_support import snapshot_of

    swapped = asyncio.Event()

    async def slow(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await swapped.wait()
        await reply_stream([delta("Hi", "stop"), DONE])(seen, reader, writer)

    upstream.script = slow
    gateway: Gateway = await start_gateway(several(upstream.url))
    task = asyncio.create_task(gateway.ask({**ASK, "stream": True}))
    await upstream.until(lambda: len(upstream.seen) == 1)
    gateway.runtime.snapshot = snapshot_of(several(other.url), number=2)
    swapped.set()
    assert b"[DONE]" in (await task).body
    assert (await gateway.ask(ASK)).status == 200 and len(other.seen) == 1
    assert [event.config_version for event in gateway.events.events] == ["hash-1", "hash-2"]
