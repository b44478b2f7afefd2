"""Retries and fallbacks over real sockets: what the upstreams see, what the client gets, what is remembered."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from gateway_support import (
    DONE,
    QUESTION,
    STREAM_HEAD,
    WHOLE,
    Gateway,
    RawUpstream,
    Script,
    Seen,
    chunked,
    delta,
    frame,
    reply_and_wait,
    reply_json,
    reply_raw,
    reply_stream,
    request,
)
from openai import AsyncOpenAI, InternalServerError

from proxy.upstream.retry import RetryBudget, RetryRules

ASK: dict[str, Any] = {"model": "m", "messages": QUESTION}
STREAMED = {**ASK, "stream": True}
DOWN = {"error": {"message": "down", "type": "server_error", "code": "overloaded"}}
TEXT = [delta("Hi"), delta(finish="stop"), DONE]


def target(name: str, url: str, models: str = "m", extra: str = "") -> str:
    return (
        f"    - {{id: {name}, provider: openai-compatible, base_url: '{url}', models: [{models}]{extra}}}\n"
    )


def policy(*targets: str, fallback: str = "", rest: str = "") -> str:
    models = f"  fallback_models: {fallback}\n" if fallback else ""
    return "providers:\n  targets:\n" + "".join(targets) + models + rest


def in_turn(*scripts: Script) -> Script:
    """Each request gets the next script; the last stays."""
    left = list(scripts)

    async def script(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(seen, reader, writer)

    return script


@pytest.fixture
async def other() -> Any:
    upstream = RawUpstream()
    await upstream.start()
    yield upstream
    await upstream.stop()


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_one_target_is_asked_again_until_it_answers(
    start_gateway: Any, upstream: RawUpstream, status: int
) -> None:
    upstream.script = in_turn(reply_json(DOWN, status), reply_json(WHOLE))
    gateway = await start_gateway(policy(target("a", upstream.url)))
    reply = await gateway.ask(ASK)
    assert (reply.status, reply.json, len(upstream.seen)) == (200, WHOLE, 2)
    assert upstream.seen[0].body == upstream.seen[1].body
    (event,) = gateway.events.events
    assert (event.outcome, event.attempts) == ("ok", 2)
    assert [(entry["target"], entry["status"], entry["reason"]) for entry in event.attempt_log] == [
        ("a", status, f"upstream_{status}"),
        ("a", 200, None),
    ]


async def test_three_attempts_then_the_error_as_it_came_and_no_more_please(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    headers = [("retry-after", "0"), ("x-request-id", "req-7"), ("x-should-retry", "true")]
    upstream.script = reply_json(DOWN, 503, headers)
    gateway = await start_gateway(policy(target("a", upstream.url)))
    reply = await gateway.ask(ASK)
    assert (reply.status, reply.json, len(upstream.seen)) == (503, DOWN, 3)
    assert (reply.headers["retry-after"], reply.headers["x-request-id"]) == ("0", "req-7")
    assert reply.headers["x-should-retry"] == "false"
    (event,) = gateway.events.events
    assert (event.status, event.attempts, event.error) == (503, 3, "overloaded")


async def test_the_official_client_does_not_multiply_our_attempts(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    upstream.script = reply_json(DOWN, 500)
    gateway = await start_gateway(policy(target("a", upstream.url)))
    async with AsyncOpenAI(base_url=gateway.base, api_key="x", max_retries=2) as client:
        with pytest.raises(InternalServerError):
            await client.chat.completions.create(model="m", messages=QUESTION)
    assert len(upstream.seen) == 3


async def test_retry_after_is_honoured(start_gateway: Any, upstream: RawUpstream) -> None:
    upstream.script = in_turn(reply_json(DOWN, 429, [("retry-after-ms", "300")]), reply_json(WHOLE))
    gateway = await start_gateway(policy(target("a", upstream.url)))
    started = time.monotonic()
    assert (await gateway.ask(ASK)).status == 200
    assert time.monotonic() - started >= 0.3


async def test_a_retry_after_too_long_to_wait_for_goes_to_the_client(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    upstream.script = reply_json(DOWN, 429, [("retry-after", "61")])
    gateway = await start_gateway(policy(target("a", upstream.url)))
    reply = await gateway.ask(ASK)
    assert (reply.status, reply.headers["retry-after"], len(upstream.seen)) == (429, "61", 1)
    assert "x-should-retry" not in reply.headers, "the client may wait"


async def test_a_rate_limit_moves_to_the_next_target_at_once(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    upstream.script = reply_json(DOWN, 429, [("retry-after", "30")])
    gateway = await start_gateway(policy(target("a", upstream.url), target("b", other.url)))
    assert (await gateway.ask(ASK)).status == 200
    assert (await gateway.ask(ASK)).status == 200
    assert (len(upstream.seen), len(other.seen)) == (1, 2), "and the one that asked for a rest gets it"


async def test_what_should_not_be_retried_is_not(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    upstream.script = reply_json(DOWN, 500, [("x-should-retry", "false")])
    gateway = await start_gateway(policy(target("a", upstream.url), target("b", other.url)))
    assert (await gateway.ask(ASK)).status == 500
    assert (len(upstream.seen), len(other.seen)) == (1, 0)


async def test_a_dead_port_is_tried_again_and_the_client_told_in_one_sentence(
    start_gateway: Any, dead_port: int
) -> None:
    gateway = await start_gateway(policy(target("a", f"http://127.0.0.1:{dead_port}")))
    reply = await gateway.ask(ASK)
    assert (reply.status, reply.error["code"]) == (502, "upstream_unreachable")
    (event,) = gateway.events.events
    assert [entry["reason"] for entry in event.attempt_log] == ["connect"] * 3
    assert all("127.0.0.1" in entry["error"] for entry in event.attempt_log)


async def test_a_whole_answer_that_breaks_off_is_asked_for_elsewhere(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    upstream.script = reply_raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", cut=True)
    gateway = await start_gateway(policy(target("a", upstream.url), target("b", other.url)))
    assert (await gateway.ask(ASK)).json == WHOLE
    assert [entry["reason"] for entry in gateway.events.events[0].attempt_log] == ["reset", None]


async def test_an_outage_is_not_made_worse_by_retries(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    upstream.script = reply_json(DOWN, 503)
    spent = RetryBudget(per_s=0, capacity=3)
    gateway = await start_gateway(policy(target("a", upstream.url)), retry_budget=spent)
    for _ in range(5):
        reply = await gateway.ask(ASK)
        assert reply.status == 503
    assert len(upstream.seen) == 5 + 3
    both = await start_gateway(
        policy(target("a", upstream.url), target("b", other.url)),
        retry_budget=RetryBudget(per_s=0, capacity=0),
    )
    assert (await both.ask(ASK)).status == 200, "another target is always asked"


# Fallback to another model.


async def test_another_model_answers_when_the_decided_one_cannot(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    upstream.script = reply_json(DOWN, 503)
    text = policy(target("a", upstream.url), target("b", other.url, "n"), fallback="{m: [n]}")
    gateway = await start_gateway(text)
    reply = await gateway.ask(ASK)
    assert (reply.status, reply.headers["x-kt-model"]) == (200, "n")
    assert (len(upstream.seen), len(other.seen)) == (2, 1) and other.seen[0].json["model"] == "n"
    (event,) = gateway.events.events
    assert (event.requested_model, event.model, event.target, event.attempts) == ("m", "n", "b", 3)


async def test_a_fallback_never_changes_the_arm(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    upstream.script = reply_json(DOWN, 503)
    split = (
        "policies:\n  - name: s\n    type: traffic_split\n    conditions: {model: v}\n"
        "    variants: [{model: m, weight: 100, tag: arm}]\n"
    )
    text = policy(target("a", upstream.url), target("b", other.url, "n"), fallback="{m: [n]}", rest=split)
    gateway = await start_gateway(text)
    reply = await gateway.ask({**ASK, "model": "v"})
    assert (reply.status, reply.headers["x-kt-variant"], reply.headers["x-kt-model"]) == (200, "arm", "n")
    (event,) = gateway.events.events
    assert (event.split, event.ab_tag, event.model) == ("s", "arm", "n")


async def test_an_error_of_the_caller_goes_to_no_other_model(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    upstream.script = reply_json(DOWN, 400)
    text = policy(target("a", upstream.url), target("b", other.url, "n"), fallback="{m: [n]}")
    gateway = await start_gateway(text)
    assert (await gateway.ask(ASK)).status == 400
    assert (len(upstream.seen), len(other.seen)) == (1, 0)


# The beginning of a stream.


@pytest.mark.parametrize(
    "first",
    [
        [frame({"error": {"message": "busy", "type": "server_error", "code": 503}})],
        [b": hello\n\n", b'event: error\ndata: {"message": "busy", "code": "overloaded"}\n\n'],
        [],
        [b": keepalive\n\n"],
    ],
    ids=["error first", "error event", "empty", "only a comment"],
)
async def test_a_stream_that_begins_badly_is_tried_elsewhere(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream, first: list[bytes]
) -> None:
    upstream.script = reply_stream(first)
    other.script = reply_stream(TEXT)
    gateway = await start_gateway(policy(target("a", upstream.url), target("b", other.url)))
    reply = await gateway.ask(STREAMED)
    assert (reply.status, reply.body) == (200, b"".join(TEXT))
    (event,) = gateway.events.events
    assert (event.target, event.attempts, event.outcome) == ("b", 2, "ok")


async def test_an_error_first_gets_the_status_it_should_have_had(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    error = {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}
    upstream.script = reply_stream([frame({"error": error})])
    gateway = await start_gateway(policy(target("a", upstream.url)))
    reply = await gateway.ask(STREAMED)
    assert (reply.status, reply.json, len(upstream.seen)) == (400, {"error": error}, 1)
    assert reply.headers["content-type"] == "application/json"
    (event,) = gateway.events.events
    assert (event.status, event.outcome, event.error) == (400, "error", "context_length_exceeded")


async def test_an_empty_stream_with_nowhere_else_to_go_is_a_502(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    upstream.script = reply_stream([])
    gateway = await start_gateway(policy(target("a", upstream.url)))
    reply = await gateway.ask(STREAMED)
    assert reply.status == 502 and "before it said anything" in reply.error["message"]


async def test_a_slow_first_frame_does_not_hold_the_head_back_for_long(
    start_gateway: Any, upstream: RawUpstream
) -> None:
    gateway: Gateway = await start_gateway(policy(target("a", upstream.url)), peek_s=0.05)
    go_on = asyncio.Event()

    async def slow(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(STREAM_HEAD)
        await go_on.wait()
        writer.write(b"".join(chunked(piece) for piece in TEXT) + b"0\r\n\r\n")

    upstream.script = slow
    reader, writer = await asyncio.open_connection(gateway.host, gateway.port)
    writer.write(request(json.dumps(STREAMED).encode()))
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        go_on.set()
        rest = await reader.read()
    assert head.startswith(b"HTTP/1.1 200") and TEXT[0] in rest and b"[DONE]" in rest
    writer.close()


async def test_a_stream_that_says_nothing_at_all_is_a_timeout(
    start_gateway: Any, upstream: RawUpstream, other: RawUpstream
) -> None:
    upstream.script = reply_and_wait(STREAM_HEAD)
    other.script = reply_stream(TEXT)
    quick = ", timeouts: {first_byte: 100ms}"
    gateway = await start_gateway(
        policy(target("a", upstream.url, extra=quick + ", retry_on_timeout: true"), target("b", other.url))
    )
    assert (await gateway.ask(STREAMED)).body == b"".join(TEXT)
    gateway = await start_gateway(policy(target("a", upstream.url, extra=quick), target("b", other.url)))
    assert (await gateway.ask(STREAMED)).status == 504


async def test_a_client_that_leaves_during_a_pause_ends_it(start_gateway: Any, upstream: RawUpstream) -> None:
    upstream.script = reply_json(DOWN, 503)
    gateway = await start_gateway(
        policy(target("a", upstream.url)), retry_rules=RetryRules(floor_s=30, cap_s=30)
    )
    task = asyncio.create_task(gateway.ask(ASK))
    await upstream.until(lambda: len(upstream.seen) == 1)
    task.cancel()
    (event,) = await gateway.events.until(1)
    assert (event.outcome, event.status, event.attempts) == ("client_cancelled", 499, 1)
    assert len(upstream.seen) == 1 and gateway.runtime.in_flight == 0
